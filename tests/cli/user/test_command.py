"""`text2song user`, over a real home folder."""

from pathlib import Path

import pytest

from tests.cli.console import Console
from tests.studios import furnish

SINGER = "--role is admin, creator or rater, not 'singer'."


@pytest.fixture(name="home")
def make_home(tmp_path: Path, _migrated_database: Path) -> Console:
    furnish(tmp_path / "home", database=_migrated_database)
    return Console(tmp_path / "home")


def test_the_first_user_is_made_with_a_key_that_is_printed_once(home: Console) -> None:
    said = home.run("user", "add", "Ada", "--admin")
    assert (said.code, said.out.count("\n")) == (0, 1)
    key = said.out.strip()
    assert key.startswith("t2s_")
    assert "Ada is an admin now" in said.err
    assert key not in said.err
    listed = home.run("user", "list")
    assert listed.out.split() == ["Ada", "admin"]
    for path in home.home.rglob("*"):
        assert path.is_dir() or key.encode() not in path.read_bytes(), path


def test_a_studio_without_an_admin_is_told_how_to_get_one(home: Console) -> None:
    assert "text2song user set Ada --role admin`" in home.run("user", "add", "Ada").err
    home.run("user", "set", "Ada", "--role", "admin")
    assert "Nobody is an admin" not in home.run("user", "add", "Bob").err


def test_scripts_get_the_person_and_the_key(home: Console) -> None:
    told = home.run("user", "add", "Rae", "--role", "rater", "--expert", "--json").document()
    assert (told["user"]["name"], told["user"]["role"], told["user"]["is_expert"]) == ("Rae", "rater", True)
    assert told["key"].startswith("t2s_")
    (rae,) = home.run("user", "list", "--json").document()["users"]
    assert rae == told["user"]


def test_without_a_role_somebody_creates(home: Console) -> None:
    assert home.run("user", "add", "Bob", "--json").document()["user"]["role"] == "creator"


@pytest.mark.parametrize(
    ("arguments", "code", "error", "words"),
    [
        (("add", "Ada"), 1, "conflict", "a user Ada already"),
        (("add", "ADA"), 1, "conflict", "a user Ada already: choose another name"),
        (("add", " "), 2, "invalid_input", "NAME is empty"),
        (("add", "x" * 101), 2, "invalid_input", "NAME is too long"),
        (("add", "Bob", "--admin", "--role", "rater"), 2, "invalid_input", "contradict each other"),
        (("add", "Bob", "--role", "singer"), 2, "invalid_input", SINGER),
        (("set", "Ada", "--role", "singer"), 2, "invalid_input", SINGER),
        (("set", "Ada"), 2, "invalid_input", "say what to change"),
        (("set", "Bob", "--role", "rater"), 4, "not_found", "text2song user list"),
        (
            ("set", "Ada", "--max-queued-jobs", "many"),
            2,
            "invalid_input",
            "--max-queued-jobs is a whole number",
        ),
        (
            ("set", "Ada", "--max-queued-jobs", "-1"),
            2,
            "invalid_input",
            "--max-queued-jobs is a whole number",
        ),
        (("set", "Ada", "--role", "rater"), 1, "conflict", "Ada is the only admin"),
        (("deactivate", "Ada"), 1, "conflict", "Ada is the only admin"),
        (("deactivate", "Bob"), 4, "not_found", "there is no user 'Bob'"),
    ],
)
def test_what_cannot_be_says_why(
    home: Console, arguments: tuple[str, ...], code: int, error: str, words: str
) -> None:
    home.run("user", "add", "Ada", "--admin")
    said = home.run("user", *arguments, "--json")
    assert (said.code, said.error()["code"]) == (code, error)
    assert words.lower() in said.error()["message"].lower()


def test_roles_and_shares_are_changed_and_set_back(home: Console) -> None:
    home.run("user", "add", "Ada")
    changed = home.run(
        "user", "set", "Ada", "--role", "rater", "--expert", "--max-minutes-a-day", "30", "--json"
    )
    user = changed.document()["user"]
    assert (user["role"], user["is_expert"], user["max_minutes_a_day"]) == ("rater", True, 30)
    back = home.run("user", "set", "Ada", "--no-expert", "--max-minutes-a-day", "default")
    assert back.out.split() == ["Ada", "rater"]


def test_somebody_is_shut_out_and_let_in_again(home: Console) -> None:
    home.run("user", "add", "Eve", "--admin")
    home.run("user", "add", "Ada")
    assert home.run("user", "deactivate", "Ada").out.split() == ["Ada", "creator", "deactivated"]
    assert [
        key["revoked_at"] is None for key in home.run("key", "list", "Ada", "--json").document()["keys"]
    ] == [False]
    assert home.run("user", "activate", "Ada").out.split() == ["Ada", "creator"]


def test_a_name_is_found_in_capitals_or_not(home: Console) -> None:
    home.run("user", "add", "Émile")
    assert home.run("user", "set", "ÉMILE", "--role", "rater").out.split() == ["Émile", "rater"]
    assert "a key of Émile's" in home.run("key", "add", "émile").err
    assert len(home.run("key", "list", "émile", "--json").document()["keys"]) == 2


def test_where_there_is_nobody_that_is_said(home: Console) -> None:
    assert "There are no users" in home.run("user", "list").out
    assert home.run("user", "list", "--json").document() == {"users": []}
