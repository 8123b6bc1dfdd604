from tests.rows import add_prompt, job_of
from text2song.generation.tables import GenerationJob
from text2song.jobs.tally import failures, finished
from text2song.studio import Studio


def test_jobs_are_counted_by_how_they_ended(studio: Studio) -> None:
    with studio.work() as work:
        assert finished(work.session, GenerationJob) == {"cancelled": 0, "failed": 0, "succeeded": 0}
        prompt_id = add_prompt(work.session)
        for status in ("queued", "running", "failed", "succeeded", "succeeded"):
            work.session.add(job_of(prompt_id, status=status))
    with studio.read() as reader:
        assert finished(reader.session, GenerationJob) == {"cancelled": 0, "failed": 1, "succeeded": 2}


def test_failures_are_counted_by_the_error_that_ended_the_job(studio: Studio) -> None:
    with studio.work() as work:
        assert failures(work.session, GenerationJob) == {}
        prompt_id = add_prompt(work.session)
        for status, code in (
            ("failed", "storage_failed"),
            ("failed", "storage_failed"),
            ("failed", "unexpected_failure"),
            ("queued", "storage_failed"),  # it is tried again
            ("cancelled", None),
        ):
            work.session.add(job_of(prompt_id, status=status, error_code=code))
    with studio.read() as reader:
        assert failures(reader.session, GenerationJob) == {"storage_failed": 2, "unexpected_failure": 1}
