"""How many rows of a job a worker has in the making, since a worker begins them one by one."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0007"
down_revision: Final = "0006"
branch_labels: Final = None
depends_on: Final = None

WHOLE: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply; a version that does not know the column leaves it at none."""
    column = sa.Column("rows_begun", WHOLE, nullable=False, server_default=sa.text("0"))
    op.add_column("generation_jobs", column)


def downgrade() -> None:
    """Take back."""
    op.drop_column("generation_jobs", "rows_begun")
