"""Songs that the recipe's tests are about."""

from dataclasses import replace
from random import Random

from recipes.bundled_model import brief as briefs
from recipes.bundled_model.brief import Brief


def a_song(seed: int = 0, **changed: object) -> Brief:
    return replace(briefs.draw(Random(seed)), **changed)  # type: ignore[arg-type] # the tests name fields


def some_songs(count: int) -> list[Brief]:
    return [briefs.draw(Random(f"test {seed}")) for seed in range(count)]
