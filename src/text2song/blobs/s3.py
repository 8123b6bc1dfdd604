"""Blobs in a bucket of an S3 server: AWS's own, or any that speaks its protocol.

A put is atomic because S3 shows an object only when all of it is there, whether it came whole or in
parts; the server checks the sha256 of what it is sent, which is signed. Nothing but the bytes that a key's
digest names is ever written there, and only where none of their size are. What `put` returned is as safe
as the server keeps it. What a killed upload leaves is never seen, and a rule of the bucket removes it
(see `docs/how-to/s3.md`).

A server that is dead is given up within ten seconds. Bytes on their way down may take as long as they
move; on their way up, each part has a minute.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from text2song.blobs.address import BucketAddress
from text2song.blobs.keys import digest_in
from text2song.blobs.objects import ObjectBlobs
from text2song.blobs.refusals import Answer, answer_in, refusal
from text2song.blobs.signing import AccessKey, presigned_get
from text2song.blobs.store import LINK_SECONDS
from text2song.errors import StorageFailed, StudioError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

Encryption: TypeAlias = Literal["none", "AES256", "aws:kms"]

PART_BYTES: Final = 8 * 1024 * 1024
"""Above this, bytes go in parts of it. S3 wants at least 5 MiB."""
PARTS_AT_ONCE: Final = 4
WINDOWS_IN_A_LIFE: Final = 4
"""A link is signed as of the beginning of a window; an hour's link keeps its text for a quarter of one."""
_CONNECT: Final = dt.timedelta(seconds=3)
_SILENCE: Final = dt.timedelta(seconds=4)
"""How long a server may say nothing before an answer or within one."""
_UPLOAD_SILENCE: Final = dt.timedelta(seconds=60)
"""The clock of that silence also runs while a part goes up, which a slow line does not do in seconds."""
_NO_LIMIT: Final = dt.timedelta(days=1)
_RETRY: "Final[RetryConfig]" = {
    "max_retries": 3,
    "retry_timeout": dt.timedelta(seconds=4.5),  # so that the second silence is the last
    "backoff": {
        "init_backoff": dt.timedelta(milliseconds=100),
        "max_backoff": dt.timedelta(seconds=1),
        "base": 2,
    },
}
_NOWHERE: Final = "none"
"""A folder of no blobs: a list of it asks whether the bucket is there, and costs the least."""
_MEDIA_TYPES: Final = {".flac": "audio/flac", ".json": "application/json"}
_CACHING: Final = "private, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class S3Options:
    """What an installation decides about its bucket."""

    public_url: str | None = None
    """Scheme and host for which links are signed instead of the server's own."""
    encryption: Encryption = "none"
    """What the server is asked to do with the bytes at rest."""
    redirects: bool = True
    """Whether players are sent to the bucket; else every byte comes through the API."""


def utc_now() -> dt.datetime:
    """The wall clock: the server compares a link with its own, so no other would do."""
    return dt.datetime.now(dt.UTC)


class S3Blobs(ObjectBlobs):
    """A `BlobStore` in one bucket. Opening it asks nothing over the network."""

    def __init__(
        self,
        address: BucketAddress,
        options: S3Options = S3Options(),
        *,
        clock: Callable[[], dt.datetime] = utc_now,
    ) -> None:
        super().__init__(_client(address, options, silence=_SILENCE), place=str(address))
        self._uploads = _client(address, options, silence=_UPLOAD_SILENCE)
        self._address = address
        self._encryption = None if options.encryption == "none" else options.encryption
        self._signer: AccessKey | None = address.key if options.redirects else None
        self._clock = clock
        if self._signer is not None:
            self.link_origin = options.public_url or address.origin

    def link(self, key: str, *, expires_seconds: int = LINK_SECONDS) -> Path | str | None:
        """A presigned URL, equal for a quarter of its life in every process of the same settings.

        None where a role stands in for a key: what it hands out ends when it likes, and so would the link.
        """
        digest_in(key)
        if self._signer is None:
            return None
        window_seconds = max(1, expires_seconds // WINDOWS_IN_A_LIFE)
        window = self._clock().timestamp() // window_seconds
        return presigned_get(
            f"{self.link_origin}{self._address.path}/{key}",
            key=self._signer,
            region=self._address.region,
            signed_at=dt.datetime.fromtimestamp(window * window_seconds, dt.UTC),
            expires_seconds=expires_seconds + window_seconds,
        )

    def require_writable(self) -> None:
        """An answer from the bucket; whether it would also take bytes, the first of them tell."""
        next(self.list(_NOWHERE), None)

    def _is_held(self, key: str, *, size_bytes: int) -> bool:
        try:
            return obstore.head(self._backend, key)["size"] == size_bytes
        except FileNotFoundError:
            return False  # or the bucket is not there, which the upload will tell
        except (BaseError, OSError) as error:
            raise self._meaning_of(error, key=key) from error

    def _send(self, key: str, data: bytes | Path) -> None:
        media_type = _MEDIA_TYPES.get(Path(key).suffix, "application/octet-stream")
        if isinstance(data, Path) and data.stat().st_size <= PART_BYTES:
            data = b"".join(_verified(data, key=key))
        with self._explained(key):
            obstore.put(
                self._uploads,
                key,
                _verified(data, key=key) if isinstance(data, Path) else data,
                attributes={"Content-Type": media_type, "Cache-Control": _CACHING},
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )

    def _meaning_of(self, error: BaseException, *, key: str) -> StudioError:
        answer = answer_in(error)
        if answer.is_vague:
            answer = self._asked_again(answer)
        if isinstance(error, FileNotFoundError) and not answer.is_bucket_missing:
            return self._missing(key)
        return refusal(answer, self._address, encryption=self._encryption)

    def _asked_again(self, vague: Answer) -> Answer:
        """By a list of nothing: answers to HEAD have no body, so only their status tells of the reason."""
        try:
            next(iter(obstore.list(self._backend, _NOWHERE)), None)
        except (BaseError, OSError) as error:
            return answer_in(error)
        return vague

    def _may_lie_beyond(self, error: BaseError) -> bool:
        return answer_in(error).status == 416


def _client(address: BucketAddress, options: S3Options, *, silence: dt.timedelta) -> S3Store:
    """What obstore reads from the environment by itself is left to roles; all else is said here."""
    config: S3Config = {
        "endpoint": address.host_url,
        "aws_endpoint_url_s3": address.host_url,
        "region": address.region,
        "virtual_hosted_style_request": not address.is_path_style,
        "disable_bulk_delete": True,  # one key at a time, by the call that every server has
    }
    if address.key is not None:
        config["access_key_id"] = address.key.id
        config["secret_access_key"] = address.key.secret
        if address.key.session_token:
            config["session_token"] = address.key.session_token
    if options.encryption != "none":
        config["server_side_encryption"] = options.encryption
    client_options: ClientConfig = {
        "allow_http": address.is_plain_http,
        "connect_timeout": _CONNECT,
        "read_timeout": silence,
        "timeout": _NO_LIMIT,  # of a whole answer, which a player may take at its own pace
    }
    if address.authorities:
        client_options["root_certificate"] = address.authorities
    return S3Store(
        address.bucket,
        prefix=address.prefix or None,
        config=config,
        client_options=client_options,
        retry_config=_RETRY,
    )


def _verified(path: Path, *, key: str) -> Iterator[bytes]:
    """A file in pieces; an error at its end if it is no longer what `key` says, so that nothing is kept."""
    running = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(PART_BYTES):
                running.update(piece)
                yield piece
    except OSError as error:
        raise StorageFailed(f"The file {path} could not be read on ({error.strerror}).") from error
    if running.hexdigest() != digest_in(key):
        raise StorageFailed(f"The file {path} changed while it was being stored: try again.")
