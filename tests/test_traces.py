"""One trace over a request and the work that it asked for, sent to a real receiver."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.collector import collecting
from tests.rows import add_prompt, job_of
from tests.servers import Server, finished
from text2song import traces
from text2song.generation.tables import GenerationJob
from text2song.studio import Studio

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_without_a_place_to_send_them_nothing_is_traced(studio: Studio) -> None:
    assert not traces.is_wanted({"OTEL_EXPORTER_OTLP_ENDPOINT": "", "OTEL_SERVICE_NAME": "x"})
    assert traces.is_wanted({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"})
    assert not traces.is_on()
    assert traces.parent() is None
    with studio.work() as work:
        work.session.add(job_of(add_prompt(work.session)))
    with studio.read() as reader:
        assert reader.session.scalars(select(GenerationJob.trace_parent)).one() is None


@pytest.mark.slow
@pytest.mark.parametrize("is_apart", [False, True], ids=["in one process", "in a worker of its own"])
def test_the_worker_goes_on_with_the_trace_of_the_request(
    tmp_path: Path, request: pytest.FixtureRequest, *, is_apart: bool
) -> None:
    with collecting() as collector, ExitStack() as until_the_end:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_SERVICE_NAME": "our studio"}
        if is_apart:
            environment["TEXT2SONG_QUEUE_URL"] = request.getfixturevalue("broker").url
        server = Server(tmp_path / "home", environment)
        until_the_end.callback(kill, server)
        server.start()
        worker = until_the_end.enter_context(started_worker(server)) if is_apart else None
        body = {"prompt": {"text": "a walk"}, "num_samples": 2, "generation_params": {"duration": 1}}
        with server.client() as client:
            server.wait_until(lambda: bool(client.get("/models").json()["items"]), timeout_seconds=60)
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            job = client.post("/generate", json=body, headers=headers).raise_for_status().json()
            finished(client, [job["id"]], timeout_seconds=60)
        assert server.stop() == 0  # what was not sent yet is sent now
        if worker is not None:
            worker.terminate()
            assert worker.wait(60) == 0
        [asked] = collector.named("POST /generate")
        [work] = collector.named("run generation_jobs")
    assert (asked.trace_id.hex(), asked.parent_span_id.hex()) == (TRACE, PARENT)
    assert (work.trace_id, work.parent_span_id) == (asked.trace_id, asked.span_id)
    assert {a.key: a.value.string_value for a in work.attributes}["text2song.job_id"] == job["id"]
    assert work.end_time_unix_nano - work.start_time_unix_nano > 0
    assert collector.services == {"our studio"}
    assert not collector.named("GET /readyz")
    assert "a walk" not in str(collector.spans)


def kill(server: Server) -> None:
    if server.process is not None and server.process.poll() is None:
        server.kill()


@contextmanager
def started_worker(server: Server) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-m", "text2song.cli", "worker"], env=server.environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


START = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from text2song import traces
from text2song.errors import MissingPart
try:
    traces.start()
except MissingPart as error:
    print(error.message)
"""


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:4318"])
def test_what_is_missing_is_told_only_where_traces_are_wanted(endpoint: str) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", START], env=environment, capture_output=True, text=True, check=True
    )
    assert ("your wheel with [telemetry]" in done.stdout) is bool(endpoint)


FAIL = """
from text2song import traces
traces.start()
try:
    with traces.work("run x") as spans:
        spans.begin("0", None)
        spans.end("0")  # over before
        spans.begin("1", None)
        spans.begin("2", "00-%s-%s-01")
        raise ZeroDivisionError
except ZeroDivisionError:
    pass
"""


def test_work_that_breaks_is_an_error_in_each_trace() -> None:
    with collecting() as collector:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "PYTHONPATH": ":".join(sys.path),
        }
        program = FAIL % (TRACE, PARENT)
        subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
        spans = collector.named("run x")
    assert sorted(span.status.message for span in spans) == ["", "ZeroDivisionError", "ZeroDivisionError"]
    assert len({span.trace_id for span in spans}) == 3
    assert TRACE in {span.trace_id.hex() for span in spans}
