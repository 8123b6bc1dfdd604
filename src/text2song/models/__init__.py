"""Which models are served: workers say what they can do, so that the API, without torch, knows it."""
