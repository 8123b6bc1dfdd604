"""The process, or the thread, that does the work: the only place where a model is loaded for serving."""
