"""Checks of what is kept: home folder, database, bytes, queue, model, and of the port to serve on."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import httpx2
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from text2song.blobs.open import folder_of, open_store
from text2song.cli.doctor.findings import Finding, State
from text2song.cli.model.licences import licence_words
from text2song.cli.serve.listener import open_listener
from text2song.db import schema
from text2song.db.engine import WRITES_OPTION, open_engine
from text2song.errors import PortInUse, SchemaTooOld
from text2song.jobs.open import open_queue
from text2song.model.configuration import read_configuration
from text2song.model.library import resolve
from text2song.model.manifest import Manifest
from text2song.model.weights import weight_files
from text2song.names import NOISE_MODEL
from text2song.settings import Settings

LITTLE_SPACE_BYTES: Final = 2_000_000_000
"""A small model is about that large; a take of ten seconds is half a megabyte."""
PROBE_SECONDS: Final = 2.0
PROBE_PREFIX: Final = ".doctor-"
"""The dot keeps it from being a folder of blobs."""


def check_home(settings: Settings) -> Finding:
    """Whether the home folder can be written, and how much fits."""
    existing = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Finding(
            "home",
            State.PROBLEM,
            f"{existing} cannot be written to: see to its owner and permissions, or choose another folder "
            "with TEXT2SONG_HOME.",
        )
    free_bytes = shutil.disk_usage(existing).free
    found = f"{settings.home}, {free_bytes / 1e9:.1f} GB free"
    if existing != settings.home:
        found += "; it is made at the first start"
    if free_bytes < LITTLE_SPACE_BYTES:
        return Finding("home", State.NOTE, f"{found}: that is little, free some space.")
    return Finding("home", State.OK, found)


def check_database(settings: Settings) -> Finding:
    """Whether it answers, can be written to, and has this version's schema."""
    engine = open_engine(settings.database) if _is_there(settings) else None
    if engine is None:
        return Finding("database", State.OK, "none yet; it is made at the first start")
    try:
        # Takes the write lock and gives it back: a database that another program keeps locked says so here.
        with engine.connect().execution_options(**{WRITES_OPTION: True}) as connection, connection.begin():
            pass
        schema.require_current(engine)
    except SchemaTooOld:
        advice = "an older schema; the next start upgrades it, and so does `text2song db upgrade`"
        return Finding("database", State.NOTE, advice)
    finally:
        engine.dispose()
    return Finding("database", State.OK, f"schema {schema.head()}, not locked")


def check_blobs(settings: Settings) -> Finding:
    """Whether bytes can be stored and read again."""
    folder = folder_of(settings.blobs)
    if not folder.exists():
        return Finding("blobs", State.OK, "none yet; their folder is made at the first start")
    # A store of its own in there: the same disk, and whatever is written goes with it.
    with tempfile.TemporaryDirectory(prefix=PROBE_PREFIX, dir=folder) as place:
        store = open_store(Path(place).as_uri())
        store.read(store.put(b"text2song doctor", folder="probe", suffix=".txt").key, verify=True)
    return Finding("blobs", State.OK, settings.blobs)


def check_queue(settings: Settings) -> Finding:
    """Whether this version knows what is to wake the workers."""
    open_queue(settings.queue_url)
    return Finding("queue", State.OK, settings.queue_url)


def check_model(settings: Settings) -> Finding:
    """Whether the model to serve is there and complete; its weights are not read."""
    if settings.model == NOISE_MODEL:
        return Finding(
            "model",
            State.NOTE,
            "the untrained one, which makes noise. For music, run `text2song model add "
            "facebook/musicgen-small` and set TEXT2SONG_MODEL to it.",
        )
    folder = resolve(settings.models_folder, settings.model)
    read_configuration(folder)
    weight_files(folder)
    manifest = Manifest.read(folder)
    licence = licence_words(manifest.license)
    return Finding("model", State.OK, f"{manifest.id}, revision {manifest.revision}, {licence}")


def check_port(port: int) -> Finding:
    """Whether `serve` could have the port, or has it already."""
    try:
        open_listener("127.0.0.1", port=port).close()
    except PortInUse as error:
        if _is_studio(port):
            return Finding("port", State.OK, f"a studio answers at http://127.0.0.1:{port}/")
        return Finding("port", State.NOTE, error.message)
    return Finding("port", State.OK, f"{port} is free")


def _is_there(settings: Settings) -> bool:
    """Looking makes no SQLite file; of a URL that cannot be, `open_engine` tells."""
    try:
        url = make_url(settings.database)
    except (ArgumentError, ValueError):
        return True
    is_file = (
        url.drivername == "sqlite" and url.database and not url.database.startswith((":memory:", "file:"))
    )
    return not is_file or Path(url.database or "").exists()


def _is_studio(port: int) -> bool:
    try:
        answer = httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=PROBE_SECONDS, trust_env=False)
        return answer.is_success and "version" in answer.json()
    except (httpx2.HTTPError, ValueError):
        return False
