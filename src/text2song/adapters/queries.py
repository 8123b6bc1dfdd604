"""Finding the adapter that a request means."""

import uuid
from collections.abc import Sequence

from sqlalchemy import ColumnElement, select, tuple_

from text2song.adapters.tables import Adapter
from text2song.errors import InvalidInput
from text2song.studio import Reader
from text2song.wire import is_id


def resolve(reader: Reader, named: Sequence[tuple[str, str]]) -> list[Adapter]:
    """The adapters that a request names, in this order; read together.

    Each pair has the field where the request names an adapter, and an id, a `name@version` or a digest.

    Raises:
        InvalidInput: when there is none of that name; with its field.
    """
    if not named:
        return []
    names = [_plain(reference) for _, reference in named]
    found = {
        name: adapter
        for adapter in reader.session.scalars(select(Adapter).where(_is_one_of(names)))
        for name in (str(adapter.id), adapter.digest, f"{adapter.name}@{adapter.version}")
    }
    for name, (field, reference) in zip(names, named, strict=True):
        if name not in found:
            raise InvalidInput(
                f"there is no adapter {reference!r}. Name one by its id or as name@version, "
                "or leave it out for the bare model.",
                field=field,
            )
    return [found[name] for name in names]


def _is_one_of(names: Sequence[str]) -> ColumnElement[bool]:
    names = [name for name in names if "\0" not in name]  # PostgreSQL refuses to compare with a NUL
    ids = [uuid.UUID(name) for name in names if is_id(name)]
    versions = [tuple(name.split("@", 1)) for name in names if "@" in name]
    return (
        Adapter.id.in_(ids) | Adapter.digest.in_(names) | tuple_(Adapter.name, Adapter.version).in_(versions)
    )


def _plain(reference: str) -> str:
    """An id in the case that it is shown in; anything else as it is."""
    return reference.lower() if is_id(reference) else reference
