"""The jobs and takes of a prompt, newest first, also of one status or by one adapter: others cost nothing.

For a prompt that was used much and long ago, PostgreSQL walked backwards over everything that came later; of
its takes by one adapter, SQLite walked over all that the adapter made (49 ms among 100,000).
"""

from typing import Final

from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"
branch_labels: Final = None
depends_on: Final = None

NARROWED_BY: Final = {"audio_samples": "adapter_id", "generation_jobs": "status"}


def upgrade() -> None:
    """Apply."""
    for table, column in NARROWED_BY.items():
        op.create_index(op.f(f"ix_{table}_prompt_id_id"), table, ["prompt_id", "id"])
        op.create_index(op.f(f"ix_{table}_prompt_id_{column}_id"), table, ["prompt_id", column, "id"])
        op.drop_index(op.f(f"ix_{table}_prompt_id"), table_name=table)


def downgrade() -> None:
    """Take back."""
    for table, column in NARROWED_BY.items():
        op.create_index(op.f(f"ix_{table}_prompt_id"), table, ["prompt_id"])
        op.drop_index(op.f(f"ix_{table}_prompt_id_{column}_id"), table_name=table)
        op.drop_index(op.f(f"ix_{table}_prompt_id_id"), table_name=table)
