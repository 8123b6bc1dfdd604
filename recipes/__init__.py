"""Recipes: how the weights that this project ships, or trains, are made. Not part of the package."""
