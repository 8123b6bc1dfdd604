"""Names that floors which must not know each other agree on."""

from typing import Final

INSTALLING: Final = "run `make setup`, or install your wheel with [{extra}]"
"""What to do where a part is missing: this package is on no index, so its name alone installs nothing."""
NOISE_MODEL: Final = "text2song/untrained-noise"
"""The untrained model: settings serve it until a trained one is named, the model layer builds it."""
NOISE_FOLDER: Final = "untrained-noise"
"""Its place in the library, which is not that of its id: it is built there, not downloaded."""
KEY_SHAPE: Final = r"t2s_[A-Za-z0-9_-]{8,}"
"""What a key looks like that `users/secrets.py` draws: logs and problems must never repeat one."""
HIDDEN_KEY: Final = "t2s_***"
