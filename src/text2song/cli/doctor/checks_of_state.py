"""Checks of what is kept: home folder, database, bytes, model, and of the port to serve on."""

import os
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Final

import httpx2
from sqlalchemy import text

from text2song.blobs.open import folder_of, is_bucket, open_blobs, open_store
from text2song.cli.doctor.findings import Finding, State
from text2song.cli.model.licences import licence_words
from text2song.cli.serve.listener import open_listener
from text2song.db import schema
from text2song.db.engine import WRITES_OPTION, open_engine
from text2song.db.urls import is_sqlite, parse, place
from text2song.errors import PortInUse, SchemaTooOld
from text2song.model.configuration import read_configuration
from text2song.model.library import resolve
from text2song.model.manifest import Manifest
from text2song.model.weights import weight_files
from text2song.models.queries import LARGER
from text2song.names import BUNDLED_MODEL, NOISE_MODEL
from text2song.settings import Settings

LITTLE_SPACE_BYTES: Final = 2_000_000_000
"""A small model is about that large; a take of ten seconds is half a megabyte."""
PROBE_SECONDS: Final = 2.0
PROBE_FOLDER: Final = "probe"
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
    url = parse(settings.database)
    if is_sqlite(url) and not Path(url.database or "").exists():  # looking makes no file
        return Finding("database", State.OK, "none yet; it is made at the first start")
    engine = open_engine(settings.database)
    try:
        # Takes the write lock and gives it back: a database that another program keeps locked says so here.
        with engine.connect().execution_options(**{WRITES_OPTION: True}) as connection, connection.begin():
            connection.execute(text("SELECT 1"))
            is_made = schema.current(connection) is not None
            version = ".".join(map(str, connection.dialect.server_version_info or ()))
        if not is_made and not is_sqlite(url):
            found = f"PostgreSQL {version}, {place(url)}; its tables are made at the first start"
            return Finding("database", State.OK, found)
        schema.require_current(engine)
    except SchemaTooOld:
        advice = "an older schema; the next start upgrades it, and so does `text2song db upgrade`"
        return Finding("database", State.NOTE, advice)
    finally:
        engine.dispose()
    if is_sqlite(url):
        return Finding("database", State.OK, f"schema {schema.head()}, not locked")
    return Finding("database", State.OK, f"PostgreSQL {version}, {place(url)}, schema {schema.head()}")


def check_blobs(settings: Settings) -> Finding:
    """Whether bytes can be stored and read again."""
    if is_bucket(settings.blobs):
        return _check_bucket(settings)
    folder = folder_of(settings.blobs)
    if not folder.exists():
        return Finding("blobs", State.OK, "none yet; their folder is made at the first start")
    # A store of its own in there: the same disk, and whatever is written goes with it.
    with tempfile.TemporaryDirectory(prefix=PROBE_PREFIX, dir=folder) as place:
        store = open_store(Path(place).as_uri())
        store.read(store.put(b"text2song doctor", folder=PROBE_FOLDER, suffix=".txt").key, verify=True)
    return Finding("blobs", State.OK, settings.blobs)


def _check_bucket(settings: Settings) -> Finding:
    """Everything that a studio does there, with bytes that are nobody else's."""
    store = open_blobs(settings)
    key = store.put(uuid.uuid4().bytes, folder=PROBE_FOLDER, suffix=".bin").key
    try:
        store.read(key, verify=True)
        is_listed = any(blob.key == key for blob in store.list(PROBE_FOLDER))
    finally:
        store.delete(key)
    if not is_listed:
        advice = "what was just stored is not listed: the bucket's server is not consistent, ask its provider"
        return Finding("blobs", State.PROBLEM, advice)
    ways = "players are sent there" if store.link_origin else "players get them from the API"
    return Finding("blobs", State.OK, f"{settings.blobs}, {ways}")


def check_model(settings: Settings) -> Finding:
    """Whether the model to serve is there and complete; its weights are not read."""
    if settings.model == NOISE_MODEL:
        return Finding(
            "model",
            State.NOTE,
            f"the untrained one, which makes noise. For music, {LARGER}",
        )
    folder = resolve(settings.models_folder, settings.model)
    read_configuration(folder)
    weight_files(folder)
    manifest = Manifest.read(folder)
    found = f"{manifest.id}, revision {manifest.revision}, {licence_words(manifest.license)}"
    if settings.model == BUNDLED_MODEL:
        found += f", which comes with the program and is small. For a larger one, {LARGER}"
    return Finding("model", State.OK, found)


def check_port(port: int) -> Finding:
    """Whether `serve` could have the port, or has it already."""
    try:
        open_listener("127.0.0.1", port=port).close()
    except PortInUse as error:
        if _is_studio(port):
            return Finding("port", State.OK, f"a studio answers at http://127.0.0.1:{port}/")
        return Finding("port", State.NOTE, error.message)
    return Finding("port", State.OK, f"{port} is free")


def _is_studio(port: int) -> bool:
    try:
        answer = httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=PROBE_SECONDS, trust_env=False)
        return answer.is_success and "version" in answer.json()
    except (httpx2.HTTPError, ValueError):
        return False
