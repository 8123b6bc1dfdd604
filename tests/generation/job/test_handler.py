import threading
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from tests.adapters.shelf import add_adapter
from tests.benches import Bench
from tests.db.disks import small_disk
from tests.jobs.workshop import shift_of
from tests.studios import Desk
from text2song.audio import cleaning
from text2song.audio import service as audio
from text2song.audio.tables import AudioSample
from text2song.blobs.local import LocalBlobs
from text2song.errors import ModelOutputRejected, OutOfMemory, StorageFailed
from text2song.generation.job.handler import GenerationHandler
from text2song.jobs import lifecycle
from text2song.jobs.leases import Leases
from text2song.jobs.lifecycle import Claim, Report
from text2song.jobs.shift import Shift
from text2song.model.protocol import RowResult
from text2song.model.verdict import accepted
from text2song.models import service as models
from text2song.sound.waveform import Waveform


def samples_kept(bench: Bench) -> int:
    with bench.desk.studio.read() as reader:
        return reader.session.scalar(select(func.count()).select_from(AudioSample)) or 0


class SilentOnce:
    """The first take is silence: what a broken model would make, and how ours judges it."""

    def __init__(self) -> None:
        self._has_been = False

    def __call__(self, desk: Desk, result: RowResult) -> RowResult:
        del desk
        if self._has_been:
            return result
        self._has_been = True
        with pytest.raises(ModelOutputRejected) as refusal:
            accepted(Waveform(np.zeros((1, 32_000), dtype=np.float32), 32_000))
        return RowResult(result.row, refusal.value)


@pytest.fixture(name="silent_once")
def first_take_is_silent(bench: Bench) -> SilentOnce:
    bench.trouble = SilentOnce()
    return bench.trouble


def test_a_job_is_made(bench: Bench) -> None:
    job = bench.desk.submit(num_samples=3, generation_params={"seed": 7, "duration": 1})
    bench.work()
    done = bench.job(job)
    assert (done["status"], done["stage"], done["progress"], done["error"]) == (
        "succeeded",
        "done",
        1.0,
        None,
    )
    assert (done["position"], done["eta_seconds"], done["attempts"]) == (None, None, 1)
    assert done["frames_done"] == done["frames_total"] == 150
    assert [take["status"] for take in done["takes"]] == ["succeeded"] * 3
    assert [sample["seed"] for sample in done["samples"]] == [7, 8, 9]
    assert [sample["id"] for sample in done["samples"]] == [take["audio_id"] for take in done["takes"]]
    assert {sample["duration_seconds"] for sample in done["samples"]} == {1.0}
    assert done["samples"][0]["stream_url"] == f"/audio/{done['samples'][0]['id']}/stream"
    assert done["started_at"] == done["finished_at"] == "2026-01-01T12:00:00Z"


@pytest.mark.usefixtures("silent_once")
def test_a_take_that_fails_leaves_its_siblings_saved(bench: Bench) -> None:
    job = bench.desk.submit(num_samples=3, generation_params={"seed": 7, "duration": 1})
    bench.work()
    done = bench.job(job)
    assert (done["status"], done["error"]["code"]) == ("failed", "takes_failed")
    assert done["error"]["message"].startswith("1 of 3 takes failed: The model produced silence.")
    assert [take["status"] for take in done["takes"]] == ["failed", "succeeded", "succeeded"]
    assert done["takes"][0]["error"]["code"] == "model_output_rejected"
    assert "another seed" in done["takes"][0]["error"]["message"]
    assert [sample["seed"] for sample in done["samples"]] == [8, 9]
    assert samples_kept(bench) == 2
    for sample in done["samples"]:
        assert bench.desk.client.get(sample["stream_url"]).status_code == 200


def test_a_take_that_fails_while_the_database_is_away_costs_its_siblings_nothing(
    bench: Bench, silent_once: SilentOnce
) -> None:
    def take_away(desk: Desk, result: RowResult) -> RowResult:
        """For longer than a beat, as long as a restart takes."""
        if result.row == 0:
            file = desk.studio.settings.home / "studio.db"
            away = file.rename(file.with_name("elsewhere"))
            threading.Timer(0.2, away.rename, (file,)).start()
        return silent_once(desk, result)

    bench.trouble = take_away
    done = bench.make(num_samples=3, generation_params={"seed": 7, "duration": 1})
    assert [take["status"] for take in done["takes"]] == ["failed", "succeeded", "succeeded"]
    assert (done["status"], done["attempts"], len(bench.entered)) == ("failed", 1, 3)


@pytest.mark.usefixtures("silent_once")
def test_a_retry_makes_the_unmade_takes_with_another_seed_where_the_output_was_at_fault(bench: Bench) -> None:
    job = bench.desk.submit(num_samples=3, generation_params={"seed": 7, "duration": 1})
    bench.work()
    answer = bench.desk.client.post(f"/generate/{job['id']}/retry")
    assert answer.status_code == 202
    again = answer.json()
    assert answer.headers["location"] == f"/generate/{again['id']}"
    assert again["retry_of"] == job["id"] != again["id"]
    assert [take["take"] for take in again["takes"]] == [0]
    assert again["takes"][0]["seed"] != 7
    bench.work()
    assert bench.job(again)["status"] == "succeeded"
    assert samples_kept(bench) == 3
    assert bench.job(job)["status"] == "failed"  # the record stays


def test_a_side_whose_adapter_the_model_refuses_leaves_the_other_side_saved(bench: Bench) -> None:
    add_adapter(bench.desk.studio)
    params = {"seed": 7, "duration": 1}
    sides = [[], [{"adapter": "warm@1.2.0"}]]
    job = bench.desk.submit(num_samples=2, sides=sides, generation_params=params)
    bench.work()
    done = bench.job(job)
    assert [take["status"] for take in done["takes"]] == ["succeeded"] * 2 + ["failed"] * 2
    assert {take["error"]["code"] for take in done["takes"][2:]} == {"model_unsupported"}
    assert done["error"]["message"].startswith("2 of 4 takes failed")
    again = bench.desk.client.post(f"/generate/{job['id']}/retry").json()
    assert [(take["take"], take["side"], take["seed"]) for take in again["takes"]] == [(2, 1, 7), (3, 1, 8)]


def test_a_full_disk_costs_a_wait_and_no_take(bench: Bench, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        blobs = LocalBlobs(disk)
        stuffing = disk / "stuffing"
        stuffing.write_bytes(bytes(1_000_000 - 250_000))  # room for two takes of a second, not for three
        bench.desk = replace(bench.desk, studio=replace(bench.desk.studio, blobs=blobs))
        job = bench.desk.submit(num_samples=3, generation_params={"seed": 7, "duration": 1})
        bench.work()
        waiting = bench.job(job)
        assert (waiting["status"], waiting["error"]["code"]) == ("queued", "storage_full")
        assert "free some space" in waiting["error"]["message"]
        kept = [take["audio_id"] for take in waiting["takes"] if take["status"] == "succeeded"]
        assert 1 <= len(kept) == samples_kept(bench) < 3
        bench.work()
        assert bench.job(job)["attempts"] == 1  # not before its time
        stuffing.unlink()
        bench.desk.clock.advance(lifecycle.BACKOFF_SECONDS[0])
        bench.work()
        done = bench.job(job)
        assert (done["status"], done["error"], done["attempts"]) == ("succeeded", None, 2)
        assert [take["audio_id"] for take in done["takes"]][: len(kept)] == kept
        assert samples_kept(bench) == 3
        assert len(bench.entered) == 3 + (3 - len(kept))
        assert all(blobs.exists(bench.sample(job, take=take)["storage_path"]) for take in range(3))


def _fails(_desk: Desk, result: RowResult) -> RowResult:
    return RowResult(result.row, OutOfMemory("there was no memory."))


def test_what_may_pass_is_tried_three_times(bench: Bench) -> None:
    bench.trouble = _fails
    job = bench.desk.submit(num_samples=2, generation_params={"seed": 7, "duration": 1})
    for attempt in (1, 2, 3):
        bench.work()
        waiting = bench.job(job)
        assert waiting["attempts"] == attempt
        assert waiting["status"] == ("queued" if attempt < 3 else "failed")
        bench.desk.clock.advance(10)
    assert waiting["error"] == {"code": "out_of_memory", "message": "there was no memory."}
    bench.trouble = None
    again = bench.desk.client.post(f"/generate/{job['id']}/retry").json()
    assert [take["seed"] for take in again["takes"]] == [7, 8]
    bench.work()
    assert bench.job(again)["status"] == "succeeded"


def _fails_where_the_seed_is_even(desk: Desk, result: RowResult) -> RowResult:
    del desk
    return RowResult(result.row, StorageFailed("try again.")) if result.row % 2 else result


def test_an_attempt_makes_only_what_is_missing(bench: Bench) -> None:
    bench.trouble = _fails_where_the_seed_is_even
    job = bench.desk.submit(num_samples=4, generation_params={"seed": 7, "duration": 1})
    bench.work()
    bench.trouble = None
    bench.desk.clock.advance(10)
    bench.work()
    assert [spec.seed for spec in bench.entered] == [7, 8, 9, 10, 8, 10]
    assert bench.job(job)["status"] == "succeeded"
    assert samples_kept(bench) == 4


def test_the_same_spec_and_seed_give_the_same_codes_in_any_company(bench: Bench) -> None:
    alone = bench.desk.submit(generation_params={"seed": 7, "duration": 2})
    bench.work()
    company = [
        bench.desk.submit(generation_params={"seed": 100, "duration": 3}),
        bench.desk.submit(generation_params={"seed": 7, "duration": 2}),
        bench.desk.submit(num_samples=2, generation_params={"seed": 6, "duration": 2, "top_k": 40}),
    ]
    bench.work()
    assert bench.crowds == [1, 1, 2, 3, 4]
    first, amid = bench.sample(alone), bench.sample(company[1])
    assert amid["codes_sha256"] == first["codes_sha256"]
    assert amid["sha256"] == first["sha256"]
    others = [company[0], company[2]]
    assert first["codes_sha256"] not in {bench.sample(job)["codes_sha256"] for job in others}


def test_a_sample_is_made_again_from_its_own_record(bench: Bench) -> None:
    params = {"seed": 7, "duration": 1.3, "temperature": 0.8, "top_k": 99, "top_p": 0.9, "guidance_scale": 2}
    job = bench.desk.submit(
        prompt={"text": "rain", "attributes": {"tempo": 84, "duration": 20}}, generation_params=params
    )
    bench.work()
    sample = bench.sample(job)
    answer = bench.desk.client.post("/generate", json={"from_sample": sample["id"], "priority": -2})
    assert answer.status_code == 202
    assert answer.json()["prompt_id"] == job["prompt_id"]
    assert answer.json()["priority"] == -2
    assert answer.json()["generation_params"] == params
    assert answer.json()["from_sample"] == sample["id"]
    bench.work()
    again = bench.sample(answer.json())
    for same in ("codes_sha256", "sha256", "generation_params", "sentence", "model", "provenance"):
        assert again[same] == sample[same]
    assert again["id"] != sample["id"]
    assert bench.desk.client.delete(f"/audio/{sample['id']}").status_code == 204
    assert (
        bench.job(answer.json())["from_sample"] == sample["id"]
    )  # it was made from it, whatever became of it


def test_a_model_with_other_weights_cannot_make_a_sample_again(bench: Bench) -> None:
    job = bench.desk.submit()
    bench.work()
    with bench.desk.studio.work() as work:
        models.announce(work, replace(bench.info, fingerprint="0" * 64), worker="other", capacity=1)
    answer = bench.desk.client.post("/generate", json={"from_sample": bench.sample(job)["id"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert answer.json()["field"] == "from_sample"
    assert "other weights" in answer.json()["detail"]


def _cancelled_meanwhile(desk: Desk, result: RowResult) -> RowResult:
    job = desk.client.get("/generate").json()["items"][0]
    assert desk.client.delete(f"/generate/{job['id']}").json()["changed"]
    return result


def test_a_take_that_is_finished_when_its_job_is_cancelled_is_not_saved(bench: Bench) -> None:
    bench.trouble = _cancelled_meanwhile
    job = bench.desk.submit()
    bench.work()
    done = bench.job(job)
    assert (done["status"], done["samples"], done["error"]) == ("cancelled", [], None)
    assert [take["status"] for take in done["takes"]] == ["cancelled"]
    assert samples_kept(bench) == 0
    bench.desk.clock.advance(audio.GRACE.total_seconds())
    cleaning.reap(bench.desk.studio)
    assert list(bench.desk.studio.blobs.list("audio")) == []  # its bytes fill no disk for ever
    assert list(bench.desk.studio.blobs.list("audio")) == []


class Reports(Leases):
    """Leases that remember what was reported."""

    def __init__(self) -> None:
        super().__init__(lambda _reports: set(), beat_seconds=60, lease_seconds=60)
        self.told: list[Report] = []

    def report(self, claim: Claim, report: Report) -> None:
        del claim
        self.told.append(report)


@pytest.mark.parametrize("number", [1, 3, 4])
def test_progress_only_grows_and_ends_at_one(bench: Bench, number: int) -> None:
    bench.desk.submit(num_samples=number)
    reports = Reports()
    handler = GenerationHandler(bench.desk.studio, bench)
    with reports:
        handler.run(shift_of(bench.desk.studio, handler, leases=reports))
    progress = [report.progress for report in reports.told]
    assert progress == sorted(progress)
    assert (progress[0], progress[-1]) == (0.0, 1.0)
    assert len(set(progress)) > 40
    assert {report.stage for report in reports.told} == {"composing", "rendering"}


def test_a_job_that_is_deleted_after_its_claim_leaves_its_neighbours_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = bench.desk.submit(), bench.desk.submit()
    next_turn = Shift.next_turn

    def deleted_at_once(shift: Shift, held: Collection[Claim] = (), *, is_open: bool = True) -> Claim | None:
        turn = next_turn(shift, held, is_open=is_open)
        if turn is not None and str(turn.job_id) == gone["id"]:
            assert bench.desk.client.delete(f"/prompts/{gone['prompt_id']}").status_code == 204
        return turn

    monkeypatch.setattr(Shift, "next_turn", deleted_at_once)
    bench.work()
    assert bench.desk.client.get(f"/generate/{gone['id']}").status_code == 404
    assert bench.job(stays)["status"] == "succeeded"


def test_a_worker_that_stops_hands_its_job_back_with_what_is_made(bench: Bench) -> None:
    stopping = threading.Event()

    def stop_after_the_first(_desk: Desk, result: RowResult) -> RowResult:
        stopping.set()
        return result

    bench.trouble = stop_after_the_first
    job = bench.desk.submit(num_samples=3)
    handler = GenerationHandler(bench.desk.studio, bench)
    with Reports() as leases:
        handler.run(shift_of(bench.desk.studio, handler, leases=leases, is_stopping=stopping.is_set))
    assert [take["status"] for take in bench.job(job)["takes"]] == ["succeeded", "running", "running"]


def test_the_speed_is_learnt_from_what_was_made(bench: Bench) -> None:
    handler = GenerationHandler(bench.desk.studio, bench)

    def work() -> None:
        with Reports() as leases:
            handler.run(shift_of(bench.desk.studio, handler, leases=leases))

    assert handler.speed is None
    bench.trouble = _fails
    bench.desk.submit()
    work()
    assert handler.speed is None
    bench.trouble = None
    bench.desk.submit(num_samples=4)
    work()
    assert handler.speed is not None
    assert handler.speed > 0
