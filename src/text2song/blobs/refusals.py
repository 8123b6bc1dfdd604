"""What an S3 server refuses, as what a person can do about it; never with a secret in it.

obstore's own text holds the server's whole answer, which repeats the access key and what was signed. Little
of it is used: the status, the code that the S3 protocol defines ("Error Responses" in the AWS S3 API
Reference; other servers use the same), and which host was asked.
"""

import re
from dataclasses import dataclass
from typing import Final

from text2song.blobs.address import BucketAddress
from text2song.errors import StorageFailed, StorageFull, StudioError

_ASKED: Final = re.compile(r"Error performing [A-Z]+ (\S+) in ")
_STATUS: Final = re.compile(r"status code: (\d{3})\b")
_CODE: Final = re.compile(r"<Code>\s*([A-Za-z0-9.]{1,64})\s*</Code>")
_REGION: Final = re.compile(r"<Region>\s*([A-Za-z0-9-]{1,64})\s*</Region>")

_NO_BUCKET: Final = "NoSuchBucket"
_NO_KEY: Final = (
    "There is no key for {address}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. (Without them a role of "
    "this machine is asked for, and there is none.)"
)
_UNREACHABLE: Final = (
    "No answer from {address}: see that its server runs and that its endpoint is right, then try again."
)
_MISSING: Final = (
    "There is no bucket {address.bucket} at {address.endpoint}: make it, or correct {address.given_as}."
)
_WRONG_KEY: Final = (
    "The key for {address} is wrong ({said}): correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and start "
    "again."
)
_EXPIRED: Final = (
    "The temporary key for {address} has ended or is incomplete ({said}): set AWS_ACCESS_KEY_ID, "
    "AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN anew, and start again."
)
_CLOCK: Final = "The clock of this machine is not that of {address} ({said}): set it, best by NTP."
_WRONG_REGION: Final = (
    "The region of {address} is {region}, not {address.region} ({said}): set region= in {address.given_as}, "
    "or AWS_REGION."
)
_FORBIDDEN: Final = (
    "The key may not do this in {address} ({said}): allow it s3:ListBucket, s3:GetObject, s3:PutObject, "
    "s3:DeleteObject and s3:AbortMultipartUpload."
)
_TROUBLE: Final = "The server of {address} has trouble of its own ({said}): see to it, then try again."
_NO_ENCRYPTION: Final = (
    "The server does not encrypt by {encryption} in {address} ({said}): see to its keys, or set "
    "TEXT2SONG_BLOBS_ENCRYPTION=none."
)
_REFUSED: Final = "The server refuses what was asked of {address} ({said}): see its log, then try again."
_FULL: Final = "There is no space left in {address} ({said}): free some, or raise its quota."

_BY_CODE: Final = {
    code: advice
    for advice, codes in {
        _MISSING: (_NO_BUCKET,),
        _WRONG_KEY: ("InvalidAccessKeyId", "SignatureDoesNotMatch", "Unauthorized"),
        _EXPIRED: ("ExpiredToken", "InvalidToken", "TokenRefreshRequired"),
        _CLOCK: ("RequestTimeTooSkewed",),
        _WRONG_REGION: (
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "PermanentRedirect",
            "TemporaryRedirect",
        ),
        _FORBIDDEN: ("AccessDenied", "AllAccessDisabled"),
        _TROUBLE: ("SlowDown",),
        _FULL: ("InsufficientCapacity", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"),
    }.items()
    for code in codes
}
_BY_STATUS: Final = {401: _WRONG_KEY, 403: _FORBIDDEN, 429: _TROUBLE, 507: _FULL}
_ENCRYPTION_CODES: Final = frozenset({"InvalidEncryptionAlgorithmError", "NotImplemented"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What an error tells that may be told on."""

    status: int | None
    """Of HTTP; None where no server has answered."""
    code: str | None
    """Of S3; None where the answer had no body, as answers to HEAD have none."""
    region: str | None = None
    """Where the bucket is, if the server says so."""
    asked: str = ""
    """The URL; of another host where a role was asked for and not the bucket."""

    @property
    def is_vague(self) -> bool:
        """Whether another question would tell more."""
        return self.status is not None and self.status < 500 and self.code is None

    @property
    def is_bucket_missing(self) -> bool:
        """Whether there is not even a bucket."""
        return self.code == _NO_BUCKET


def answer_in(error: BaseException) -> Answer:
    """The server's answer, out of obstore's text."""
    found = [pattern.search(str(error)) for pattern in (_STATUS, _CODE, _REGION, _ASKED)]
    status, code, region, asked = (match[1] if match else None for match in found)
    return Answer(int(status) if status else None, code, region, asked or "")


def refusal(answer: Answer, address: BucketAddress, *, encryption: str | None) -> StudioError:
    """The studio's own error for any answer but that a blob is missing."""
    advice = _advice(answer, address, encryption=encryption)
    message = advice.format(
        address=address,
        said=answer.code or answer.status,
        region=answer.region or "another",
        encryption=encryption,
    )
    return (StorageFull if advice is _FULL else StorageFailed)(message)


def _advice(answer: Answer, address: BucketAddress, *, encryption: str | None) -> str:
    code, status = answer.code or "", answer.status
    if address.key is None and not answer.asked.startswith(address.host_url):
        return _NO_KEY
    if status is None:
        return _UNREACHABLE
    if encryption and (code in _ENCRYPTION_CODES or code.startswith("KMS.")):
        return _NO_ENCRYPTION
    otherwise = _TROUBLE if status >= 500 else _REFUSED
    return _BY_CODE.get(code) or _BY_STATUS.get(status, otherwise)
