"""From what an OpenID Connect provider says of somebody to the person here.

A person is known by the provider's name and the provider's id of them, and by nothing else: whoever can
choose a name or an address there could otherwise become somebody here. Whether they are let in, and as
what, is decided anew at each signing in, by what the provider says then.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from text2song.actors import Actor, Role
from text2song.errors import Conflict, Forbidden, InvalidInput, NotLoggedIn
from text2song.music.attributes import clean_text
from text2song.studio import Work
from text2song.users import audit, queries, service
from text2song.users.authentication import Identity
from text2song.users.schemas import NAME_LIMIT, UserIn, UserPatch
from text2song.users.secrets import digest_of
from text2song.users.tables import LoginIdentity, User

LIFETIME: Final = dt.timedelta(hours=12)
"""Of a session: whom the provider no longer lets in is out after so long. Admins can end it at once."""
EVERYBODY: Final = "*"
_HIGHEST_FIRST: Final = (Role.ADMIN, Role.CREATOR, Role.RATER)
_MARK_LETTERS: Final = 6

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a provider has said of somebody, once it is known that it was the provider who said it."""

    issuer: str
    subject: str
    name: str
    """How they call themselves there; may be empty."""
    values: frozenset[str] = frozenset()
    """Of the claim that decides: groups, mostly."""


def role_of(claimed: Claimed, roles: Sequence[tuple[Role, str]]) -> Role:
    """The highest role that one of the claimed values gives.

    Raises:
        Forbidden: none does.
    """
    given = {role for role, value in roles if value == EVERYBODY or value in claimed.values}
    for role in _HIGHEST_FIRST:
        if role in given:
            return role
    raise Forbidden("your account is good, and is not among those that this studio lets in: ask its admins.")


def sign_in(work: Work, claimed: Claimed, *, role: Role) -> Identity:
    """Who that is here, with the role that they have from now on; made if they come for the first time.

    Raises:
        NotLoggedIn: the account here is deactivated.
    """
    user = _known(work, claimed)
    if user is None:
        try:
            with work.session.begin_nested():
                user = _welcome(work, claimed, role=role)
        except (IntegrityError, Conflict):  # another browser of theirs, or somebody of their name, was first
            user = _known(work, claimed) or _welcome(work, claimed, role=role)
    if user.deactivated_at is not None:
        raise NotLoggedIn("this account is deactivated: ask an admin of this studio.")
    if user.role != role:
        _promote(work, user, role, issuer=claimed.issuer)
    return Identity(Actor(user.id, role=Role(user.role), is_expert=user.is_expert))


def _known(work: Work, claimed: Claimed) -> User | None:
    query = select(User).join(LoginIdentity, LoginIdentity.user_id == User.id)
    is_theirs = (LoginIdentity.issuer == claimed.issuer) & (LoginIdentity.subject == claimed.subject)
    return work.session.scalar(query.where(is_theirs))


def _welcome(work: Work, claimed: Claimed, *, role: Role) -> User:
    user = service.create(work, UserIn(name=_free_name(work, claimed), role=role.value))
    identity = LoginIdentity(
        user_id=user.id, issuer=claimed.issuer, subject=claimed.subject, created_at=work.clock()
    )
    work.session.add(identity)
    work.session.flush()
    audit.note(work, "user.link", user.id, details={"issuer": claimed.issuer})
    return user


def _promote(work: Work, user: User, role: Role, *, issuer: str) -> None:
    """Or demote; but for the last admin, without whom nobody could look after the studio."""
    try:
        service.change(work, user.id, UserPatch(role=role.value))
    except Conflict as error:
        log.warning("the provider's role was not taken over", user_id=str(user.id), code=error.code)
    else:
        audit.note(work, "user.follow", user.id, details={"issuer": issuer, "role": role.value})


def _free_name(work: Work, claimed: Claimed) -> str:
    """Their own name, or with a mark where somebody has it: names are for people, and tell nobody apart."""
    mark = digest_of(f"{claimed.issuer} {claimed.subject}")[:_MARK_LETTERS]
    letters = "".join(letter if letter.isprintable() else " " for letter in claimed.name)
    name = " ".join(letters.split())[: NAME_LIMIT - _MARK_LETTERS - 3].strip()
    try:
        name = clean_text(name, name="name", limit=NAME_LIMIT - _MARK_LETTERS - 3)
    except InvalidInput:  # nothing to see in it, or signs that are spelled out at length
        name = ""
    if name and queries.named(work, name) is None:
        return name
    return f"{name} ({mark})" if name else f"user {mark}"
