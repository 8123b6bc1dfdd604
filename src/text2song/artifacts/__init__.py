"""On-disk formats that cross machines, each with a digest."""
