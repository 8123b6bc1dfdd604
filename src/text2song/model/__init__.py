"""The model layer: MusicGen, its decode loop and its files. Imports nothing of the server."""

import os

# Threads that wait for each other inside torch spin by default and burn the cores that the API, the
# database and other takes need. Sleeping instead made a take ten to thirty times faster on two busy
# cores (docs/decisions/0006). OpenMP reads this when torch is first imported, so it stands here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Weights are read from end to end at every frame. In pages of 2 MB instead of 4 KB, which torch asks Linux
# for, a product in float32 takes a fifth less time (docs/journal.md). Read when torch is first imported, too.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
