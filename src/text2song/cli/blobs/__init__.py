"""`text2song blobs`."""
