"""A name is one person's, in capitals or not; and what a deleted job has used of a share stays used.

A creator's jobs of one status cost the same however many they have: SQLite walked over all of them to find
the few that failed.

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

MOMENT: Final = sa.DateTime(timezone=True)
SEEN_BY: Final = ("user_id", "visibility")


def upgrade() -> None:
    """Apply."""
    op.add_column("users", sa.Column("folded_name", sa.String(length=300), nullable=True))
    _fold_names()
    op.create_index(op.f("ix_users_folded_name"), "users", ["folded_name"], unique=True)
    _create_used_seconds()
    for column in SEEN_BY:
        op.create_index(
            op.f(f"ix_generation_jobs_{column}_status_id"), "generation_jobs", [column, "status", "id"]
        )


def downgrade() -> None:
    """Take back."""
    for column in SEEN_BY:
        op.drop_index(op.f(f"ix_generation_jobs_{column}_status_id"), table_name="generation_jobs")
    op.drop_table("used_seconds")
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


def _create_used_seconds() -> None:
    op.create_table(
        "used_seconds",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_used_seconds_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_used_seconds")),
    )
    op.create_index(op.f("ix_used_seconds_user_id_asked_at"), "used_seconds", ["user_id", "asked_at"])
