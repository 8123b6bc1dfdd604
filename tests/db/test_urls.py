import pytest

from text2song.db.urls import SETTING, is_sqlite, parse, place
from text2song.errors import InvalidSetting


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_name_of_postgresql_is_understood(scheme: str) -> None:
    url = parse(f"{scheme}://me:secret@db.example:5433/studio?sslmode=require")
    assert url.drivername == "postgresql+psycopg"
    assert (url.username, url.password, url.host, url.port) == ("me", "secret", "db.example", 5433)
    assert (url.database, url.query["sslmode"]) == ("studio", "require")
    assert not is_sqlite(url)


def test_a_file_is_a_file() -> None:
    url = parse("sqlite:////srv/my%20rows.db")
    assert is_sqlite(url)
    assert place(url) == "/srv/my rows.db"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@db.example/studio",
        "postgresql://db.example/studio?user=me&password=s3cret",
        "postgresql:///studio?host=db.example&password=s3cret",
        "postgresql://me:s3cret@/?host=db.example&dbname=studio",
    ],
)
def test_where_a_database_is_can_be_said_without_its_password(url: str) -> None:
    assert place(parse(url)) == "studio on db.example"


def test_without_a_host_it_is_this_machine() -> None:
    assert place(parse("postgresql:///studio")) == "studio on this machine"


def test_a_service_of_postgresqls_own_files_is_told_by_its_name() -> None:
    assert place(parse("postgresql:///?service=songs")) == "the service songs"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "is not a database URL"),
        ("postgresql://me:s3cret@host:port/studio", "is not a database URL"),
        ("postgresql://me:s3cret@host", "names no database"),
        ("postgresql+asyncpg://me:s3cret@host/studio", r"begins with postgresql\+asyncpg://"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
    ],
)
def test_what_cannot_serve_is_refused_without_repeating_it(url: str, reason: str) -> None:
    with pytest.raises(InvalidSetting, match=reason) as error:
        parse(url)
    assert error.value.message.startswith(f"{SETTING} ")
    assert "s3cret" not in error.value.message
    with pytest.raises(InvalidSetting, match=r"^FROM "):
        parse(url, name="FROM")
