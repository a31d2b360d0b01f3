"""Leads, imports of leads and events, and the inputs of a list on its receipt."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_RECEIPT_COLUMNS = ("k", "diversify", "after", "profile", "existing")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default="")


def _needed(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _by_hand() -> sa.Column[int]:
    return sa.Column("by_hand", sa.Integer(), nullable=False, server_default="1")


def upgrade() -> None:
    """Create the table of leads, and widen batches, events and receipts."""
    _leads()
    _batches()
    for name in _RECEIPT_COLUMNS:
        number = name in ("k", "diversify")
        op.add_column("shortlist", sa.Column(name, sa.Integer()) if number else _text(name))


def _leads() -> None:
    op.create_table(
        "lead", sa.Column("id", sa.Integer(), autoincrement=True, nullable=False), _needed("key"),
        sa.Column("town_id", _KEY, nullable=False), sa.Column("firm_id", _KEY, nullable=False),
        _needed("date"), _needed("stage"),
        *(_text(c) for c in ("reason", "owner", "note", "list_id")),
        sa.Column("corrects", sa.Integer()), _needed("recorded_at"), _text("via"), _by_hand(),
        sa.PrimaryKeyConstraint("id", name="pk_lead"),
        sa.ForeignKeyConstraint(["corrects"], ["lead.id"], name="fk_lead_lead"),
        sqlite_autoincrement=True,
    )  # fmt: skip
    op.create_index("ix_lead_key", "lead", ["key"], unique=True)
    op.create_index("ix_lead_corrects", "lead", ["corrects"], unique=True)
    op.create_index("ix_lead_firm_id", "lead", ["firm_id"])
    op.create_index("ix_lead_town_id", "lead", ["town_id", "firm_id"])
    op.create_index("ix_lead_date", "lead", ["date", "id"])


def _batches() -> None:
    op.add_column("batch", sa.Column("kind", sa.Text(), nullable=False, server_default="firms"))
    op.add_column("event", _by_hand())
    op.create_table(
        "batch_row", sa.Column("batch_id", sa.Integer(), nullable=False), _needed("key"),
        sa.PrimaryKeyConstraint("batch_id", "key", name="pk_batch_row"),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name="fk_batch_row_batch"),
    )  # fmt: skip
    op.create_index("ix_batch_row_key", "batch_row", ["key"])


def downgrade() -> None:
    """Forget the leads and the inputs of receipts; the events stay."""
    op.drop_table("batch_row")
    op.drop_table("lead")
    for name in _RECEIPT_COLUMNS:
        op.drop_column("shortlist", name)
    op.drop_column("event", "by_hand")
    op.drop_column("batch", "kind")
