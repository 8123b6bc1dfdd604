"""What `db upgrade` is made of."""
