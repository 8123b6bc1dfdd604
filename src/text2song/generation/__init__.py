"""Generation jobs: from a prompt to takes."""
