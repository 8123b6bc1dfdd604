"""What `serve` is made of: the port, and one process with the API and a worker."""
