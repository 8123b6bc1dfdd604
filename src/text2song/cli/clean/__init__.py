"""What `clean` is made of: what is to be kept no longer, and bytes without a row."""
