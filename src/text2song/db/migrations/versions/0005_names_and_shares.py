"""A name is one person's, in capitals or not.

Names that differed in case alone are two people's already where they were given before: the older one keeps
the name, the other stays under theirs, written as it is.
"""

import unicodedata
import uuid
from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0005"
down_revision: Final = "0004"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Apply."""
    op.add_column("users", sa.Column("folded_name", sa.String(length=300), nullable=True))
    _fold_names()
    op.create_index(op.f("ix_users_folded_name"), "users", ["folded_name"], unique=True)


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f("ix_users_folded_name"), table_name="users")
    op.drop_column("users", "folded_name")


def _fold_names() -> None:
    users = sa.table("users", sa.column("id"), sa.column("name"), sa.column("folded_name"))
    connection = op.get_bind()
    owners: dict[str, uuid.UUID] = {}
    for user_id, name in connection.execute(sa.select(users.c.id, users.c.name).order_by(users.c.id)):
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        owners.setdefault(folded, user_id)
    for folded, user_id in owners.items():
        connection.execute(sa.update(users).where(users.c.id == user_id).values(folded_name=folded))
