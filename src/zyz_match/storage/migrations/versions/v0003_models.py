"""Jobs, which model version serves, and the log of how it came to."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default="")


def _needed(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _maybe(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text())


def _zero(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default="0")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "job", sa.Column("id", _KEY, nullable=False), _needed("kind"), _needed("state"),
        _maybe("slot"), _text("what"), _zero("done"), _zero("total"), _needed("params"),
        _maybe("result"), _text("error"), _text("owner"), _zero("attempts"),
        _zero("cancel_requested"), _needed("created_at"), _maybe("started_at"),
        _needed("heartbeat_at"), _maybe("finished_at"),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
    )  # fmt: skip
    op.create_index("ix_job_slot", "job", ["slot"], unique=True)
    op.create_index("ix_job_created_at", "job", ["created_at"])
    op.create_table(
        "serving", _needed("slot"), _needed("version"), _needed("previous"), _needed("since"),
        _text("by"), sa.PrimaryKeyConstraint("slot", name="pk_serving"),
    )  # fmt: skip
    op.create_table(
        "serving_log", sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        _needed("at"), _text("by"), _needed("action"), _needed("version"), _needed("previous"),
        _text("note"), sa.PrimaryKeyConstraint("id", name="pk_serving_log"),
        sqlite_autoincrement=True,
    )  # fmt: skip


def downgrade() -> None:
    """Drop the tables; the model files stay."""
    for table in ("serving_log", "serving", "job"):
        op.drop_table(table)
