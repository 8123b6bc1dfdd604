"""Text2Song Studio: music from words, blind comparison, and a model that learns from it."""

__version__ = "0.1.0"
