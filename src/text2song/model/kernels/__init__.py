"""Loops that are compiled for this processor when they are first used.

Each of them is one thing that the decoder does at every step and for which torch has no fast form on a
processor: products of few rows, attention of one query, low-rank updates. They sum in an order that is
written down here, so a row's bits depend neither on the other rows nor on the count of threads.
"""
