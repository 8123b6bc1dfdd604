"""The model layer: MusicGen, its decode loop and its files. Imports nothing of the server."""
