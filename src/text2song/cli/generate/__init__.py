"""What `generate` is made of: what was asked for, the studio here or behind a URL, the files."""
