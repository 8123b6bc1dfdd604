"""What `model list` does."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from text2song.byte_sizes import size_words
from text2song.cli.answer import Answer
from text2song.cli.model.licences import licence_words
from text2song.cli.opening import settings_for
from text2song.errors import InvalidInput, ModelError
from text2song.model import library
from text2song.model.library import StoredModel
from text2song.music.vocabulary import Vocabulary
from text2song.names import OWN_MODELS
from text2song.settings import Settings


def list_models(answer: Answer) -> None:
    """The package's model and all of the library, also those that are damaged or named like another."""
    settings = settings_for(answer, is_service=False)
    stored = (library.bundled_model(), *library.list_models(settings.models_folder))
    served = _folder_of(settings.model, settings)
    rows = [_row(each, served=served, settings=settings) for each in stored]
    lines = _lines(rows)
    if all(row["id"] in OWN_MODELS for row in rows):
        lines.append("Fetch a larger one with `text2song model add facebook/musicgen-small`.")
    answer.give({"models": rows}, text="\n".join(lines))


def _folder_of(model: str, settings: Settings) -> Path | None:
    """The folder that an id or path means to the worker; None where there is none."""
    try:
        return library.resolve(settings.models_folder, model)
    except (InvalidInput, ModelError):
        return None


def _row(model: StoredModel, *, served: Path | None, settings: Settings) -> dict[str, Any]:
    named = _folder_of(model.id, settings)
    return {
        "id": model.id,
        "revision": model.revision,
        "license": model.license,
        "is_trained": model.is_trained,
        "vocabulary": model.vocabulary and model.vocabulary.as_json(),
        "size_bytes": model.size_bytes,
        "folder": str(model.folder),
        "is_served": model.folder == served,
        "shadowed_by": str(named) if named not in {None, model.folder} else None,
        "problem": model.problem,
    }


def _lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    cells = [_cells(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row, (name, size, *rest) in zip(rows, cells, strict=True):
        padded = [name.ljust(widths[0]), size.rjust(widths[1])]
        padded += [cell.ljust(width) for cell, width in zip(rest, widths[2:], strict=True)]
        lines += ["  ".join(padded).rstrip(), *_remarks(row)]
    return lines


def _cells(row: dict[str, Any]) -> list[str]:
    licence = licence_words(row["license"])
    states = {
        "served": row["is_served"],
        "damaged": row["problem"] is not None,
        "its id is taken": row["shadowed_by"] is not None,
    }
    return [
        row["id"],
        size_words(row["size_bytes"]),
        row["revision"],
        licence if row["is_trained"] else f"{licence}, untrained noise",
        ", ".join(word for word, is_so in states.items() if is_so),
    ]


def _remarks(row: dict[str, Any]) -> list[str]:
    vocabulary = Vocabulary.read(row["vocabulary"])
    remarks = [f"  {row['problem']}"] if row["problem"] else []
    remarks += [f"  {line}" for line in (vocabulary.as_lines() if vocabulary else ())]
    if row["shadowed_by"]:
        remarks.append(
            f"  This is {row['folder']}; the id names {row['shadowed_by']}. Remove one of the two folders, "
            f"or serve this one with TEXT2SONG_MODEL={shlex.quote(row['folder'])}."
        )
    return remarks
