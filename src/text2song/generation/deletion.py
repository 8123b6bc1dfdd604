"""Deleting prompts and samples: they lie on floors below, and know nothing of the jobs that point to them."""

import uuid

from sqlalchemy import ColumnElement, delete, select

from text2song.audio import queries as samples
from text2song.audio import service as audio
from text2song.errors import InUse
from text2song.generation.quotas import DAY
from text2song.generation.tables import GenerationJob, GenerationTake, UsedSeconds
from text2song.jobs import lifecycle
from text2song.prompts import service as prompts
from text2song.studio import Work


def delete_prompt(work: Work, prompt_id: uuid.UUID) -> None:
    """Delete a prompt with those of its jobs that made nothing; what still waits or runs is dropped.

    Raises:
        NotFound: when there is none.
        Forbidden: it is somebody else's.
        InUse: while takes belong to it, or jobs of others, to whom it was shared.
    """
    prompt = prompts.hold(work, prompt_id)
    theirs = [GenerationJob.user_id != owner for owner in (prompt.user_id, work.actor.user_id) if owner]
    others = select(GenerationJob.id).where(
        GenerationJob.prompt_id == prompt_id, GenerationJob.user_id.is_not(None), *theirs
    )
    if work.session.scalar(others.limit(1)) is not None:
        raise InUse(
            "others have asked for takes of this prompt while it was shared, and their jobs would go, too. "
            "Keep it to yourself instead: PATCH it to be private."
        )
    delete_jobs(work, GenerationJob.prompt_id == prompt_id)
    prompts.delete(work, prompt)


def delete_jobs(work: Work, which: ColumnElement[bool]) -> None:
    """Delete jobs. Of those that were begun, what they used of their owners' minutes stays used.

    The rows tell what they were as they go: somebody else may be deleting one, or a worker beginning it.
    """
    told = (GenerationJob.id, GenerationJob.user_id, GenerationJob.cost, GenerationJob.created_at)
    gone = work.session.execute(delete(GenerationJob).where(which).returning(*told, GenerationJob.started_at))
    since = work.clock() - DAY
    work.session.add_all(
        UsedSeconds(id=job.id, user_id=job.user_id, seconds=job.cost, asked_at=job.created_at)
        for job in gone
        if job.user_id is not None and job.started_at is not None and job.created_at > since
    )
    work.session.flush()


def delete_sample(work: Work, audio_id: uuid.UUID) -> None:
    """Delete a sample for good; the job that made it stays, and who follows that job hears of it.

    Raises:
        NotFound: when there is none.
        Forbidden: it is somebody else's.
        InUse: while something immutable needs it.
    """
    _tell_makers(work, audio_id)
    audio.delete(work, audio_id)


def retire_sample(work: Work, audio_id: uuid.UUID) -> None:
    """The same for one that is no longer kept: nobody did it, so the audit says nothing.

    Raises:
        NotFound: when there is none.
        InUse: while something immutable needs it.
    """
    _tell_makers(work, audio_id)
    audio.drop(work, samples.get(work, audio_id))


def _tell_makers(work: Work, audio_id: uuid.UUID) -> None:
    makers = select(GenerationTake.job_id).where(GenerationTake.audio_id == audio_id)
    lifecycle.mark_changed(work.session, GenerationJob, GenerationJob.id.in_(makers))
