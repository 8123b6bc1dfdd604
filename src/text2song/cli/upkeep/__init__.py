"""What keeps a studio safe and tidy: `backup`, `restore`."""
