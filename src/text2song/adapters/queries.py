"""Finding the adapter that a request means."""

import uuid

from sqlalchemy import select

from text2song.adapters.tables import Adapter
from text2song.errors import InvalidInput
from text2song.studio import Reader
from text2song.wire import is_id


def resolve(reader: Reader, reference: str, *, field: str) -> Adapter:
    """The adapter with that id, that `name@version`, or that digest.

    Raises:
        InvalidInput: when there is none; `field` says where the request named it.
    """
    query = select(Adapter)
    if is_id(reference):
        query = query.where(Adapter.id == uuid.UUID(reference))
    else:
        name, _, version = reference.partition("@")
        is_named = (Adapter.name == name) & (Adapter.version == version)
        query = query.where(is_named | (Adapter.digest == reference))
    # PostgreSQL keeps no NUL in its text, and so refuses to compare with one
    adapter = None if "\0" in reference else reader.session.scalar(query)
    if adapter is None:
        raise InvalidInput(
            f"there is no adapter {reference!r}. Name one by its id or as name@version, "
            "or leave it out for the bare model.",
            field=field,
        )
    return adapter
