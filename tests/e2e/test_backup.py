"""Back up a working studio, wipe it, restore it: every answer of its API and every stream is as before."""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.audio.samples import make_sample
from tests.backup.full import Rows, blobs_of, empty_studio, everything, fill
from tests.databases import lent_database
from tests.figures import RecordFigure
from tests.object_store import ObjectStore
from tests.postgres import USER, PostgreSQL
from tests.servers import Server, finished, served
from tests.studios import furnish
from text2song.backup.checking import check
from text2song.backup.folder import BackupFolder
from text2song.backup.taking import take
from text2song.generation.tables import GenerationJob
from text2song.jobs.columns import JobStatus
from text2song.jobs.queue import SilentQueue
from text2song.settings import load_settings
from text2song.studio import Studio, open_studio

LISTS = ("/prompts", "/generate", "/audio")
LISTED = ("/prompts",)
"""Where rows that no API wrote do not stand."""
PACE = {"LEASE_SECONDS": "2", "SWEEP_SECONDS": "1"}


def command(server: Server, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "text2song.cli", *arguments],
        env=server.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(server: Server, *arguments: str) -> str:
    process = command(server, *arguments)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said


def submitted(client: httpx2.Client, number: int, *, duration: float) -> str:
    body = {
        "prompt": {"text": f"walk {number}", "attributes": {"mood": "calm"}},
        "num_samples": 2,
        "generation_params": {"duration": duration, "seed": number},
    }
    answer = client.post("/generate", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def items(client: httpx2.Client, path: str) -> Iterator[dict[str, Any]]:
    cursor: dict[str, Any] = {}
    while True:
        page = client.get(path, params={"limit": 7, **cursor}).raise_for_status().json()
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


def answers(client: httpx2.Client, jobs: list[str], *, lists: Sequence[str] = LISTS) -> dict[str, Any]:
    """All that the API says of these jobs, their prompts and their takes, bytes included."""
    said: dict[str, Any] = {f"/generate/{job}": client.get(f"/generate/{job}").json() for job in jobs}
    prompts = {job["prompt_id"] for job in said.values()}
    audio_ids = [take["audio_id"] for job in said.values() for take in job["takes"]]
    for path in lists:
        own = [item for item in items(client, path) if item.get("prompt_id", item["id"]) in prompts]
        said[path] = own
    for audio_id in audio_ids:
        for path in (f"/audio/{audio_id}", f"/audio/{audio_id}/peaks"):
            said[path] = client.get(path).raise_for_status().json()
        for part in ("bytes=0-", "bytes=100-199", "bytes=-50"):
            place = f"/audio/{audio_id}/stream"
            stream = client.get(place, headers={"Range": part}, follow_redirects=True)  # to the bucket
            assert stream.status_code == 206
            said[f"{audio_id} {part}"] = (
                stream.content,
                stream.headers["etag"],
                stream.headers["content-range"],
            )
    return said


@dataclass(frozen=True)
class Site:
    """Where a studio keeps what it keeps, and how all of it is destroyed."""

    settings: Mapping[str, str]
    wipe_rows: Callable[[], None]

    def open(self, home: Path) -> Studio:
        given = {f"TEXT2SONG_{name}": value for name, value in self.settings.items()}
        return open_studio(load_settings(given | {"TEXT2SONG_HOME": str(home)}), queue=SilentQueue())

    def holds(self, home: Path) -> tuple[Rows, dict[str, bytes]]:
        """All rows, and all bytes but those that wait for their deletion: no row names them any more."""
        with closing_engine(self.open(home)) as studio:
            rows, blobs = everything(studio), blobs_of(studio)
        doomed = {row["key"] for row in rows["doomed_blobs"]}
        return rows, {key: data for key, data in blobs.items() if key not in doomed}

    def wipe(self, home: Path) -> None:
        with closing_engine(self.open(home)) as studio:
            for key in blobs_of(studio):
                studio.blobs.delete(key)
            assert blobs_of(studio) == {}
        self.wipe_rows()
        shutil.rmtree(home)


@pytest.fixture(params=["SQLite and files", "PostgreSQL and S3"])
def site(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    if request.param == "SQLite and files":
        yield Site({}, wipe_rows=lambda: None)  # in the home folder
        return
    postgresql: PostgreSQL = request.getfixturevalue("postgresql")
    bucket: ObjectStore = request.getfixturevalue("object_store")
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    with lent_database(postgresql, template="template0") as url:
        name = url.partition("?")[0].rpartition("/")[2]

        def wipe_rows() -> None:
            postgresql.run_sql(f"DROP DATABASE {name} WITH (FORCE)")
            postgresql.run_sql(f"CREATE DATABASE {name} OWNER {USER}")

        yield Site({"DATABASE_URL": url, "BLOBS_URL": bucket.url()}, wipe_rows)


@pytest.mark.slow
def test_every_row_every_byte_and_every_stream_comes_back(
    site: Site, tmp_path: Path, record_figure: RecordFigure, request: pytest.FixtureRequest
) -> None:
    home, to, where = tmp_path / "home", str(tmp_path / "backup"), request.node.callspec.id
    with served(home, **site.settings) as server:
        with server.client() as client:
            done = [submitted(client, number, duration=1) for number in range(6)]
            finished(client, done, timeout_seconds=120)
            heard = answers(client, done, lists=LISTED)
        assert server.stop() == 0
        put_something_into_every_table(site, home)
        rows, blobs = site.holds(home)
        assert [name for name, found in rows.items() if not found] == []
        began = time.perf_counter()
        run(server, "backup", to)
        taken = time.perf_counter()
        site.wipe(home)
        wiped = time.perf_counter()
        run(server, "restore", to)
        restored = time.perf_counter()
        assert site.holds(home) == (rows, blobs)
        server.start()
        with server.client() as client:
            assert answers(client, done, lists=LISTED) == heard
    record_figure(f"rows of a wiped studio that are as before ({where})", sum(map(len, rows.values())), "")
    record_figure(f"stored files that are ({where})", len(blobs), "")
    record_figure(f"bytes in them ({where})", sum(map(len, blobs.values())), "B")
    record_figure(f"answers and streams of its API that are ({where})", len(heard), "")
    record_figure(f"its backup ({where})", taken - began, "s")
    record_figure(f"its restore ({where})", restored - wiped, "s")


def put_something_into_every_table(site: Site, home: Path) -> None:
    with closing_engine(site.open(home)) as studio:
        running = fill(studio)
        with studio.work() as work:  # one that runs waits again after a restore: that is another test
            job = work.session.get_one(GenerationJob, running.id)
            job.status, job.claim_token = JobStatus.CANCELLED, None


@contextmanager
def closing_engine(studio: Studio) -> Iterator[Studio]:
    try:
        yield studio
    finally:
        studio.engine.dispose()


@pytest.mark.slow
def test_a_working_studio_comes_back_as_it_was(tmp_path: Path, record_figure: RecordFigure) -> None:
    to = str(tmp_path / "backup")
    with served(tmp_path / "home", **PACE) as server:
        with server.client() as client:
            done = [submitted(client, number, duration=1) for number in range(5)]
            finished(client, done, timeout_seconds=120)
            before = answers(client, done)
            working = [submitted(client, number, duration=25) for number in range(5, 7)]
            server.wait_until(lambda: status(client, working[0]) == "running", timeout_seconds=30)
            began = time.perf_counter()
            run(server, "backup", to)
            record_figure("a backup beside running jobs", time.perf_counter() - began, "s")
            assert status(client, working[-1]) in {"running", "queued"}
        server.kill()
        shutil.rmtree(server.home)
        assert "that were running then wait again" in run(server, "restore", to)
        server.start()
        with server.client() as client:
            assert answers(client, done) == before
            jobs = finished(client, working, timeout_seconds=240)
            assert [job["status"] for job in jobs] == ["succeeded"] * len(working)
            assert all(len({take["audio_id"] for take in job["takes"]}) == 2 for job in jobs)


def status(client: httpx2.Client, job: str) -> str:
    return str(client.get(f"/generate/{job}").json()["status"])


@pytest.mark.parametrize(
    ("seed", "kills"),
    [
        pytest.param(3, 2, marks=pytest.mark.slow, id="two"),
        pytest.param(4, 20, marks=pytest.mark.proof, id="twenty"),
    ],
)
def test_a_killed_backup_and_a_killed_restore_leave_what_was_there(
    seed: int,
    kills: int,
    tmp_path: Path,
    _migrated_database: Path,  # noqa: PT019  # its value is used
) -> None:
    chance = random.Random(seed)
    furnish(tmp_path / "home", database=_migrated_database)
    server = Server(tmp_path / "home")
    studio = empty_studio(server.home)
    fill(studio)
    folder = BackupFolder(tmp_path / "backup")
    states = {take(studio, folder).snapshot.name: settled(studio)}
    for number in range(kills):
        make_sample(studio, seed=100 + number)
        before = settled(studio)
        kill_at_some_moment(command(server, "backup", str(folder.root)), chance)
        assert check(folder, tuple(folder.snapshots())).faults == ()
        newest = folder.find(None).name
        states.setdefault(newest, before)
        kill_at_some_moment(command(server, "restore", str(folder.root), "--replace"), chance)
        assert settled(studio) in (before, states[newest])
        for sample in everything(studio)["audio_samples"]:
            assert studio.blobs.read(sample["storage_path"], verify=True)
    take(studio, folder, keep=1)
    assert check(folder, tuple(folder.snapshots())).faults == ()
    studio.engine.dispose()


def kill_at_some_moment(process: "subprocess.Popen[str]", chance: random.Random) -> None:
    time.sleep(chance.uniform(0.5, 2.5))
    process.send_signal(signal.SIGKILL)
    process.communicate()


def settled(studio: Studio) -> Rows:
    """All rows but the jobs, of which one that ran waits again after a restore."""
    return {table: rows for table, rows in everything(studio).items() if table != "generation_jobs"}
