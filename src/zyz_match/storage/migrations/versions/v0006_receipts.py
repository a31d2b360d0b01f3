"""Receipts without an index by firm, which nobody asks by: it was most of what a list wrote."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Drop it."""
    op.drop_index("ix_shortlist_item_firm_id", "shortlist_item")


def downgrade() -> None:
    """Make it again."""
    op.create_index("ix_shortlist_item_firm_id", "shortlist_item", ["firm_id"])
