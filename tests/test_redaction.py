"""What is a secret goes, and what is none stays as it is."""

import pytest

from text2song.redaction import HIDDEN, Redactor, secrets_in

KEY = "t2s_" + "aB3_-" * 8
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"the key {KEY} was refused", "the key t2s_*** was refused"),
        (f"Authorization: Bearer {KEY}", f"Authorization: {HIDDEN}"),
        ("authorization: Basic dXNlcjpwYXNzd29yZA==", f"authorization: {HIDDEN}"),
        ("sent Bearer eyJhbGciOi.J9-eyJz_ZG in vain", "sent Bearer *** in vain"),
        ('{"Cookie": "text2song_session=abc; other=1"}', '{"Cookie": "***"}'),
        ("[('set-cookie', 'text2song_session=abc')]", "[('set-cookie', '***')]"),
        ("Set-Cookie: a=b; HttpOnly\r\nHost: x", "Set-Cookie: ***\r\nHost: x"),
        ("X-CSRF-Token: abc", "X-CSRF-Token: ***"),
        ("postgresql://me:pa%40ss@db:5432/x refused", "postgresql://me:***@db:5432/x refused"),
        ("redis://:hunter2@cache:6379/0", "redis://:***@cache:6379/0"),
        ("redis://:a@b@cache", "redis://:***@cache"),
        (
            "https://b.s3.example/k?X-Amz-Credential=AKIA%2F1&X-Amz-Signature=00ff&x=1",
            "https://b.s3.example/k?X-Amz-Credential=***&X-Amz-Signature=***&x=1",
        ),
        (f"AWS_SECRET_ACCESS_KEY={SECRET}", "AWS_SECRET_ACCESS_KEY=***"),
        (f"{{'aws_secret_access_key': '{SECRET}', 'a': 1}}", "{'aws_secret_access_key': '***', 'a': 1}"),
        ('Cookie: a="quoted"; b=c', "Cookie: ***"),
        ("Unable to use AKIAIOSFODNN7EXAMPLE", "Unable to use AKIA***"),
        ("connect(password='hunter2', host='db')", "connect(password='***', host='db')"),
        ('{"client_secret":"s3cr3t"}', '{"client_secret":"***"}'),
        ('{"access_token": "eyJ.a.b", "id_token": "c"}', '{"access_token": "***", "id_token": "***"}'),
        ("grant_type=refresh_token&refresh_token=abc&x=1", "grant_type=refresh_token&refresh_token=***&x=1"),
        ("x-api-key: abc", "x-api-key: ***"),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert Redactor().text(text) == shown
    assert Redactor().text(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "a basic walk home, and bearer bonds",
        "http://127.0.0.1:8000/audio/01a203c8-9ec4-702b-a5f6-c38754fbbed2/stream",
        "mail ada@example.org at 12:30",
        "sqlite:////srv/studio.db",
        "the token ids are 1, 2, 3",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "s3://bucket/prefix?region=eu-1",
        "a secret garden: with flutes",
        "t2s_",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert Redactor().text(text) == text


def test_a_value_is_hidden_by_its_name() -> None:
    event = {
        "headers": {"Authorization": "x", "Accept": "y", "x-csrf-token": "z"},
        "metrics_token": "abc",
        "password": ["a", "b"],
        "token_ids": [1, 2],
        "claim_token": 7,
        "seed": 7,
        "nothing": None,
        "pairs": [("api_key", "one")],
    }
    assert Redactor().value(event) == {
        "headers": {"Authorization": HIDDEN, "Accept": "y", "x-csrf-token": HIDDEN},
        "metrics_token": HIDDEN,
        "password": HIDDEN,
        "token_ids": [1, 2],
        "claim_token": HIDDEN,
        "seed": 7,
        "nothing": None,
        "pairs": [["api_key", "one"]],
    }


def test_what_is_no_plain_value_is_read_as_it_would_be_shown() -> None:
    error = ConnectionError(f"refused {KEY}")
    assert Redactor().value({"error": error}) == {"error": "ConnectionError('refused t2s_***')"}


def test_the_secrets_of_this_process_are_hidden_wherever_they_stand() -> None:
    environment = {
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "TEXT2SONG_METRICS_TOKEN": "correct horse",
        "TEXT2SONG_DATABASE_URL": "postgresql+psycopg://me:pa%40ssword@db/x",
        "TOKENIZERS_PARALLELISM": "parallel",
        "DB_PASSWORD": "short",
        "BROKEN": "http://[::1",
        "HOME": "/srv/studio",
    }
    secrets = secrets_in(environment)
    assert secrets == {SECRET, "correct horse", "pa%40ssword", "pa@ssword"}
    redactor = Redactor(secrets)
    assert redactor.text(f"x{SECRET}y, pa@ssword (correct horse)") == "x***y, *** (***)"


def test_secrets_that_other_programs_name_in_their_own_way_are_hidden_too() -> None:
    environment = {
        "PGPASSWORD": "of-the-database",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-scope=text2song, api-key=of=the=key, x-team=of-the-team-there",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "authorization=Basic%20of-the-traces",
    }
    text = " ".join(environment.values())
    shown = Redactor(secrets_in(environment)).text(text)
    assert "of-the" not in shown
    assert "of=the" not in shown
    assert "x-scope=text2song" in shown  # a word that stands in many lines
