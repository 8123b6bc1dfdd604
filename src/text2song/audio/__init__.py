"""Audio samples: what was made, how it was made, and its bytes."""
