"""A studio behind a URL, spoken to over HTTP."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import httpx2
from pydantic import SecretStr, ValidationError

from text2song import __version__
from text2song.audio.schemas import AudioSampleOut
from text2song.errors import (
    InvalidInput,
    NotLoggedIn,
    StudioError,
    Unavailable,
    UnexpectedFailure,
    every_kind,
)
from text2song.generation.schemas import Cancelled, GenerateIn, JobOut
from text2song.sound.files import AudioFormat
from text2song.wire import Problem, WireModel

ANSWER_SECONDS: Final = 30.0
"""How long any answer may take, beyond what it was asked to wait."""

BodyT = TypeVar("BodyT", bound=WireModel)


class RemoteStudio:
    """Implements `access.StudioAccess` over the API."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def submit(self, body: GenerateIn) -> JobOut:
        """`POST /generate`."""
        content = body.model_dump_json(exclude_unset=True)
        return self._ask(JobOut, "POST", "/generate", content=content)

    def read(self, job_id: uuid.UUID, *, since: int, wait_seconds: float) -> JobOut:
        """`GET /generate/{id}?wait=&since=`."""
        return self._ask(JobOut, "GET", f"/generate/{job_id}?wait={wait_seconds:g}&since={since}")

    def cancel(self, job_id: uuid.UUID) -> JobOut:
        """`DELETE /generate/{id}`."""
        return self._ask(Cancelled, "DELETE", f"/generate/{job_id}").job

    def sample(self, audio_id: uuid.UUID) -> AudioSampleOut:
        """`GET /audio/{id}`."""
        return self._ask(AudioSampleOut, "GET", f"/audio/{audio_id}")

    def sound(self, audio_id: uuid.UUID, *, into: AudioFormat) -> bytes:
        """`GET /audio/{id}/download?format=`."""
        return self._send("GET", f"/audio/{audio_id}/download?format={into.name}").content

    def place(self, audio_id: uuid.UUID) -> str:
        """The URL that streams it."""
        return str(self._client.base_url.join(f"audio/{audio_id}/stream"))

    def _ask(self, body: type[BodyT], method: str, path: str, *, content: str | None = None) -> BodyT:
        answer = self._send(method, path, content=content)
        try:
            # What a newer server says besides is no reason to fail.
            return body.model_validate_json(answer.content, extra="ignore")
        except ValidationError as error:
            raise self._not_a_studio() from error

    def _send(self, method: str, path: str, *, content: str | None = None) -> httpx2.Response:
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            answer = self._client.request(method, path.lstrip("/"), content=content, headers=headers)
        except httpx2.TransportError as error:
            raise Unavailable(
                f"no studio answers at {self._client.base_url} ({error}): start one with `make studio`, or "
                "leave out --server to work in this process."
            ) from error
        if not answer.is_success:
            raise self._error_in(answer)
        return answer

    def _error_in(self, answer: httpx2.Response) -> StudioError:
        try:
            problem = Problem.model_validate_json(answer.content, extra="ignore")
        except ValidationError:
            return self._not_a_studio()
        kind = ERRORS.get(problem.code, UnexpectedFailure)
        if kind is NotLoggedIn:
            detail = f"{problem.detail} From here: set TEXT2SONG_API_KEY to a key of that studio."
            return kind(detail, field=problem.field)
        return kind(problem.detail, field=problem.field)

    def _not_a_studio(self) -> StudioError:
        return UnexpectedFailure(
            f"what answers at {self._client.base_url} is not a Text2Song Studio, or of another version: "
            "check the URL."
        )


@contextmanager
def remote_studio(url: str, *, key: SecretStr | None = None) -> Iterator[RemoteStudio]:
    """The studio at `url`; `key` logs in there.

    Raises:
        InvalidInput: it is not a URL.
    """
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise _no_url(url) from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise _no_url(url)
    login = {"Authorization": f"Bearer {key.get_secret_value()}"} if key is not None else {}
    # Not through the environment's proxy: a studio without users answers to no proxy.
    with httpx2.Client(
        base_url=parsed,
        timeout=httpx2.Timeout(ANSWER_SECONDS, connect=5.0),
        trust_env=False,
        headers={"User-Agent": f"text2song/{__version__}", **login},
    ) as client:
        yield RemoteStudio(client)


def _no_url(url: str) -> InvalidInput:
    return InvalidInput(
        f"--server {url!r} is not a URL: one looks like http://127.0.0.1:8000.", field="--server"
    )


ERRORS: Final = {kind.code: kind for kind in every_kind()}
"""The class of each stable code, so that an error over HTTP ends a command as it would here."""
