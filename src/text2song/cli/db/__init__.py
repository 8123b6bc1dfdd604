"""`text2song db`."""
