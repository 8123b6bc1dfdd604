"""How a model's licence is told: in a sentence before anything is fetched, and in few words in a list."""

from typing import Final

UNSTATED: Final = "unknown"
"""What a manifest says of a model whose folder or page names no licence."""
OWN: Final = "other"
"""What the hub says of a licence that has no name."""


def licence_sentence(name: str) -> str:
    """What a person should know before she agrees."""
    key = name.lower()
    if key == UNSTATED:
        return "The weights come without a licence: ask their author what you may do with them."
    if key == OWN:
        return "The weights have a licence of their own: read it before you use the model."
    forbids = "; it forbids commercial use of the weights" if "-nc" in key else ""
    return f"Licence of the weights: {name}{forbids}."


def licence_words(name: str) -> str:
    """The same in a list."""
    return {UNSTATED: "no licence stated", OWN: "a licence of its own"}.get(name.lower(), name)
