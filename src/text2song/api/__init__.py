"""The HTTP edge: it opens the door, reads requests strictly, and says in plain words what went wrong.

Knows nothing of torch, nor of any feature's insides: it is given their routers.
"""
