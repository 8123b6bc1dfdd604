"""`text2song key`, over a real home folder."""

import datetime as dt
from pathlib import Path

import pytest

from tests.cli.console import Console
from tests.studios import furnish


@pytest.fixture(name="home")
def make_home(tmp_path: Path, _migrated_database: Path) -> Console:
    furnish(tmp_path / "home", database=_migrated_database)
    console = Console(tmp_path / "home")
    console.run("user", "add", "Ada", "--admin")
    return console


def test_a_key_is_printed_once_and_listed_without_its_secret(home: Console) -> None:
    said = home.run(
        "key", "add", "Ada", "--for", "laptop", "--scope", "read", "--scope", "rate", "--days", "30"
    )
    key = said.out.strip()
    assert key.startswith("t2s_")
    assert key not in said.err
    listed = home.run("key", "list").out
    assert key not in listed
    assert key[:12] in listed
    assert "rate,read" in listed
    told = home.run("key", "list", "Ada", "--json").document()["keys"]
    assert [row["name"] for row in told] == ["first key", "laptop"]
    assert (told[1]["owner"], told[1]["scopes"], told[0]["scopes"]) == ("Ada", ["rate", "read"], None)
    ends_in = dt.datetime.fromisoformat(told[1]["expires_at"]) - dt.datetime.now(dt.UTC)
    assert dt.timedelta(days=29) < ends_in < dt.timedelta(days=31)


@pytest.mark.parametrize("by", ["id", "first_letters"])
def test_a_key_is_revoked_by_its_id_or_its_first_letters(home: Console, by: str) -> None:
    made = home.run("key", "add", "Ada", "--json").document()
    assert made["key"].startswith(made["first_letters"])
    revoked = home.run("key", "revoke", made[by], "--json").document()
    assert revoked["revoked_at"] is not None
    keys = home.run("key", "list", "--json").document()["keys"]
    assert [row["revoked_at"] is None for row in keys] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("add", "Bob"), 4, "there is no user 'Bob'"),
        (("add", "Ada", "--for", " "), 2, "--for is empty"),
        (("add", "Ada", "--scope", "fly"), 2, "--scope is read, rate, create or admin, not 'fly'."),
        (("list", "Bob"), 4, "there is no user 'Bob'"),
        (("revoke", "t2s_nothing1"), 4, "no key is or begins with 't2s_nothing1'"),
        (("revoke", "t2s_"), 4, "text2song key list"),
        (("revoke", "0198c0de-0000-7000-8000-000000000000"), 4, "no key is or begins with"),
    ],
)
def test_what_cannot_be_says_why(home: Console, arguments: tuple[str, ...], code: int, words: str) -> None:
    said = home.run("key", *arguments, "--json")
    assert said.code == code
    assert words.lower() in said.error()["message"].lower()


def test_where_there_are_no_keys_that_is_said(console: Console) -> None:
    assert console.run("key", "list").out == "There are no keys.\n"
