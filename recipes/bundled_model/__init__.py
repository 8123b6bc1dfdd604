"""The model that ships with the package: music that follows words, made from our own synthesis alone.

A composer writes songs, a dictionary of grains turns them into codes, an EnCodec whose weights are
written down rather than trained turns codes into sound, captions say in words what a song is, and a
MusicGen learns to write the codes that its caption asks for.

`python -m recipes.bundled_model` rebuilds all of it from one seed.

Legend: K codebooks (one for each stem), T frames, N codes of a codebook, B clips of a batch.
"""
