"""Bytes by key: the port and its backends."""
