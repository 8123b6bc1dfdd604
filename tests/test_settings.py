from pathlib import Path
from typing import get_args

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy.engine import make_url

from text2song.blobs.open import open_store
from text2song.errors import InvalidSetting
from text2song.model.dtypes import PRECISIONS
from text2song.names import BUNDLED_MODEL
from text2song.settings import PREFIX, Settings, load_settings

DEFAULTS: dict[str, object] = {
    "home": Path.home() / ".text2song",
    "database_url": "",
    "blobs_url": "",
    "blobs_redirect": "auto",
    "blobs_public_url": "",
    "blobs_encryption": "none",
    "queue_url": "thread://",
    "queues": (),
    "model": BUNDLED_MODEL,
    "device": "cpu",
    "dtype": "auto",
    "capacity": 8,
    "memory_limit": None,
    "allowed_hosts": ("127.0.0.1", "localhost", "[::1]"),
    "web_origin": (),
    "require_login": False,
    "api_key": None,
    "oidc_client_id": "",
    "oidc_client_secret": None,
    "oidc_redirect_url": "",
    "oidc_scope": "openid profile email",
    "oidc_claim": "groups",
    "oidc_roles": (),
    "oidc_issuer": "",
    "rate_limit": 3000,
    "quota_queued_jobs": None,
    "quota_minutes_a_day": None,
    "quota_storage_bytes": None,
    "max_body_bytes": 1_048_576,
    "max_queued_jobs": 1000,
    "lease_seconds": 15.0,
    "beat_seconds": 0.5,
    "sweep_seconds": 5.0,
    "slice_seconds": 60.0,
    "drain_seconds": 30.0,
    "health_file": None,
    "keep_finished_jobs_days": None,
    "keep_samples_days": None,
    "metrics_token": None,
    "log_level": "INFO",
    "log_json": None,
}
CALLBACK = "https://studio.example/session/oidc/callback"
GIVEN: dict[str, tuple[str, object]] = {
    "home": ("/srv/studio", Path("/srv/studio")),
    "database_url": ("sqlite:////srv/rows.db", "sqlite:////srv/rows.db"),
    "blobs_url": ("file:///srv/bytes", "file:///srv/bytes"),
    "blobs_redirect": ("never", "never"),
    "blobs_public_url": ("https://media.example.org:8443/", "https://media.example.org:8443"),
    "blobs_encryption": ("aws:kms", "aws:kms"),
    "queue_url": ("redis://here", "redis://here"),
    "queues": ("generation, export", ("generation", "export")),
    "model": ("facebook/musicgen-small", "facebook/musicgen-small"),
    "device": ("cuda:1", "cuda:1"),
    "dtype": ("int8", "int8"),
    "capacity": ("2", 2),
    "memory_limit": ("7.5GiB", 8_053_063_680),
    "allowed_hosts": (" studio.example , 10.0.0.7,, ", ("studio.example", "10.0.0.7")),
    "web_origin": (
        "https://Studio.Example/ , http://localhost:3000,https://a.example:443,http://[::1]:80",
        ("https://studio.example", "http://localhost:3000", "https://a.example", "http://[::1]"),
    ),
    "require_login": ("true", True),
    "api_key": ("t2s_abc", SecretStr("t2s_abc")),
    "oidc_client_id": ("studio", "studio"),
    "oidc_client_secret": ("sesame", SecretStr("sesame")),
    "oidc_redirect_url": (CALLBACK, CALLBACK),
    "oidc_scope": ("openid groups", "openid groups"),
    "oidc_claim": ("roles", "roles"),
    "oidc_roles": ("admin=leads, rater=*", (("admin", "leads"), ("rater", "*"))),
    "oidc_issuer": ("https://login.example/a", "https://login.example/a"),
    "rate_limit": ("0", 0),
    "quota_queued_jobs": ("5", 5),
    "quota_minutes_a_day": ("60", 60),
    "quota_storage_bytes": ("1000000000", 1_000_000_000),
    "max_body_bytes": ("2048", 2048),
    "max_queued_jobs": ("7", 7),
    "lease_seconds": ("30", 30.0),
    "beat_seconds": ("0.25", 0.25),
    "sweep_seconds": ("2", 2.0),
    "slice_seconds": ("90.5", 90.5),
    "drain_seconds": ("5", 5.0),
    "health_file": ("/run/well", Path("/run/well")),
    "keep_finished_jobs_days": ("90", 90.0),
    "keep_samples_days": ("0.5", 0.5),
    "metrics_token": ("a-secret", SecretStr("a-secret")),
    "log_level": ("debug", "DEBUG"),
    "log_json": ("true", True),
}

NEEDED = {"oidc_issuer": ("oidc_client_id", "oidc_redirect_url", "oidc_roles")}


def variable(name: str) -> str:
    return PREFIX + name.upper()


def test_without_any_variable_it_is_one_machine() -> None:
    assert load_settings({}).model_dump() == DEFAULTS


def test_every_setting_is_in_these_tests_and_describes_itself() -> None:
    assert set(Settings.model_fields) == set(DEFAULTS) == set(GIVEN)
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("name", GIVEN)
def test_each_variable_is_read(name: str) -> None:
    names = (name, *NEEDED.get(name, ()))
    read = load_settings({variable(each): GIVEN[each][0] for each in names})
    assert read.model_dump() == DEFAULTS | {each: GIVEN[each][1] for each in names}


@pytest.mark.parametrize("name", GIVEN)
def test_a_variable_that_is_set_to_nothing_is_not_set(name: str) -> None:
    assert load_settings({variable(name): ""}).model_dump() == DEFAULTS


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT2SONG_CAPACITY", "3")
    assert load_settings().capacity == 3


def test_another_environment_is_not_mixed_with_the_process_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT2SONG_CAPACITY", "3")
    assert load_settings({"TEXT2SONG_MODEL": "a"}).capacity == 8


def test_other_programs_variables_are_left_alone() -> None:
    assert load_settings({"PATH": "/bin", "TEXT2SONGS": "1"}).model_dump() == DEFAULTS


def test_a_misspelt_name_is_refused_and_the_right_ones_are_listed() -> None:
    with pytest.raises(
        InvalidSetting, match=r"TEXT2SONG_CAPACTIY is not a setting.*TEXT2SONG_CAPACITY"
    ) as error:
        load_settings({"TEXT2SONG_CAPACTIY": "3"})
    assert error.value.field == "TEXT2SONG_CAPACTIY"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("capacity", "0", "greater than or equal to 1"),
        ("capacity", "65", "less than or equal to 64"),
        ("capacity", "many", "valid integer"),
        ("dtype", "float16", "'auto', 'float32', 'bfloat16' or 'int8'"),
        ("memory_limit", "12", "with its unit, such as 12GB, 7.5GiB or 900MiB"),
        ("memory_limit", "0GB", "above zero"),
        ("memory_limit", "-4GB", "above zero"),
        ("memory_limit", "a lot", "with its unit"),
        ("web_origin", "*", "exact origins such as https://studio.example"),
        ("web_origin", "https://*.studio.example", "exact origins"),
        ("web_origin", "studio.example", "exact origins"),
        ("web_origin", "ftp://studio.example", "exact origins"),
        ("web_origin", "https://studio.example/page", "exact origins"),
        ("web_origin", "https://me@studio.example", "exact origins"),
        ("web_origin", "https://studio.example:port", "exact origins"),
        ("web_origin", "null", "exact origins"),
        ("rate_limit", "-1", "greater than or equal to 0"),
        ("quota_minutes_a_day", "-1", "greater than or equal to 0"),
        ("max_body_bytes", "1000", "greater than or equal to 1024"),
        ("max_queued_jobs", "0", "greater than or equal to 1"),
        ("lease_seconds", "0.5", "greater than or equal to 1"),
        ("lease_seconds", "inf", "finite"),
        ("lease_seconds", "nan", "finite"),
        ("beat_seconds", "0.01", "greater than or equal to 0.05"),
        ("beat_seconds", "6", "less than or equal to 5"),
        ("sweep_seconds", "0", "greater than or equal to 0.1"),
        ("sweep_seconds", "11", "less than or equal to 10"),
        ("slice_seconds", "0", "greater than or equal to 1"),
        ("slice_seconds", "inf", "finite"),
        ("blobs_redirect", "always", "'auto' or 'never'"),
        ("blobs_encryption", "rot13", "'none', 'AES256' or 'aws:kms'"),
        ("blobs_public_url", "media.example.org", "scheme and host alone"),
        ("blobs_public_url", "https://media.example.org/songs", "scheme and host alone"),
        ("blobs_public_url", "https://id@media.example.org", "scheme and host alone"),
        ("blobs_public_url", "https://media.example.org?x=1", "scheme and host alone"),
        ("blobs_public_url", "file:///srv", "scheme and host alone"),
        ("device", "gpu", "should match pattern"),
        ("drain_seconds", "-1", "greater than or equal to 0"),
        ("drain_seconds", "for ever", "valid number"),
        ("oidc_roles", "boss=leads", "must be pairs such as admin=leads"),
        ("oidc_roles", "admin", "must be pairs such as admin=leads"),
        ("oidc_redirect_url", "http://studio.example/session/oidc/callback", "must be an https URL"),
        ("oidc_redirect_url", "https://studio.example/elsewhere", "must end with /session/oidc/callback"),
        ("oidc_issuer", "http://login.example", "must be an https URL"),
        ("oidc_issuer", "https://login.example?a=b", "must be an https URL"),
        ("oidc_issuer", "https://login.example", "needs TEXT2SONG_OIDC_CLIENT_ID too"),
        ("log_level", "loud", "must be DEBUG, INFO, WARNING or ERROR"),
        ("log_json", "perhaps", "valid boolean"),
        ("home", "~nobody_of_this_name/studio", "write the whole path"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name_its_reason_and_its_value(
    name: str, text: str, reason: str
) -> None:
    with pytest.raises(InvalidSetting) as error:
        load_settings({variable(name): text})
    assert error.value.field == variable(name)
    assert error.value.message.startswith(f"{variable(name)}: ")
    assert reason in error.value.message
    assert text in error.value.message


def test_the_dtypes_are_those_of_the_model_layer() -> None:
    assert get_args(Settings.model_fields["dtype"].annotation) == PRECISIONS


def test_a_lease_outlives_three_beats() -> None:
    load_settings({"TEXT2SONG_LEASE_SECONDS": "6", "TEXT2SONG_BEAT_SECONDS": "2"})
    with pytest.raises(InvalidSetting, match="at most a third of TEXT2SONG_LEASE_SECONDS, which is 6"):
        load_settings({"TEXT2SONG_LEASE_SECONDS": "6", "TEXT2SONG_BEAT_SECONDS": "2.1"})


def test_home_may_be_written_with_a_tilde_and_is_always_absolute() -> None:
    assert load_settings({"TEXT2SONG_HOME": "~/music"}).home == Path.home() / "music"
    assert load_settings({"TEXT2SONG_HOME": "here"}).home == Path.cwd() / "here"


@pytest.mark.parametrize("folder", ["studio", "my studio", "a#b", "a?b", "100%", "a%20b", "größe", "a&b=c"])
def test_any_folder_can_be_the_home(tmp_path: Path, folder: str) -> None:
    home = tmp_path / folder
    settings = load_settings({"TEXT2SONG_HOME": str(home)})

    assert make_url(settings.database).database == str(home / "studio.db")
    assert settings.models_folder == home / "models"
    open_store(settings.blobs)
    assert (home / "blobs").is_dir()


def test_the_urls_win_over_the_home() -> None:
    settings = load_settings({"TEXT2SONG_DATABASE_URL": "sqlite:////a", "TEXT2SONG_BLOBS_URL": "file:///b"})
    assert (settings.database, settings.blobs) == ("sqlite:////a", "file:///b")


def test_a_key_is_not_shown_with_the_settings() -> None:
    settings = load_settings({"TEXT2SONG_API_KEY": "t2s_abc"})
    assert "abc" not in repr(settings)
    assert "abc" not in str(settings.model_dump())


def test_the_provider_s_settings_are_whole_or_not_at_all_and_tell_no_secret() -> None:
    given = {
        "TEXT2SONG_OIDC_ISSUER": "https://login.example/studio",
        "TEXT2SONG_OIDC_CLIENT_ID": "studio",
        "TEXT2SONG_OIDC_CLIENT_SECRET": "sesame",
        "TEXT2SONG_OIDC_REDIRECT_URL": "https://studio.example/session/oidc/callback",
        "TEXT2SONG_OIDC_ROLES": "admin=leads, creator = band ,rater=*",
    }
    settings = load_settings(given)
    assert settings.oidc_roles == (("admin", "leads"), ("creator", "band"), ("rater", "*"))
    assert "sesame" not in f"{settings} {settings!r} {settings.model_dump()}"
    for name in ("CLIENT_ID", "REDIRECT_URL", "ROLES"):
        missing = {key: value for key, value in given.items() if not key.endswith(name)}
        with pytest.raises(InvalidSetting, match=f"needs TEXT2SONG_OIDC_{name} too"):
            load_settings(missing)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings({}).capacity = 3


def test_the_password_of_the_queue_is_not_shown_with_the_settings() -> None:
    settings = load_settings({"TEXT2SONG_QUEUE_URL": "redis://:sesame@here"})
    assert "sesame" in settings.queue_url
    assert "sesame" not in f"{settings} {settings!r}"


def test_a_secret_is_never_shown() -> None:
    settings = load_settings({"TEXT2SONG_METRICS_TOKEN": "a-secret"})
    assert "a-secret" not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    "name", ["TEXT2SONG_OIDC_REDIRECT_URL", "TEXT2SONG_BLOBS_PUBLIC_URL", "TEXT2SONG_WEB_ORIGIN"]
)
def test_a_password_in_a_url_that_cannot_be_is_not_repeated(name: str) -> None:
    with pytest.raises(InvalidSetting, match=name) as refused:
        load_settings({name: "https://me:hunter2@studio.example"})
    assert "hunter2" not in refused.value.message
    assert "studio.example" in refused.value.message
