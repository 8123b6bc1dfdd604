"""Checks of numbers that people give: of the right kind, within bounds, and named in the error."""

from text2song.errors import InvalidInput


def require_number(value: object, *, name: str, low: float, high: float, unit: str = "") -> float:
    """`value` as a float within `[low, high]`; refuses booleans, text, NaN and infinities."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{name} must be a number, not {value!r}.", field=name)
    suffix = f" {unit}" if unit else ""
    if not low <= value <= high:  # false for NaN too
        raise InvalidInput(f"{name} must be between {low:g} and {high:g}{suffix}, not {value!r}.", field=name)
    return float(value)


def require_whole(value: object, *, name: str, low: int, high: int) -> int:
    """`value` as an int within `[low, high]`; refuses booleans and fractions."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"{name} must be a whole number, not {value!r}.", field=name)
    if not low <= value <= high:
        raise InvalidInput(f"{name} must be between {low} and {high}, not {value}.", field=name)
    return value
