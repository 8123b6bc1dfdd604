"""What `model add` and `model list` are made of."""
