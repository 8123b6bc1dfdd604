"""What `restore` is made of: a studio back from a backup."""
