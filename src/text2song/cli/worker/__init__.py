"""What `worker` is made of, and shares with `serve`: loading in the background, saying so, stopping."""
