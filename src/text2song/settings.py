"""The settings: three URLs choose the deployment, and features never ask which.

Every setting is an environment variable with the prefix `TEXT2SONG_`. Without any, the studio is
one machine: a SQLite file, a folder of bytes and a thread, all under `TEXT2SONG_HOME`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import quote, urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from text2song.actors import Role
from text2song.byte_sizes import read_size
from text2song.errors import InvalidSetting
from text2song.names import BUNDLED_MODEL
from text2song.redaction import Redactor

PREFIX: Final = "TEXT2SONG_"
OIDC_CALLBACK: Final = "/session/oidc/callback"
"""Where an OpenID Connect provider sends browsers back to."""
BEATS_IN_A_LEASE: Final = 3
"""A lease must outlive a beat that came late and one that failed."""


def _as_bytes(size: object) -> object:
    return read_size(size) if isinstance(size, str) else size


class Settings(BaseSettings):
    """All settings, validated once at the start of a process."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", allow_inf_nan=False)

    home: Path = Field(default=Path("~/.text2song"), description="Folder of everything that is kept.")
    database_url: str = Field(
        default="",
        repr=False,  # it may hold a password
        description="Where the rows are: `sqlite:///...` or `postgresql://...`. Empty: `studio.db` in the "
        "home folder.",
    )
    blobs_url: str = Field(
        default="",
        description="Where the bytes are: `file:///...`, or `s3://bucket/prefix` with the AWS_* variables "
        "(see [S3](../how-to/s3.md)). Empty: `blobs` in the home folder.",
    )
    blobs_redirect: Literal["auto", "never"] = Field(
        default="auto",
        description="`auto`: players fetch from a bucket, by links signed for an hour. `never`: by the API.",
    )
    blobs_public_url: str = Field(
        default="",
        description="Scheme and host for which these links are signed: a CDN or proxy before the bucket that "
        "keeps the Host header. Empty: the bucket's own.",
    )
    blobs_encryption: Literal["none", "AES256", "aws:kms"] = Field(
        default="none", description="What a bucket does to bytes at rest: `none`, `AES256` or `aws:kms`."
    )
    queue_url: str = Field(
        default="thread://",
        repr=False,
        description="What wakes the workers: `thread://` for one process that does everything, or "
        "`redis://:password@host:port/0` (`rediss://` over TLS) for an API and workers apart.",
    )
    queues: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Kinds of work that a worker does, separated by commas: `generation`. Empty: all.",
    )
    model: str = Field(
        default=BUNDLED_MODEL,
        description="The model to serve: an id that `text2song model add` fetched, or a folder. Unset: the "
        "small one that comes with the program.",
    )
    device: str = Field(
        default="cpu",
        pattern=r"^(cpu|cuda(:[0-9]+)?)$",
        description="Where a worker computes: `cpu`, or one GPU by its number, such as `cuda:0`.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        default="auto",
        description="The numbers that a worker computes in: `float32`, `bfloat16`, or `int8` on a processor. "
        "`auto`: `bfloat16`, but `float32` on GPUs that do not multiply in it.",
    )
    capacity: int = Field(
        default=8,
        ge=1,
        le=64,
        description="Takes that are made at the same time at most; fewer where no more of thirty seconds fit "
        "into memory.",
    )
    memory_limit: Annotated[int | None, BeforeValidator(_as_bytes)] = Field(
        default=None,
        description="What the model of a worker may take altogether, weights and takes: `12GB`, `7.5GiB`. "
        "Unset: four fifths of what the device has free.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("127.0.0.1", "localhost", "[::1]"),
        description="Names under which the server answers, separated by commas; a web page that "
        "points another name at this machine is refused.",
    )
    web_origin: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Where the web studio lives, if not on this server or behind a proxy that ends TLS: "
        "exact origins such as `https://studio.example`, separated by commas.",
    )
    require_login: bool = Field(
        default=False,
        description="Ask for a login on loopback too, and of a single user: for a proxy on this machine.",
    )
    api_key: SecretStr | None = Field(
        default=None, description="The key with which `text2song generate --server URL` logs in there."
    )
    oidc_client_id: str = Field(
        default="", description="The studio's name at the OpenID Connect provider of `TEXT2SONG_OIDC_ISSUER`."
    )
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="Its password there. Unset: the provider knows it as a public client."
    )
    oidc_redirect_url: str = Field(
        default="",
        description="As it is known there: `https://HOST/session/oidc/callback`, HOST being this API's.",
    )
    oidc_scope: str = Field(default="openid profile email", description="What the provider is asked to tell.")
    oidc_claim: str = Field(
        default="groups", description="What it tells of people by which their roles are decided."
    )
    oidc_roles: Annotated[tuple[tuple[Role, str], ...], NoDecode] = Field(
        default=(),
        description="Who is let in, as what: `admin=leads, creator=musicians, rater=*`. `*` is everybody "
        "whom the provider knows; whoever matches none is not let in.",
    )
    oidc_issuer: str = Field(  # after the others, which its check needs
        default="",
        description="URL of an OpenID Connect provider by which browsers sign in too; needs the extra "
        "`oidc`. Empty: with keys alone.",
    )
    rate_limit: int = Field(
        default=3000, ge=0, description="Requests a minute of each person who has logged in; 0: no limit."
    )
    quota_queued_jobs: int | None = Field(
        default=None,
        ge=0,
        description="Jobs of one person that may wait at once. Unset: no limit of its own.",
    )
    quota_minutes_a_day: int | None = Field(
        default=None, ge=0, description="Minutes of audio that one person may ask for in 24 hours."
    )
    quota_storage_bytes: int | None = Field(
        default=None, ge=0, description="Bytes of audio that the studio keeps for one person."
    )
    max_body_bytes: int = Field(default=1_048_576, ge=1024, description="Largest accepted request body.")
    max_queued_jobs: int = Field(
        default=1000, ge=1, description="Waiting generation jobs beyond which new ones are refused."
    )
    lease_seconds: float = Field(
        default=15.0, ge=1.0, description="How long a silent worker keeps its job before another takes it."
    )
    beat_seconds: float = Field(
        default=0.5, ge=0.05, le=5.0, description="How often a worker reports progress and hears a cancel."
    )
    sweep_seconds: float = Field(
        default=5.0, ge=0.1, le=10.0, description="How often abandoned and forgotten work is looked for."
    )
    slice_seconds: float = Field(
        default=60.0,
        ge=1.0,
        description="How long a worker goes on with one kind of work while another kind waits for the same "
        "thread. With one kind, or a thread for each, it never begins less for it.",
    )
    drain_seconds: float = Field(
        default=30.0,
        ge=0.0,
        le=3600.0,
        description="How long `text2song worker` may take to end what it is at, once it is asked to stop; "
        "the rest goes back to the queue.",
    )
    health_file: Path | None = Field(
        default=None,
        description="File that `text2song worker` touches while it lives and the database can be reached.",
    )
    keep_finished_jobs_days: float | None = Field(
        default=None,
        gt=0,
        description="Days after which a finished job is forgotten; its samples stay. Unset: never.",
    )
    keep_samples_days: float | None = Field(
        default=None,
        gt=0,
        description="Days after which a sample that nothing was built on is deleted. Unset: never.",
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        description="What a Prometheus on another machine sends as bearer token to read `/metrics`. "
        "Unset: this machine alone may.",
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_json: bool | None = Field(
        default=None, description="Logs as JSON lines. Unset: JSON unless a terminal is there."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load_settings` hands in: the process's environment must not mix with another one."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @field_validator("home", mode="after")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        try:
            return home.expanduser().absolute()
        except RuntimeError as error:
            raise ValueError("there is no such user's home folder; write the whole path") from error

    @field_validator("allowed_hosts", "queues", "web_origin", mode="before")
    @classmethod
    def _split(cls, names: object) -> object:
        return tuple(n.strip() for n in names.split(",") if n.strip()) if isinstance(names, str) else names

    @field_validator("web_origin", mode="after")
    @classmethod
    def _exact_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_as_browsers_write_it, origins))

    @field_validator("oidc_roles", mode="before")
    @classmethod
    def _split_roles(cls, text: object) -> object:
        if not isinstance(text, str):
            return text
        pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
        if any(role.strip() not in set(Role) or not value.strip() for role, _, value in pairs):
            raise ValueError("must be pairs such as admin=leads, creator=musicians, rater=*")
        return tuple((role.strip(), value.strip()) for role, _, value in pairs)

    @field_validator("oidc_redirect_url", mode="after")
    @classmethod
    def _is_our_callback(cls, url: str) -> str:
        if url:
            _require_safe(url)
        if url and urlsplit(url).path != OIDC_CALLBACK:
            raise ValueError(f"must end with {OIDC_CALLBACK}")
        return url

    @field_validator("oidc_issuer", mode="after")
    @classmethod
    def _has_all_it_needs(cls, url: str, info: ValidationInfo) -> str:
        if url:
            _require_safe(url)
        for name in ("oidc_client_id", "oidc_redirect_url", "oidc_roles"):
            if url and not info.data.get(name):
                raise ValueError(f"needs {PREFIX}{name.upper()} too")
        return url

    @field_validator("blobs_public_url", mode="after")
    @classmethod
    def _is_origin(cls, url: str) -> str:
        origin = url.rstrip("/")
        parts = urlsplit(origin)
        is_origin = origin == f"{parts.scheme}://{parts.netloc}" and parts.hostname and "@" not in origin
        if url and (parts.scheme not in {"http", "https"} or not is_origin):
            raise ValueError("must be scheme and host alone, such as https://media.example.org")
        return origin

    @field_validator("log_level", mode="after")
    @classmethod
    def _known_level(cls, level: str) -> str:
        if level.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return level.upper()

    @field_validator("beat_seconds", mode="after")
    @classmethod
    def _within_the_lease(cls, beat_seconds: float, info: ValidationInfo) -> float:
        lease_seconds = info.data.get("lease_seconds")
        if lease_seconds is not None and beat_seconds * BEATS_IN_A_LEASE > lease_seconds:
            raise ValueError(
                f"must be at most a third of TEXT2SONG_LEASE_SECONDS, which is {lease_seconds:g}: "
                "else every worker loses its jobs while it works on them"
            )
        return beat_seconds

    @property
    def database(self) -> str:
        """The database's URL with the default filled in."""
        return self.database_url or f"sqlite:///{quote(str(self.home / 'studio.db'))}"

    @property
    def blobs(self) -> str:
        """The blob store's URL with the default filled in."""
        return self.blobs_url or (self.home / "blobs").as_uri()

    @property
    def models_folder(self) -> Path:
        """Where models live on this machine."""
        return self.home / "models"


def _require_safe(url: str) -> None:
    """Nobody reads on the way to it, and it is nothing but a place."""
    parts = urlsplit(url)
    is_encrypted = parts.scheme == "https" and bool(parts.hostname)
    is_here = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if not (is_encrypted or is_here) or parts.query or parts.fragment or parts.username:
        raise ValueError("must be an https URL without query, such as https://login.example.org/studio")


def _as_browsers_write_it(origin: str) -> str:
    """The form of a browser's Origin header: no path, small letters, no port where it is the usual one."""
    usual = {"http": 80, "https": 443}
    try:
        parts = urlsplit(origin)
        port = "" if parts.port in {None, usual.get(parts.scheme)} else f":{parts.port}"
        is_bare = parts.path in {"", "/"} and not (parts.query or parts.fragment or parts.username)
        is_one = parts.scheme in usual and bool(parts.hostname) and "*" not in origin and is_bare
    except ValueError:
        is_one = False
    if not is_one:
        raise ValueError("must be exact origins such as https://studio.example, with no path and no *")
    host = parts.hostname or ""
    return f"{parts.scheme}://[{host}]{port}" if ":" in host else f"{parts.scheme}://{host}{port}"


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process; a variable that is set to nothing counts as not set.

    Raises:
        InvalidSetting: for a value that cannot be, and for an unknown `TEXT2SONG_` name: a
            misspelt setting that is silently ignored costs somebody an evening.
    """
    given = os.environ if environment is None else environment
    names = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(name for name in given if name.startswith(PREFIX) and name not in names)
    if unknown:
        raise InvalidSetting(
            f"{unknown[0]} is not a setting. The settings are: {', '.join(sorted(names))}.",
            field=unknown[0],
        )
    values = {name: given.get(PREFIX + name.upper()) for name in Settings.model_fields}
    try:
        return Settings.model_validate({name: value for name, value in values.items() if value})
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        reason = first["msg"].removeprefix("Value error, ")
        shown = Redactor().text(repr(first["input"]))  # a URL may hold a password
        raise InvalidSetting(f"{name}: {reason} (it is {shown}).", field=name) from error
