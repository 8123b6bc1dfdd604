"""The model layer: MusicGen, its decode loop and its files. Imports nothing of the server."""

import os

# Threads that wait for each other inside torch spin by default and burn the cores that the API, the
# database and other takes need. Sleeping instead made a take ten to thirty times faster on two busy
# cores (docs/decisions/0006). OpenMP reads this when torch is first imported, so it stands here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
