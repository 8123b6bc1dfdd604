"""Tests mirror src: each file has a test file of its own, or stands here with the one that tests it."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = ROOT / "src" / "text2song"
TESTS: Final = ROOT / "tests"

DECLARATIONS: Final = {"tables.py", "schemas.py", "examples.py"}
"""What a feature declares is tested by its endpoints' tests, which read and write every field of it."""
TESTED_THROUGH: Final = {
    "api/main.py": "studios.py",  # every desk is the whole API, and the API fails where this does
    "api/provider.py": "api/test_provider_session.py",
    "api/reference.py": "promises/test_openapi.py",
    "blobs/memory.py": "contracts/test_blobs.py",
    "blobs/objects.py": "contracts/test_blobs.py",
    "blobs/store.py": "contracts/test_blobs.py",
    "cli/__main__.py": "cli/test_app.py",
    "cli/backup/backing_up.py": "cli/backup/test_command.py",
    "cli/blobs/copying.py": "cli/blobs/test_command.py",
    "cli/clean/cleaning.py": "cli/clean/test_command.py",
    "cli/db/copying.py": "cli/db/test_command.py",
    "cli/db/upgrading.py": "cli/db/test_command.py",
    "cli/doctor/at_hand.py": "cli/doctor/test_memory.py",
    "cli/doctor/checks_of_memory.py": "cli/doctor/test_memory.py",
    "cli/doctor/checks_of_parts.py": "cli/doctor/test_command.py",
    "cli/doctor/checks_of_queue.py": "cli/doctor/test_command.py",
    "cli/doctor/checks_of_state.py": "cli/doctor/test_command.py",
    "cli/doctor/examining.py": "cli/doctor/test_command.py",
    "cli/doctor/findings.py": "cli/doctor/test_command.py",
    "cli/doctor/sizes.py": "cli/doctor/test_memory.py",
    "cli/generate/access.py": "cli/generate/test_command.py",  # a protocol
    "cli/generate/local.py": "cli/generate/test_command.py",
    "cli/generate/making.py": "cli/generate/test_command.py",
    "cli/key/keeping.py": "cli/key/test_command.py",
    "cli/model/listing.py": "cli/model/test_command.py",
    "cli/model/stocking.py": "cli/model/test_command.py",
    "cli/opening.py": "cli/generate/test_command.py",
    "cli/restore/putting_back.py": "cli/backup/test_command.py",
    "cli/restore/command.py": "cli/backup/test_command.py",
    "cli/serve/serving.py": "cli/serve/test_command.py",
    "cli/user/people.py": "cli/user/test_command.py",
    "cli/worker/notices.py": "cli/test_interruptions.py",
    "cli/worker/working.py": "cli/worker/test_command.py",
    "db/migrations/env.py": "db/test_schema.py",
    "db/migrations/versions/0001_the_first_schema.py": "db/test_schema.py",
    "db/migrations/versions/0002_people.py": "db/test_people_schema.py",
    "db/migrations/versions/0003_traces.py": "db/test_schema.py",
    "db/migrations/versions/0004_what_a_prompt_was_made_into.py": "db/test_plans.py",
    "db/migrations/versions/0005_names_and_shares.py": "db/test_people_schema.py",
    "db/migrations/versions/0006_what_a_worker_computes_on.py": "db/test_schema.py",
    "db/migrations/versions/0007_rows_in_the_making.py": "db/test_schema.py",
    "errors.py": "api/test_problems.py",
    "generation/job/keeping.py": "generation/job/test_handler.py",
    "jobs/columns.py": "jobs/test_lifecycle.py",
    "jobs/hosting.py": "jobs/test_threads.py",
    "jobs/listener.py": "jobs/test_celery.py",
    "jobs/outage.py": "jobs/test_celery.py",
    "jobs/queue.py": "contracts/test_queues.py",
    "jobs/ringer.py": "jobs/test_celery.py",
    "model/attention_loop.py": "model/test_attention.py",  # both ways are held to each other
    "model/conversion.py": "model/test_convert.py",
    "model/dtypes.py": "model/test_precision.py",
    "model/noise_files.py": "model/test_noise.py",
    "model/noise_weights.py": "model/test_noise.py",  # and test_encodec.py: what only transformers asks for
    "model/track.py": "model/test_decoder.py",
    "model/shapes.py": "model/test_configuration.py",
    "names.py": "model/test_noise.py",
    "users/identities.py": "api/test_provider_session.py",
    "users/queries.py": "users/test_endpoints.py",
    "users/sessions.py": "users/test_authentication.py",
    "worker/handlers.py": "worker/test_main.py",
}
"""For these, a test file of their own would say again what another says of them in use."""


def mirrored(name: str) -> str:
    """Where the tests of `name` would stand.

    >>> mirrored("prompts/service.py")
    'prompts/test_service.py'
    """
    path = Path(name)
    return str(path.with_name(f"test_{path.name}"))


def written() -> list[str]:
    """The files of the package that hold more than a docstring's worth of a folder."""
    return sorted(str(p.relative_to(SOURCE)) for p in SOURCE.rglob("*.py") if p.name != "__init__.py")


def test_each_file_has_its_tests_or_says_where_they_are() -> None:
    untested = [
        name
        for name in written()
        if Path(name).name not in DECLARATIONS
        and name not in TESTED_THROUGH
        and not (TESTS / mirrored(name)).exists()
    ]
    assert untested == [], "write these files' tests, or say in TESTED_THROUGH what tests them"


def test_no_exception_outlives_its_reason() -> None:
    files = set(written())
    assert [name for name in TESTED_THROUGH if name not in files or (TESTS / mirrored(name)).exists()] == []
    assert [tests for tests in TESTED_THROUGH.values() if not (TESTS / tests).exists()] == []
