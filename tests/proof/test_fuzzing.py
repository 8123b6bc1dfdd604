"""Twenty thousand requests from the OpenAPI document, at a real server with a worker behind it.

Each round asks every operation for what its schema allows and for what it forbids, with ids that were drawn
and with ids of jobs, takes and prompts that are there. Then whole stories are told: what one answer brought
is asked for in the next request, changed, deleted, and asked for again.
"""

import contextlib
import itertools
import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import given, settings
from hypothesis.errors import FlakyStrategyDefinition, Unsatisfiable
from schemathesis import APIOperation, Case, Config, GenerationMode
from schemathesis.core.result import Ok
from sqlalchemy import select

from tests.api.edge import serve
from tests.api.test_features_schema import CONFIG, EXHAUSTIVE, schema
from tests.figures import RecordFigure
from tests.studios import Serving
from tests.users.people import add_person_with_key
from text2song.api import reference
from text2song.generation.endpoints import WAIT_LIMIT_SECONDS
from text2song.generation.tables import GenerationJob
from text2song.jobs import lifecycle
from text2song.jobs.columns import FINAL

Operation: TypeAlias = "APIOperation[Any, Any, Any, Any]"
CASES: Final = 20_000
CASES_OF_STORIES: Final = 2_000
CASES_OF_A_WAY: Final = 12
"""In one round, of one operation, of one mode, with ids of one kind."""
ROLES: Final = ("admin", "rater")
HeadersOf: TypeAlias = Callable[[str], dict[str, str]]
"""With what somebody new of a role asks."""


STORY: Final = settings(EXHAUSTIVE, derandomize=False, database=None, max_examples=10, stateful_step_count=10)
TAKEN_WITH_ITS_PROMPT: Final = {"checks": {"ensure_resource_availability": {"enabled": False}}}
"""Whoever deletes a prompt deletes its jobs that made nothing: the check knows of no such thing."""


def linked_schema() -> schemathesis.BaseSchema:
    """The document, for stories."""
    jobs = [
        {"include-name": f"{method} /generate/{{job_id}}", **TAKEN_WITH_ITS_PROMPT}
        for method in ("GET", "DELETE")
    ]
    config = Config.from_dict({"operations": [*CONFIG["operations"], *jobs]})
    document: dict[str, Any] = json.loads(reference.document())
    return schemathesis.openapi.from_dict(document, config=config)


@pytest.fixture(scope="module", name="url")
def make_url(shared_serving: Serving) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, serve(shared_serving.app) as port:
        patch.setattr(shared_serving.app.state.login.limits, "_requests_a_minute", 0)  # nobody is so quick
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(name="headers_of")
def make_headers(shared_serving: Serving) -> HeadersOf:
    """A key of somebody new: whoever asked before may have shut themselves out."""

    def key_of(role: str) -> dict[str, str]:
        person = add_person_with_key(shared_serving.studio, f"{role} {uuid.uuid4()}", role=role)
        return {"Authorization": f"Bearer {person.key}"}

    shared_serving.client.headers.update(key_of("admin"))
    return key_of


@dataclass
class Fuzzer:
    """One role, and what it was answered."""

    url: str
    headers: dict[str, str]
    session: requests.Session = field(default_factory=requests.Session)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: dict[str, BaseException] = field(default_factory=dict)
    """The first of each operation; nothing more is asked of it."""

    @property
    def cases(self) -> int:
        return self.statuses.total()

    def ask(self, case: Case[Any]) -> None:
        """One request, and every check of its answer."""
        shorten_the_wait(case)
        answer = case.call(base_url=self.url, headers=self.headers, session=self.session)
        self.statuses[answer.status_code] += 1
        case.validate_response(answer, headers=self.headers)

    def explore(self, operation: Operation, known: Mapping[str, str], *, seed: int) -> None:
        """Every way to ask one operation, until the first failure."""
        for number, (mode, ids) in enumerate(itertools.product(GenerationMode, ({}, known))):
            if operation.label in self.failures:
                return
            self._draw(operation, mode, ids, seed=seed * 10 + number)

    def _draw(
        self,
        operation: Operation,
        mode: GenerationMode,
        ids: Mapping[str, str],
        *,
        seed: int,
    ) -> None:
        fixed: dict[str, Any] = {
            "path_parameters": {name: ids[name] for name in names_in(operation, "path") if name in ids},
            "query": {name: ids[name] for name in names_in(operation, "query") if name in ids},
        }
        is_meant = operation.label == "POST /generate" and mode == GenerationMode.POSITIVE
        if ids and not any(fixed.values()) and not is_meant:
            return  # asked already
        cases = operation.as_strategy(generation_mode=mode, **{k: v for k, v in fixed.items() if v})
        if ids and is_meant:
            cases = cases.map(lambda case: as_meant(case, ids=ids))

        @hypothesis.seed(seed)
        @settings(EXHAUSTIVE, derandomize=False, database=None, max_examples=CASES_OF_A_WAY)
        @given(case=cases)
        def asked(case: Case[Any]) -> None:
            self.ask(case)

        try:
            asked()
        except Unsatisfiable:
            pass  # nothing is left that could be wrong
        except (Exception, BaseExceptionGroup) as failure:  # noqa: BLE001  # told at the end, beside the others
            self.failures[operation.label] = failure


def as_meant(case: Case[Any], *, ids: Mapping[str, str]) -> Case[Any]:
    """A request for takes as somebody would make it: what is drawn mostly excludes itself."""
    drawn: Any = case.body
    again: Any = {"from_sample": ids["audio_id"]}
    kept = {name: drawn[name] for name in ("num_samples", "generation_params", "priority") if name in drawn}
    case.body = again if "from_sample" in drawn else kept | {"prompt_id": ids["prompt_id"]}
    return case


def shorten_the_wait(case: Case[Any]) -> None:
    """A job that is there is waited for in earnest: for up to half a second instead of a minute."""
    wait = (case.query or {}).get("wait")
    if isinstance(wait, int | float) and 0 < wait <= WAIT_LIMIT_SECONDS:
        case.query["wait"] = wait / 120


def names_in(operation: Operation, place: str) -> list[str]:
    found = operation.path_parameters if place == "path" else operation.query
    return [parameter.name for parameter in found]


@pytest.mark.proof
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("role", ROLES)
def test_twenty_thousand_requests_find_no_answer_that_is_not_documented(
    shared_serving: Serving,
    url: str,
    headers_of: HeadersOf,
    role: str,
    record_figure: RecordFigure,
) -> None:
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    fuzzer = Fuzzer(url, headers_of(role))
    for seed in itertools.count(1):
        known = known_ids(shared_serving)
        for operation in operations:
            fuzzer.explore(operation, known, seed=seed)
            empty_the_queue(shared_serving)
        if fuzzer.cases >= CASES or len(fuzzer.failures) == len(operations):
            break
    record_figure(f"requests as {role}", fuzzer.cases, "requests")
    for status, count in sorted(fuzzer.statuses.items()):
        record_figure(f"answers {status} to {role}", count, "answers")
    if fuzzer.failures:
        raise BaseExceptionGroup(", ".join(fuzzer.failures), list(fuzzer.failures.values()))
    assert max(fuzzer.statuses) < 500


@dataclass
class Told:
    """What came of the stories."""

    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[Exception] = field(default_factory=list)


def story_at(url: str, told: Told, *, new_headers: Callable[[], dict[str, str]]) -> Any:  # noqa: ANN401  # made at run time
    class Story(linked_schema().as_state_machine()):  # type: ignore[misc]  # made at run time
        """What one answer brought is asked for in the next request."""

        def setup(self) -> None:
            self.headers = new_headers()

        def before_call(self, case: Case[Any]) -> None:
            shorten_the_wait(case)

        def get_call_kwargs(self, case: Case[Any]) -> dict[str, Any]:
            del case
            return {"base_url": url, "headers": self.headers}

        def after_call(self, response: Any, case: Case[Any]) -> None:  # noqa: ANN401  # schemathesis' own
            super().after_call(response, case)
            told.statuses[response.status_code] += 1

        def validate_response(self, response: Any, case: Case[Any], **given: Any) -> None:  # noqa: ANN401  # its own
            if response.status_code in {401, 429}:
                return  # they took their own key, and find every door closed
            try:
                super().validate_response(response, case, **given)
            except Exception as failure:
                told.failures.append(failure)
                raise

    return Story


@pytest.mark.proof
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("role", ROLES)
def test_stories_find_no_answer_that_is_not_documented(
    shared_serving: Serving,
    url: str,
    headers_of: HeadersOf,
    role: str,
    record_figure: RecordFigure,
) -> None:
    told = Told()
    story = story_at(url, told, new_headers=lambda: headers_of(role))
    for seed in itertools.count(1):
        tell = hypothesis.seed(seed)(story)
        # a story cannot be told twice alike: what is there by then differs, and so do all ids
        with contextlib.suppress(FlakyStrategyDefinition):
            tell.run(settings=STORY)
        if told.failures or told.statuses.total() >= CASES_OF_STORIES:
            break
    empty_the_queue(shared_serving)
    record_figure(f"requests in stories as {role}", told.statuses.total(), "requests")
    if told.failures:
        raise ExceptionGroup("in stories", told.failures)
    assert max(told.statuses) < 500


def known_ids(serving: Serving) -> dict[str, str]:
    """Of what is there, by the names of parameters; new in each round, since some of it will be deleted."""
    job = serving.make(num_samples=2)
    samples: Sequence[dict[str, str]] = job["samples"]
    return {
        "job_id": job["id"],
        "audio_id": samples[0]["id"],
        "prompt_id": job["prompt_id"],
        "ids": job["id"],
    }


def empty_the_queue(serving: Serving) -> None:
    """The worker is to make what the next round needs, not everything that was drawn."""
    unfinished = select(GenerationJob.id).where(GenerationJob.status.not_in(FINAL))
    with serving.studio.work() as work:
        for job_id in work.session.scalars(unfinished).all():
            lifecycle.cancel(work.session, GenerationJob, job_id, now=work.clock())
