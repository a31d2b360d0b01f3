"""How the stamp of the firms came to be what it is."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table; what happened before it is not known."""
    op.create_table(
        "data_change", sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("stamp", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False), sa.Column("batch_id", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_data_change"),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name="fk_data_change_batch"),
        sqlite_autoincrement=True,
    )  # fmt: skip
    op.create_index("ix_data_change_stamp", "data_change", ["stamp"], unique=True)


def downgrade() -> None:
    """Forget it."""
    op.drop_table("data_change")
