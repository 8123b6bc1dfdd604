"""The adapters that a loaded model has at hand, laid out for its decoder, and the sets that rows ask for.

The base weights are never touched: a row without adapters computes what it computed before any were there.
"""

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from text2song.errors import ModelUnsupported
from text2song.model.lora import Factors, Updates, composed, lay_out, require_fitting, size_of
from text2song.model.precision import Precision
from text2song.music.spec import AdapterWeight

KEPT_SETS: Final = 16
"""Sets of adapters that stay laid out; who asks for another waits for its layout, some milliseconds."""


class AdapterRack:
    """Adapters by the digest of their bundle, as factors; and laid out, those that were asked for last."""

    def __init__(self, shapes: Mapping[str, tuple[int, int]], *, layers: int, precision: Precision) -> None:
        """`shapes` are (out, in) features of the decoder's modules that an adapter may change, by name."""
        self._shapes = shapes
        self._layers = layers
        self._precision = precision
        self._adapters: dict[str, Mapping[str, Factors]] = {}
        self._sizes: dict[str, int] = {}
        self._sets: OrderedDict[tuple[AdapterWeight, ...], Updates] = OrderedDict()

    def add(self, digest: str, modules: Mapping[str, Factors]) -> None:
        """Hold an adapter; it can be asked for from now on.

        Raises:
            ModelUnsupported: it changes a module that this model lacks or has in another shape.
        """
        require_fitting(modules, shapes=self._shapes)
        self._adapters[digest] = dict(modules)
        self._sizes[digest] = size_of(modules)

    def remove(self, digest: str) -> None:
        """Let an adapter go, with every set that it is part of; rows that use it keep what they have."""
        self._adapters.pop(digest, None)
        self._sizes.pop(digest, None)
        for chosen in [each for each in self._sets if any(part.digest == digest for part in each)]:
            del self._sets[chosen]

    def updates_for(self, adapters: Sequence[AdapterWeight]) -> Updates | None:
        """What these adapters add together; None for the bare model. The same set is the same object.

        Raises:
            ModelUnsupported: one of them is not here.
        """
        if not adapters:
            return None
        chosen = tuple(adapters)
        updates = self._sets.pop(chosen, None) or self._lay_out(chosen)
        self._sets[chosen] = updates
        if len(self._sets) > KEPT_SETS:
            self._sets.popitem(last=False)
        return updates

    @property
    def held_bytes(self) -> int:
        """Of the factors of all adapters that are here."""
        return sum(self._sizes.values())

    def set_bytes(self, adapters: Sequence[AdapterWeight]) -> int:
        """Of these adapters once they are laid out together; those that are not here count nothing."""
        return sum(self._sizes.get(each.digest, 0) for each in adapters)

    def idle_bytes(self, used: Collection[Updates]) -> int:
        """Of the sets that are laid out and that nobody uses."""
        return sum(updates.size_bytes for updates in self._sets.values() if updates not in used)

    def shed(self, used: Collection[Updates]) -> None:
        """Let go of the sets that nobody uses; who asks for one again waits for its layout."""
        for chosen in [each for each, updates in self._sets.items() if updates not in used]:
            del self._sets[chosen]

    def _lay_out(self, chosen: tuple[AdapterWeight, ...]) -> Updates:
        parts = [(self._held(each.digest), each.weight) for each in chosen]
        names = {name: None for held, _ in parts for name in held}  # a set that keeps its order
        modules = {
            name: composed((held[name], weight) for held, weight in parts if name in held) for name in names
        }
        return lay_out(modules, layers=self._layers, precision=self._precision)

    def _held(self, digest: str) -> Mapping[str, Factors]:
        if digest not in self._adapters:
            raise ModelUnsupported(
                f"This worker does not have the adapter {digest[:12]}: this version plays the bare model "
                "only and cannot load adapters yet. Ask without an adapter."
            )
        return self._adapters[digest]
