"""A worker says what it computes on, the processor or which GPU; of older ones nobody knows."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0006"
down_revision: Final = "0005"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Apply."""
    op.add_column("model_workers", sa.Column("device", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("model_workers", "device")
