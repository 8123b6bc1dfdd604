"""What `backup` is made of: a studio into a folder, while it runs."""
