"""What the `user` commands do, by the services that the API calls."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from text2song.actors import Role
from text2song.api.validation import describe
from text2song.cli.answer import Answer
from text2song.cli.opening import opened_studio, settings_for
from text2song.db.pages import MAX_LIMIT
from text2song.errors import InvalidInput, NotFound
from text2song.studio import Reader
from text2song.users import keys, queries, service
from text2song.users.schemas import QUOTA_LIMIT, KeyIn, UserIn, UserPatch
from text2song.users.tables import User
from text2song.wire import WireModel

DEFAULT_WORD: Final = "default"
NO_ADMIN: Final = (
    "Nobody is an admin yet, who could look after people over HTTP: "
    "`text2song user set {name} --role admin` makes {name} one."
)
BodyT = TypeVar("BodyT", bound=WireModel)
WordT = TypeVar("WordT", bound=StrEnum)


def add(answer: Answer, *, name: str, role: str | None, is_admin: bool, is_expert: bool) -> None:
    """Add a person with a first key.

    Raises:
        InvalidInput: the name cannot be one, the role is none, or is said twice.
        Conflict: somebody has that name.
    """
    asked_role = one_of(Role, role, option="--role") if role is not None else None
    if is_admin and asked_role not in {None, Role.ADMIN}:
        raise InvalidInput(f"--admin and --role {role} contradict each other: leave out one.", field="--role")
    chosen = Role.ADMIN if is_admin else asked_role or Role.CREATOR
    asked = {"name": name, "role": chosen.value, "is_expert": is_expert}
    body = body_of(UserIn, asked, options={"name": "NAME"})
    settings = settings_for(answer, is_service=False)
    with opened_studio(settings, answer=answer) as studio, studio.work() as work:
        user = service.create(work, body)
        is_led = any(
            person.role == Role.ADMIN and person.deactivated_at is None for person in _everybody(work)
        )
        key, secret = keys.create(work, KeyIn(name="first key", user_id=user.id))
        told = {"user": _told(user), "key": secret, "key_id": str(key.id)}
    answer.notice(f"{user.name} is {_a(chosen)} now. This is the key to log in with; it is told this once:")
    answer.give(told, text=secret)
    if not is_led:
        answer.notice(NO_ADMIN.format(name=user.name))


def list_people(answer: Answer) -> None:
    """Everybody, in the order in which they came."""
    settings = settings_for(answer, is_service=False)
    with opened_studio(settings, answer=answer) as studio, studio.read() as reader:
        people = [_told(user) for user in reversed(list(_everybody(reader)))]
    lines = [_line(person) for person in people]
    empty = "There are no users: who has this machine needs none. `text2song user add NAME --admin` adds one."
    answer.give({"users": people}, text="\n".join(lines) or empty)


def change(
    answer: Answer,
    *,
    name: str,
    role: str | None,
    is_expert: bool | None,
    shares: Mapping[str, str | None],
) -> None:
    """Change what was said.

    Raises:
        InvalidInput: nothing was said, the role is none, or a share is no number.
        NotFound: nobody has that name.
        Conflict: no admin would be left.
    """
    wanted: dict[str, Any] = {name: _share(name, text) for name, text in shares.items() if text is not None}
    wanted |= {"role": one_of(Role, role, option="--role").value} if role is not None else {}
    wanted |= {"is_expert": is_expert} if is_expert is not None else {}
    if not wanted:
        raise InvalidInput("say what to change, such as --role rater.", field="--role")
    _change(answer, name=name, patch=UserPatch.model_validate(wanted))


def set_active(answer: Answer, *, name: str, is_active: bool) -> None:
    """Shut somebody out, or let them in again.

    Raises:
        NotFound: nobody has that name.
        Conflict: no admin would be left.
    """
    _change(answer, name=name, patch=UserPatch(is_active=is_active))


def body_of(body: type[BodyT], asked: Mapping[str, Any], *, options: Mapping[str, str]) -> BodyT:
    """The same body that the API takes, refused in the options' own names.

    Raises:
        InvalidInput: for what cannot be.
    """
    try:
        return body.model_validate(asked)
    except ValidationError as error:
        first = describe(RequestValidationError(error.errors()))[0]
        option = options.get(first.field, first.field)
        raise InvalidInput(f"{option} {first.message}.", field=option) from error


def one_of(kind: type[WordT], text: str, *, option: str) -> WordT:
    """The word of that kind. Typer could look for it too, and tells of its own inside where there is none.

    Raises:
        InvalidInput: it is none of them.
    """
    words = list(kind)
    if text not in words:
        told = f"{', '.join(words[:-1])} or {words[-1]}"
        raise InvalidInput(f"{option} is {told}, not {text!r}.", field=option)
    return kind(text)


def named(reader: Reader, name: str) -> User:
    """The person of that name, in capitals or not.

    Raises:
        NotFound: there is none.
    """
    user = queries.named(reader, name)
    if user is None:
        raise NotFound(f"there is no user {name!r}. `text2song user list` tells whom there is.", field="NAME")
    return user


def _change(answer: Answer, *, name: str, patch: UserPatch) -> None:
    settings = settings_for(answer, is_service=False)
    with opened_studio(settings, answer=answer) as studio, studio.work() as work:
        told = _told(service.change(work, named(work, name).id, patch))
    answer.give({"user": told}, text=_line(told))


def _everybody(reader: Reader) -> Iterator[User]:
    cursor = None
    while True:
        page = queries.find(reader, cursor=cursor, limit=MAX_LIMIT)
        yield from page.rows
        cursor = page.next_cursor
        if cursor is None:
            return


def _share(name: str, text: str) -> int | None:
    if text == DEFAULT_WORD:
        return None
    if not (text.isascii() and text.isdecimal() and int(text) <= QUOTA_LIMIT):
        option = f"--{name.replace('_', '-')}"
        raise InvalidInput(
            f"{option} is a whole number from 0, or `{DEFAULT_WORD}`, not {text!r}.", field=option
        )
    return int(text)


def _told(user: User) -> dict[str, Any]:
    return queries.describe(user).model_dump(mode="json")


def _line(person: Mapping[str, Any]) -> str:
    words = [f"{person['name']:<24} {person['role']:<8}"]
    words += ["expert"] if person["is_expert"] else []
    words += [] if person["is_active"] else ["deactivated"]
    words += [
        f"{name}={person[name]}" for name in person if name.startswith("max_") and person[name] is not None
    ]
    return "  ".join(words).rstrip()


def _a(role: Role) -> str:
    return f"an {role}" if role == Role.ADMIN else f"a {role}"
