"""Who acts, and what they may do: two words that every floor from the database upwards shares.

    role      read  rate  create  admin
    rater      x     x
    creator    x     x      x
    admin      x     x      x       x

A key may be limited to some of its owner's permissions (its scopes), never widened.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from text2song.errors import Forbidden


class Permission(StrEnum):
    """What an endpoint asks for; also the scopes of a key."""

    READ = "read"
    """See and hear one's own things, and what others share."""
    RATE = "rate"
    """Give feedback on what may be heard."""
    CREATE = "create"
    """Write prompts, have takes made, and change or delete one's own."""
    ADMIN = "admin"
    """See and change everybody's, and look after people."""


class Role(StrEnum):
    """What a person is here for."""

    ADMIN = "admin"
    CREATOR = "creator"
    RATER = "rater"


EVERYTHING: Final = frozenset(Permission)
PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = MappingProxyType(
    {
        Role.ADMIN: EVERYTHING,
        Role.CREATOR: frozenset({Permission.READ, Permission.RATE, Permission.CREATE}),
        Role.RATER: frozenset({Permission.READ, Permission.RATE}),
    }
)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts in one unit. Whoever forgets to say a role gets the least of them."""

    user_id: uuid.UUID | None = None
    role: Role = Role.RATER
    is_expert: bool = False
    """Whether this person's feedback counts as an expert's; gives no permission."""
    scopes: frozenset[Permission] = EVERYTHING
    """What the key that was used is good for."""

    def may(self, permission: Permission) -> bool:
        """Whether both the role and the key allow it."""
        return permission in PERMISSIONS[self.role] & self.scopes

    def require(self, permission: Permission) -> None:
        """Go on only if it is allowed.

        Raises:
            Forbidden: with what is missing: the role's permission, or the key's scope.
        """
        if permission not in PERMISSIONS[self.role]:
            raise Forbidden(
                f"this needs the permission to {permission}, which the role {self.role} does not have: ask "
                "an admin of this studio for another role."
            )
        if permission not in self.scopes:
            scopes = ", ".join(sorted(self.scopes))
            raise Forbidden(
                f"this key is good for {scopes} alone, and this needs {permission}: use one with that scope."
            )

    @property
    def sees_all(self) -> bool:
        """Whether everybody's things are theirs to see and change."""
        return self.may(Permission.ADMIN)


NOBODY: Final = Actor(role=Role.ADMIN)
"""Whoever has the machine itself: a worker, the command line, and on loopback a studio without users."""
