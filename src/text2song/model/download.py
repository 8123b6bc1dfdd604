"""Bring a model from the Hugging Face hub: agreed to beforehand, resumable, and checked byte by byte.

The hub's own client starts a broken file again; a model is gigabytes, so the bytes are fetched here,
with Range requests that go on where the last attempt ended. A model appears in the library whole or
not at all. Needs no torch.
"""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx2
from huggingface_hub import get_session, hf_hub_url, hf_raise_for_status
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined] # exported, but not for checkers

from text2song.errors import DownloadFailed, ModelError
from text2song.model.conversion import convert_apart
from text2song.model.hub import CLIENT_NAME, TIMEOUT_SECONDS, DownloadPlan, RemoteFile, hub_errors, plan
from text2song.model.incoming import (
    OnProgress,
    alone_in,
    disk_errors,
    incoming_for,
    is_pickle,
    put,
    require_space,
    sweep_beside,
    write_manifest,
)
from text2song.model.library import folder_for
from text2song.model.manifest import Manifest
from text2song.model.weights import SINGLE_NAME, fingerprint

__all__ = ["DownloadPlan", "OnProgress", "fetch", "plan"]

_PAUSES_SECONDS: Final = (1.0, 2.0, 4.0, 8.0)
"""Between attempts at one file; after the last one the person decides."""
_AFTER: Final = "what has come stays, and the next attempt goes on from there"


def fetch(wanted: DownloadPlan, models_folder: Path, *, on_progress: OnProgress) -> Path:
    """Download a model into the library; answers its folder.

    Whatever ends it early (an error, Ctrl-C, a power cut), the next call goes on from there.

    Raises:
        DownloadFailed: the network, the hub or the bytes failed; `is_retryable`.
        StorageFull: the disk has no room for it.
        StorageFailed: the folder of models cannot be written to.
        ModelCorrupt: its pickled weights were refused.
    """
    target = folder_for(models_folder, wanted.id)
    if _is_here(target, wanted):
        on_progress(wanted.size_bytes, wanted.size_bytes)
        return target
    incoming = incoming_for(target, revision=wanted.revision)
    with disk_errors(models_folder, after=_AFTER), alone_in(incoming):
        sweep_beside(incoming)
        _require_space(wanted, incoming)
        _fetch_files(wanted, incoming, on_progress)
        _finish(wanted, incoming)
        put(incoming, target)
    return target


def _is_here(target: Path, wanted: DownloadPlan) -> bool:
    try:
        manifest = Manifest.read(target)
        return manifest.revision == wanted.revision and manifest.fingerprint == fingerprint(target)
    except (ModelError, OSError):
        return False


def _require_space(wanted: DownloadPlan, incoming: Path) -> None:
    here = sum(_bytes_here(incoming, file) for file in wanted.files)
    copies = 2 if wanted.needs_conversion else 1
    require_space(wanted.id, needed_bytes=copies * wanted.size_bytes - here, incoming=incoming)


def _bytes_here(incoming: Path, file: RemoteFile) -> int:
    for path in (incoming / file.name, _part(incoming, file)):
        if path.is_file():
            return min(path.stat().st_size, file.size_bytes)
    return 0


def _part(incoming: Path, file: RemoteFile) -> Path:
    return incoming / f"{file.name}.part"


def _fetch_files(wanted: DownloadPlan, incoming: Path, on_progress: OnProgress) -> None:
    before = 0
    is_converted = wanted.needs_conversion and (incoming / SINGLE_NAME).is_file()
    for file in wanted.files:
        is_needed = not (is_converted and is_pickle(file.name))
        # it has that name once it is whole and checked
        if is_needed and not (incoming / file.name).is_file():

            def tell(bytes_of_file: int, before: int = before) -> None:
                on_progress(before + bytes_of_file, wanted.size_bytes)

            _fetch_file(wanted, file, incoming, tell)
        before += file.size_bytes
        on_progress(before, wanted.size_bytes)


def _fetch_file(wanted: DownloadPlan, file: RemoteFile, incoming: Path, tell: Callable[[int], None]) -> None:
    part = _part(incoming, file)
    url = hf_hub_url(wanted.id, file.name, revision=wanted.revision, endpoint=wanted.endpoint)
    for pause_seconds in (*_PAUSES_SECONDS, None):
        try:
            with hub_errors(wanted.id, endpoint=wanted.endpoint):
                _stream(url, part, file.size_bytes, tell)
            break
        except DownloadFailed as error:
            if pause_seconds is None or not _may_pass(error):
                raise
            time.sleep(pause_seconds)
    if not _is_whole(part, file):
        part.unlink()
        raise DownloadFailed(
            f"{file.name} of {wanted.id} came with other bytes than the hub has, so it was thrown away. "
            "Try again; if it happens again, something between you and the hub changes what you download."
        )
    part.replace(incoming / file.name)


def _may_pass(error: DownloadFailed) -> bool:
    """Whether the same request may succeed in a moment: a broken connection, or a hub that is overloaded."""
    cause = error.__cause__
    if isinstance(cause, HfHubHTTPError):
        return cause.response.status_code >= 500
    return isinstance(cause, httpx2.TransportError)


def _stream(url: str, part: Path, size_bytes: int, tell: Callable[[int], None]) -> None:
    """Append what is missing of a file to its part; start over where the server knows no ranges."""
    here = part.stat().st_size if part.is_file() else 0
    if here >= size_bytes:  # whole, or of another make: the check that follows tells
        return
    headers = build_hf_headers(library_name=CLIENT_NAME) | {"Accept-Encoding": "identity"}
    if here:
        headers["Range"] = f"bytes={here}-"
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT_SECONDS) as response:
        hf_raise_for_status(response)
        goes_on = response.status_code == httpx2.codes.PARTIAL_CONTENT
        here = here if goes_on else 0
        with part.open("ab" if goes_on else "wb") as file:
            # as they come: a chunk size would hold bytes back, and lose them
            for chunk in response.iter_raw():
                file.write(chunk)
                here += len(chunk)
                tell(min(here, size_bytes))


def _is_whole(part: Path, file: RemoteFile) -> bool:
    if part.stat().st_size != file.size_bytes:
        return False
    with part.open("rb") as content:
        if file.sha256 is not None:
            return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
        if file.git_sha1 is not None:
            blob = hashlib.sha1(f"blob {file.size_bytes}\0".encode(), usedforsecurity=False)
            blob.update(content.read())
            return blob.hexdigest() == file.git_sha1
    return True


def _finish(wanted: DownloadPlan, incoming: Path) -> None:
    """Convert where needed, and write the manifest."""
    if wanted.needs_conversion:
        _convert(wanted, incoming)
    manifest = Manifest(id=wanted.id, revision=wanted.revision, license=wanted.license)
    write_manifest(incoming, manifest)


def _convert(wanted: DownloadPlan, incoming: Path) -> None:
    """Pickles out, safetensors in; a refused pickle is not kept."""
    try:
        if not (incoming / SINGLE_NAME).is_file():
            convert_apart(incoming, incoming)
    finally:
        for file in wanted.files:
            if is_pickle(file.name):
                (incoming / file.name).unlink(missing_ok=True)
