"""People: roles, keys, sessions, what admins did, and who may see what.

What was made before there were users belongs to nobody and is private: admins see it.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: Final = "0002"
down_revision: Final = "0001"
branch_labels: Final = None
depends_on: Final = None

JSON: Final = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT: Final = sa.DateTime(timezone=True)
WHOLE: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OWNED: Final = ("prompts", "generation_jobs", "audio_samples")
CONVENTION: Final = {"fk": "fk_%(table_name)s_%(column_0_N_name)s"}


def upgrade() -> None:
    """Apply."""
    _extend_users()
    _create_keys_and_sessions()
    _create_identities()
    _create_audit_entries()
    with op.batch_alter_table("prompts") as table:
        table.add_column(_visibility())
        table.create_unique_constraint(op.f("uq_prompts_id_visibility"), ["id", "visibility"])
    _follow_the_prompt("generation_jobs", ondelete="CASCADE")
    _follow_the_prompt("audio_samples", ondelete=None)
    for table_name in OWNED:
        for column in ("user_id", "visibility"):
            op.create_index(op.f(f"ix_{table_name}_{column}_id"), table_name, [column, "id"])


def downgrade() -> None:
    """Take back."""
    for table_name in OWNED:
        for column in ("user_id", "visibility"):
            op.drop_index(op.f(f"ix_{table_name}_{column}_id"), table_name=table_name)
    _leave_the_prompt("audio_samples", ondelete=None)
    _leave_the_prompt("generation_jobs", ondelete="CASCADE")
    with op.batch_alter_table("prompts") as table:
        table.drop_constraint(op.f("uq_prompts_id_visibility"), type_="unique")
        table.drop_column("visibility")
    for table_name in ("audit_entries", "login_identities", "login_sessions", "api_keys"):
        op.drop_table(table_name)
    with op.batch_alter_table("users") as table:
        for column in (
            "role",
            "is_expert",
            "deactivated_at",
            "max_queued_jobs",
            "max_minutes_a_day",
            "max_storage_bytes",
        ):
            table.drop_column(column)


def _extend_users() -> None:
    for column in (
        sa.Column("role", sa.String(length=16), nullable=False, server_default="creator"),
        sa.Column("is_expert", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("deactivated_at", MOMENT, nullable=True),
        sa.Column("max_queued_jobs", WHOLE, nullable=True),
        sa.Column("max_minutes_a_day", WHOLE, nullable=True),
        sa.Column("max_storage_bytes", WHOLE, nullable=True),
    ):
        op.add_column("users", column)


def _create_keys_and_sessions() -> None:
    op.create_table(
        "api_keys",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("first_letters", sa.String(length=16), nullable=False),
        sa.Column("scopes", JSON, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_keys_digest")),
    )
    op.create_index(op.f("ix_api_keys_user_id"), "api_keys", ["user_id"])
    op.create_table(
        "login_sessions",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_login_sessions_key_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_login_sessions_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_sessions")),
        sa.UniqueConstraint("digest", name=op.f("uq_login_sessions_digest")),
    )
    for column in ("user_id", "key_id"):
        op.create_index(op.f(f"ix_login_sessions_{column}"), "login_sessions", [column])


def _create_identities() -> None:
    op.create_table(
        "login_identities",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sa.String(length=500), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_login_identities_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_identities")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_login_identities_issuer_subject")),
    )
    op.create_index(op.f("ix_login_identities_user_id"), "login_identities", ["user_id"])


def _create_audit_entries() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("act", sa.String(length=64), nullable=False),
        sa.Column("subject_kind", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("details", JSON, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_audit_entries_actor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    op.create_index(op.f("ix_audit_entries_subject_id_id"), "audit_entries", ["subject_id", "id"])


def _visibility() -> sa.Column[str]:
    return sa.Column("visibility", sa.String(length=16), nullable=False, server_default="private")


def _follow_the_prompt(table_name: str, *, ondelete: str | None) -> None:
    """Let the rows of a table be seen by whoever sees their prompt."""
    with op.batch_alter_table(table_name, naming_convention=CONVENTION) as table:
        table.add_column(_visibility())
        table.drop_constraint(op.f(f"fk_{table_name}_prompt_id"), type_="foreignkey")
        table.create_foreign_key(
            op.f(f"fk_{table_name}_prompt_id_visibility"),
            "prompts",
            ["prompt_id", "visibility"],
            ["id", "visibility"],
            ondelete=ondelete,
            onupdate="CASCADE",
        )


def _leave_the_prompt(table_name: str, *, ondelete: str | None) -> None:
    with op.batch_alter_table(table_name, naming_convention=CONVENTION) as table:
        table.drop_constraint(op.f(f"fk_{table_name}_prompt_id_visibility"), type_="foreignkey")
        table.drop_column("visibility")
        table.create_foreign_key(
            op.f(f"fk_{table_name}_prompt_id"), "prompts", ["prompt_id"], ["id"], ondelete=ondelete
        )
