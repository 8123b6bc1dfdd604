"""Every error that the studio raises on purpose, as one tree.

Messages are written for the person who caused the error: what is wrong, and what to do next.
The edges translate: `api/problems.py` gives each branch an HTTP status, `cli/` an exit code.
Nothing here knows of either. A `code` is stable: scripts may rely on it.

    StudioError                        studio_error
    ├── InvalidInput                   invalid_input         what was asked for cannot be
    │   └── InvalidCursor              invalid_cursor
    ├── NotFound                       not_found             nothing has that id
    ├── Conflict                       conflict              the state of things forbids it
    │   ├── InUse                      in_use                something immutable needs it
    │   └── IdempotencyMismatch        idempotency_mismatch  same key, another body
    ├── Refused                        refused               not allowed from here
    │   ├── ForeignHost                foreign_host
    │   ├── ForeignOrigin              foreign_origin
    │   ├── ProxyRefused               proxy_refused
    │   ├── NotLoggedIn                not_logged_in         say who you are
    │   ├── Forbidden                  forbidden             role or key do not allow it
    │   └── CsrfFailed                 csrf_failed           a cookie alone changes nothing
    ├── TooLarge                       too_large             the body is over the limit
    ├── RangeUnsatisfiable             range_unsatisfiable   the bytes asked for do not exist
    ├── Unavailable                    unavailable           try again later
    │   ├── NoModelServed              no_model_served
    │   ├── DatabaseBusy               database_busy
    │   ├── StorageFull                storage_full
    │   ├── StorageFailed              storage_failed
    │   ├── QuotaExceeded              quota_exceeded        a person's share is used up
    │   └── TooManyRequests            too_many_requests
    ├── SetupError                     setup_error           the installation is not as it must be
    │   ├── MissingPart                missing_part          a package or program is not installed
    │   ├── DatabaseDamaged            database_damaged
    │   ├── SchemaTooNew               schema_too_new
    │   ├── SchemaTooOld               schema_too_old
    │   ├── PortInUse                  port_in_use
    │   ├── LoginNotSetUp              login_not_set_up      a public address, and no users
    │   └── InvalidSetting             invalid_setting
    ├── ModelError                     model_error           the neural network or its files
    │   ├── ModelMissing               model_missing
    │   ├── ModelCorrupt               model_corrupt
    │   ├── ModelUnsupported           model_unsupported
    │   ├── TakesFailed                takes_failed          some takes of a job; their siblings are kept
    │   ├── ModelOutputRejected        model_output_rejected silent, NaN or clipped
    │   ├── DownloadFailed             download_failed
    │   └── OutOfMemory                out_of_memory
    ├── BlobMissing                    blob_missing
    ├── BlobCorrupt                    blob_corrupt
    ├── BackupDamaged                  backup_damaged        a backup's files are not as they were written
    ├── ClaimLost                      claim_lost            another worker owns the job now
    ├── UnexpectedFailure              unexpected_failure    an error that nobody foresaw; it may pass
    └── WorkerLost                     worker_lost           too many workers died on this job
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, TypeVar

_Meaning = TypeVar("_Meaning")


class StudioError(Exception):
    """The root: an error with a stable code and a message for a person."""

    code: ClassVar[str] = "studio_error"
    is_retryable: ClassVar[bool] = False
    """Whether the same work may succeed when it is simply tried again."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        # A message may repeat a file's name or another program's words. It is kept with the job that failed,
        # and no database keeps half a letter, PostgreSQL no NUL either.
        tellable = message.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
        super().__init__(tellable)
        self.message = tellable
        self.field = field
        """Where in the input the fault lies, as a dotted path such as `prompt.attributes.tempo`."""


class InvalidInput(StudioError):
    code = "invalid_input"


class InvalidCursor(InvalidInput):
    code = "invalid_cursor"


class NotFound(StudioError):
    code = "not_found"


class Conflict(StudioError):
    code = "conflict"


class InUse(Conflict):
    code = "in_use"


class IdempotencyMismatch(Conflict):
    code = "idempotency_mismatch"


class Refused(StudioError):
    code = "refused"


class ForeignHost(Refused):
    code = "foreign_host"


class ForeignOrigin(Refused):
    code = "foreign_origin"


class ProxyRefused(Refused):
    code = "proxy_refused"


class NotLoggedIn(Refused):
    code = "not_logged_in"


class Forbidden(Refused):
    code = "forbidden"


class CsrfFailed(Refused):
    code = "csrf_failed"


class TooLarge(StudioError):
    code = "too_large"


class RangeUnsatisfiable(StudioError):
    code = "range_unsatisfiable"

    def __init__(self, message: str, *, field: str | None = None, size_bytes: int | None = None) -> None:
        super().__init__(message, field=field)
        self.size_bytes = size_bytes
        """How many bytes there are, so that the next range can be right."""


class Unavailable(StudioError):
    code = "unavailable"
    is_retryable = True


class NoModelServed(Unavailable):
    code = "no_model_served"


class DatabaseBusy(Unavailable):
    code = "database_busy"


class StorageFull(Unavailable):
    code = "storage_full"


class StorageFailed(Unavailable):
    code = "storage_failed"


class QuotaExceeded(Unavailable):
    code = "quota_exceeded"


class TooManyRequests(Unavailable):
    code = "too_many_requests"

    def __init__(self, message: str, *, field: str | None = None, retry_after_seconds: int = 60) -> None:
        super().__init__(message, field=field)
        self.retry_after_seconds = retry_after_seconds
        """When there is room again."""


class SetupError(StudioError):
    code = "setup_error"


class MissingPart(SetupError):
    code = "missing_part"


class DatabaseDamaged(SetupError):
    code = "database_damaged"


class SchemaTooNew(SetupError):
    code = "schema_too_new"


class SchemaTooOld(SetupError):
    code = "schema_too_old"


class PortInUse(SetupError):
    code = "port_in_use"


class LoginNotSetUp(SetupError):
    code = "login_not_set_up"


class InvalidSetting(SetupError):
    code = "invalid_setting"


class ModelError(StudioError):
    code = "model_error"


class ModelMissing(ModelError):
    code = "model_missing"


class ModelCorrupt(ModelError):
    code = "model_corrupt"


class ModelUnsupported(ModelError):
    code = "model_unsupported"


class TakesFailed(ModelError):
    code = "takes_failed"


class ModelOutputRejected(ModelError):
    code = "model_output_rejected"


class DownloadFailed(ModelError):
    code = "download_failed"
    is_retryable = True


class OutOfMemory(ModelError):
    code = "out_of_memory"
    is_retryable = True


class BlobMissing(StudioError):
    code = "blob_missing"


class BlobCorrupt(StudioError):
    code = "blob_corrupt"


class BackupDamaged(StudioError):
    code = "backup_damaged"


class ClaimLost(StudioError):
    code = "claim_lost"


class UnexpectedFailure(StudioError):
    code = "unexpected_failure"
    is_retryable = True


class WorkerLost(StudioError):
    code = "worker_lost"


def every_kind(root: type[StudioError] = StudioError) -> Iterator[type[StudioError]]:
    """`root` and all classes below it, as the tree above draws them."""
    yield root
    for child in root.__subclasses__():
        yield from every_kind(child)


def meaning_of(kind: type[StudioError], table: Mapping[type[StudioError], _Meaning]) -> _Meaning:
    """What `table` says of this class or else of its nearest parent; a table must name `StudioError`."""
    return next(table[cls] for cls in kind.__mro__ if cls in table)


def sentence(message: str) -> str:
    """A message with its full stop; the first letter stays: many begin with the name of a field."""
    text = message.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
