"""What `doctor` is made of: checks of the parts that are installed and of what is kept."""
