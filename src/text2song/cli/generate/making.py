"""What `generate` does: ask, follow, write, and say where the music is."""

import uuid
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from text2song.audio.schemas import AudioSampleOut
from text2song.cli.answer import Answer, Interrupted
from text2song.cli.generate.access import StudioAccess
from text2song.cli.generate.asking import request_of
from text2song.cli.generate.command import Wish
from text2song.cli.generate.files import FilePlan, plan_files
from text2song.cli.generate.following import ProgressView, follow
from text2song.cli.generate.local import local_studio
from text2song.cli.generate.remote import ERRORS, remote_studio
from text2song.errors import ModelError, StudioError, UnexpectedFailure
from text2song.generation.schemas import GenerateIn, JobOut, JobSampleOut
from text2song.settings import load_settings


def make(wish: Wish, *, answer: Answer, out: Path | None, is_forced: bool, server: str | None) -> None:
    """Make the takes of `wish` and answer where they are.

    Raises:
        InvalidInput: for what cannot be; nothing was started then.
        Interrupted: on Ctrl-C; what was finished is kept.
        StudioError: when the work failed, or a take that was made again is not identical.
    """
    body = request_of(wish)
    plan = plan_files(out, takes=body.num_samples, is_forced=is_forced) if out is not None else None
    with _opened(body, wish, answer=answer, server=server) as access:
        job, is_interrupted = _make(access, body, answer=answer)
        answer.about["job"] = job.model_dump(mode="json")
        kept = [_kept(access, sample, plan) for sample in job.samples]
        answer.about["files"] = [each.as_json() for each in kept]
        if is_interrupted:
            raise Interrupted(_farewell(job, kept))
        if job.status != "succeeded":
            raise _failure(job, kept)
        lines = [each.as_text() for each in kept]
        if body.from_sample is not None:
            verdict = _compare(access, body.from_sample, job.samples[0].id)
            answer.about["from_sample"] = verdict.as_json()
            lines.append(verdict.as_text())
            if verdict.differences is not None:
                raise ModelError(" ".join(lines))
        answer.give(answer.about, text="\n".join(lines))


def _opened(
    body: GenerateIn, wish: Wish, *, answer: Answer, server: str | None
) -> AbstractContextManager[StudioAccess]:
    if server is not None:
        return remote_studio(server, key=load_settings().api_key)
    return local_studio(body, model=wish.model, answer=answer)


def _make(access: StudioAccess, body: GenerateIn, *, answer: Answer) -> tuple[JobOut, bool]:
    """The job at its end, and whether Ctrl-C brought that about."""
    job = access.submit(body)
    try:
        if job.notice is not None:
            answer.notice(job.notice)
        with ProgressView(answer.console) as view:
            return follow(access, job, view=view), False
    except KeyboardInterrupt:
        answer.notice("Cancelling; press Ctrl-C again to leave at once.")
        return access.cancel(job.id), True


@dataclass(frozen=True, slots=True)
class _Kept:
    """A finished take and where it is."""

    sample: JobSampleOut
    path: str

    def as_json(self) -> dict[str, Any]:
        sample = self.sample
        return {"take": sample.take + 1, "audio_id": str(sample.id), "seed": sample.seed, "path": self.path}

    def as_text(self) -> str:
        sample = self.sample
        said = f"Take {sample.take + 1}, seed {sample.seed}, {sample.duration_seconds:.1f} s"
        return f"{said}: {self.path} (sample {sample.id})"


def _kept(access: StudioAccess, sample: JobSampleOut, plan: FilePlan | None) -> _Kept:
    if plan is None:
        return _Kept(sample, access.place(sample.id))
    path = plan.write(sample.take, access.sound(sample.id, into=plan.into))
    return _Kept(sample, str(path))


def _farewell(job: JobOut, kept: list[_Kept]) -> str:
    what = "the job had ended already" if job.status == "succeeded" else "the job was cancelled"
    takes = f"{len(kept)} of {len(job.takes)} takes were finished"
    return "\n".join([f"interrupted: {what}; {takes}{' and are kept.' if kept else '.'}", *_lines(kept)])


def _failure(job: JobOut, kept: list[_Kept]) -> StudioError:
    if job.error is None:  # somebody else cancelled it
        return UnexpectedFailure("\n".join([f"the job was {job.status} by another.", *_lines(kept)]))
    kind = ERRORS.get(job.error.code, UnexpectedFailure)
    return kind("\n".join([job.error.message, *_lines(kept)]))


def _lines(kept: list[_Kept]) -> list[str]:
    return [each.as_text() for each in kept]


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Whether a take that was made again is the same."""

    original: AudioSampleOut
    differences: tuple[str, ...] | None
    """What else is different now; None for identical codes."""

    def as_json(self) -> dict[str, Any]:
        return {
            "id": str(self.original.id),
            "codes_sha256": self.original.codes_sha256,
            "identical": self.differences is None,
            "differences": list(self.differences or ()),
        }

    def as_text(self) -> str:
        if self.differences is None:
            return f"Identical to sample {self.original.id}: the codes are the same, bit for bit."
        why = "; ".join(self.differences) or "the record shows no difference, so perhaps another processor"
        return f"Not identical to sample {self.original.id}: {why}."


def _compare(access: StudioAccess, original_id: uuid.UUID, remade_id: uuid.UUID) -> _Verdict:
    original, remade = access.sample(original_id), access.sample(remade_id)
    if original.codes_sha256 == remade.codes_sha256:
        return _Verdict(original, None)
    before, now = _circumstances(original), _circumstances(remade)
    changed = sorted(name for name in before | now if before.get(name) != now.get(name))
    return _Verdict(original, tuple(f"{n} was {before.get(n)}, is {now.get(n)}" for n in changed))


def _circumstances(sample: AudioSampleOut) -> dict[str, str]:
    """What decides the codes beside the specification."""
    made = sample.provenance
    return {
        "fingerprint": made.fingerprint,
        "revision": made.revision,
        "dtype": made.dtype,
        "device": made.device or "cpu",
        **made.versions,
    }
