"""Where a job was asked for, so that its trace goes on in the worker."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Apply; a column that may be empty costs nothing, however many rows there are."""
    op.add_column("generation_jobs", sa.Column("trace_parent", sa.String(length=55), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("generation_jobs", "trace_parent")
