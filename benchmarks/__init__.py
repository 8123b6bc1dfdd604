"""One script and one table of results for each question."""
