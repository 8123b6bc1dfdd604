"""The numbers that the decoder may compute in, by the names that people give them. Needs no torch."""

from typing import Final

AUTO: Final = "auto"
"""What this device is good at: see `precision.precision_for`."""
FLOAT32: Final = "float32"
BFLOAT16: Final = "bfloat16"
INT8: Final = "int8"
DTYPES: Final = (FLOAT32, BFLOAT16, INT8)
PRECISIONS: Final = (AUTO, *DTYPES)
"""What may be asked for."""
