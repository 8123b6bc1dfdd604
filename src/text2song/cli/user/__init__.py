"""What `user` is made of."""
