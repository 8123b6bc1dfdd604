"""What servers answer, as obstore tells it; the answers of a real server are in `test_s3.py`."""

import pytest

from text2song.blobs.address import address_of
from text2song.blobs.refusals import Answer, answer_in, refusal
from text2song.errors import StorageFailed, StorageFull

URL = "https://songs.s3.eu-west-3.amazonaws.com/prefix/audio/ab/abcd.flac"
KEY = {"AWS_ACCESS_KEY_ID": "AKIDPUBLIC", "AWS_SECRET_ACCESS_KEY": "verysecret"}
ADDRESS = address_of("s3://songs/prefix?region=eu-west-3", KEY)


def told(status: int, body: str = "") -> Exception:
    """An error as obstore words it."""
    return Exception(
        f"Generic S3 error: Error performing GET {URL} in 5ms - Server returned non-2xx status code: "
        f"{status} Whatever: {body}\n\nDebug source:\nGeneric {{ AWSAccessKeyId AKIDPUBLIC StringToSign }}"
    )


def coded(status: int, code: str, more: str = "") -> Exception:
    return told(
        status, f"<?xml version='1.0'?>\n<Error><Code>{code}</Code>{more}<Key>AKIDPUBLIC</Key></Error>"
    )


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (coded(404, "NoSuchBucket"), "no bucket songs at https://s3.eu-west-3.amazonaws.com: make it"),
        (coded(403, "InvalidAccessKeyId"), "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (coded(403, "SignatureDoesNotMatch"), r"wrong \(SignatureDoesNotMatch\)"),
        (told(401), "correct AWS_ACCESS_KEY_ID"),
        (coded(400, "ExpiredToken"), "AWS_SESSION_TOKEN anew"),
        (coded(403, "RequestTimeTooSkewed"), "clock of this machine"),
        (coded(400, "AuthorizationHeaderMalformed", "<Region>eu-1</Region>"), "is eu-1, not eu-west-3"),
        (coded(301, "PermanentRedirect"), "is another, not eu-west-3"),
        (coded(403, "AccessDenied"), "allow it s3:ListBucket"),
        (told(403), "may not do this in the bucket songs"),
        (coded(503, "SlowDown"), "trouble of its own"),
        (told(500), r"trouble of its own \(500\)"),
        (coded(501, "NotImplemented"), "trouble of its own"),
        (coded(405, "MethodNotAllowed"), r"refuses.*\(MethodNotAllowed\)"),
        (told(409), "refuses"),
        (Exception(f"Error performing HEAD {URL} in 6s - HTTP error: cannot send"), "No answer from"),
        (Exception("something else entirely"), "No answer from the bucket songs"),
    ],
)  # fmt: skip
def test_each_answer_has_its_own_advice_and_no_secret(error: Exception, advice: str) -> None:
    failure = refusal(answer_in(error), ADDRESS, encryption=None)

    with pytest.raises(StorageFailed, match=advice):
        raise failure
    for hidden in ("verysecret", "AKIDPUBLIC", "StringToSign"):
        assert hidden not in failure.message
    assert failure.is_retryable


@pytest.mark.parametrize("error", [told(507), coded(403, "QuotaExceeded"), coded(500, "XMinioStorageFull")])
def test_a_full_storage_is_told_as_one(error: Exception) -> None:
    with pytest.raises(StorageFull, match="raise its quota"):
        raise refusal(answer_in(error), ADDRESS, encryption=None)


@pytest.mark.parametrize(
    "error",
    [
        coded(501, "NotImplemented"),
        coded(400, "InvalidEncryptionAlgorithmError"),
        coded(400, "KMS.NotFoundException"),
    ],
)
def test_encryption_is_named_where_it_was_asked_for(error: Exception) -> None:
    failure = refusal(answer_in(error), ADDRESS, encryption="aws:kms")
    assert "TEXT2SONG_BLOBS_ENCRYPTION=none" in failure.message
    assert "aws:kms" in failure.message
    assert "ENCRYPTION" not in refusal(answer_in(error), ADDRESS, encryption=None).message


def test_without_a_key_a_machine_that_has_no_role_is_told_so() -> None:
    keyless = address_of("s3://songs/prefix?region=eu-west-3", {})
    role = "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 1ms - "
    for end in ("HTTP error: error sending request", "Server returned non-2xx status code: 403 Forbidden: "):
        answer = answer_in(Exception(role + end))
        assert "set AWS_ACCESS_KEY_ID" in refusal(answer, keyless, encryption=None).message
    assert "allow it" in refusal(answer_in(coded(403, "AccessDenied")), keyless, encryption=None).message


def test_only_an_answer_without_a_reason_is_worth_another_question() -> None:
    assert answer_in(told(403)).is_vague
    assert answer_in(told(404)).is_vague
    assert not answer_in(coded(403, "AccessDenied")).is_vague
    assert not answer_in(told(503)).is_vague
    assert not Answer(None, None).is_vague


@pytest.mark.parametrize("code", ["NoSuchBucket", "PermanentRedirect"])
def test_what_is_to_be_corrected_is_named_as_it_was_given(code: str) -> None:
    asked = address_of("s3://songs/prefix?region=eu-west-3", KEY, name="TO_URL")
    for address, name in ((ADDRESS, "TEXT2SONG_BLOBS_URL"), (asked, "TO_URL")):
        assert name in refusal(answer_in(coded(404, code)), address, encryption=None).message
