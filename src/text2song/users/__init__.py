"""People. On one machine there are none: everything is done by nobody in particular."""
