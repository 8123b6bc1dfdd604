"""The model card: what the model is, and how well it follows its prompts, as it was measured."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

TEMPLATE: Final = Path(__file__).with_name("card.md")
KEPT: Final = Path(__file__).with_name("evaluation.json")
"""What was measured of the model that is shipped."""
NAME: Final = "README.md"


def write(folder: Path, found: Mapping[str, Any]) -> None:
    """Put the card into the model's folder."""
    (folder / NAME).write_text(card(found), encoding="utf-8")


def card(found: Mapping[str, Any]) -> str:
    """The card with its figures; `found` is what `evaluation.evaluate` answers, with the probes' ceilings."""
    adherence, ceilings, long = found["adherence"], found["ceilings"], found["long takes"]
    health = adherence["health"]
    return TEMPLATE.read_text(encoding="utf-8").format(
        rows="\n".join(
            f"| {name} | {adherence[name]['right']:.2f} | {adherence[name]['by chance']:.2f} | {limit:.2f} |"
            for name, limit in ceilings.items()
        ),
        clips=health["clips"],
        rank_correlation=adherence["tempo"]["rank correlation"],
        sick=health["silent"] + health["not finite"] + health["clipped"],
        steady=long["tempo drift below 3 %"],
        same_mode=long["same mode"],
        level=long["level change in dB, median of its size"],
    )


def kept() -> dict[str, Any]:
    """What was measured of the model that is shipped."""
    found: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8"))
    return found
