import pytest

from text2song.actors import EVERYTHING, NOBODY, Actor, Permission, Role
from text2song.errors import Forbidden

READ, RATE, CREATE, ADMIN = Permission.READ, Permission.RATE, Permission.CREATE, Permission.ADMIN


@pytest.mark.parametrize(
    ("role", "allowed"),
    [(Role.RATER, {READ, RATE}), (Role.CREATOR, {READ, RATE, CREATE}), (Role.ADMIN, EVERYTHING)],
)
def test_a_role_allows_what_its_table_says_and_nothing_else(role: Role, allowed: set[Permission]) -> None:
    assert {permission for permission in Permission if Actor(role=role).may(permission)} == allowed


def test_a_key_narrows_a_role_and_never_widens_it() -> None:
    narrowed = Actor(role=Role.ADMIN, scopes=frozenset({READ}))
    assert [narrowed.may(each) for each in (READ, CREATE, ADMIN)] == [True, False, False]
    assert not narrowed.sees_all
    assert not Actor(role=Role.RATER, scopes=EVERYTHING).may(CREATE)


def test_what_is_forbidden_says_whether_role_or_key_is_in_the_way() -> None:
    with pytest.raises(Forbidden, match="permission to create, which the role rater does not have"):
        Actor(role=Role.RATER).require(CREATE)
    with pytest.raises(Forbidden, match="this key is good for rate, read alone, and this needs create"):
        Actor(role=Role.CREATOR, scopes=frozenset({READ, RATE})).require(CREATE)
    Actor(role=Role.CREATOR).require(CREATE)


def test_whoever_forgets_the_role_gets_the_least() -> None:
    assert not Actor().may(CREATE)


def test_the_machine_itself_may_do_everything() -> None:
    assert NOBODY.sees_all
    assert NOBODY.user_id is None
