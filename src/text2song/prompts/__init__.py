"""Prompts: words and attributes that describe music."""
