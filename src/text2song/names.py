"""Names that floors which must not know each other agree on."""

from typing import Final

INSTALLING: Final = "run `make setup`, or install your wheel with [{extra}]"
"""What to do where a part is missing: this package is on no index, so its name alone installs nothing."""
BUNDLED_MODEL: Final = "text2song/bundled"
"""The small trained model that comes with the package: settings serve it until another is named."""
BUNDLED_FOLDER: Final = "bundled_model"
"""Its place in the package, where it is read and nothing is written."""
NOISE_MODEL: Final = "text2song/untrained-noise"
"""The untrained model of the tests, and of whoever asks for it: the model layer builds it."""
NOISE_FOLDER: Final = "untrained-noise"
"""Its place in the library, which is not that of its id: it is built there, not downloaded."""
OWN_MODELS: Final = {BUNDLED_MODEL: BUNDLED_FOLDER, NOISE_MODEL: NOISE_FOLDER}
"""What the studio has by itself, by id: nobody brings these, or another model in their place."""
KEY_SHAPE: Final = r"t2s_[A-Za-z0-9_-]{8,}"
"""What a key looks like that `users/secrets.py` draws: logs and problems must never repeat one."""
HIDDEN_KEY: Final = "t2s_***"
