"""What `key` is made of."""
