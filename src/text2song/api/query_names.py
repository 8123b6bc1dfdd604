"""Query parameters that do not exist are refused like fields that do not exist.

A misspelt filter that is silently ignored answers everything, and looks as if it had found it.
"""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request

from text2song.errors import InvalidInput

_KNOWN: Final = "known_query_names"
"""Where the application keeps what `refuse_unknown_query` has read from its document."""


async def refuse_unknown_query(request: Request) -> None:
    """A dependency of the whole application: no operation takes a name that it does not know.

    Pages for people are no operations and stand in no document: a link to one may carry what its
    sender added. Sounds need no name to get past a cache either: their bytes never change.

    Not a coroutine for its own sake: FastAPI would pay a thread for a plain function, at every request.

    Raises:
        InvalidInput: with the name of the parameter as its field.
    """
    if not request.query_params:
        return
    state = request.app.state
    if not hasattr(state, _KNOWN):
        setattr(state, _KNOWN, query_names(request.app.openapi()))
    method = "get" if request.method == "HEAD" else request.method.lower()
    known = getattr(state, _KNOWN).get((getattr(request.scope["route"], "path", ""), method))
    if known is None:
        return
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name in known and names.count(name) > 1:
            raise InvalidInput(f"{name} is given twice: give it once, its values with commas.", field=name)
        if name not in known:
            shown = name if name.isidentifier() and len(name) <= 80 else "this name"
            there_are = f"there are {', '.join(sorted(known))}" if known else "there are none, leave it out"
            raise InvalidInput(f"{shown} is not a parameter here: {there_are}.", field=name)


def query_names(document: Mapping[str, Any]) -> dict[tuple[str, str], frozenset[str]]:
    """The names of the query parameters of every operation, by path and method."""
    return {
        (path, method): frozenset(
            parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"
        )
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
