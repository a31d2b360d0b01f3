"""Towns, firms, imports that can be undone, contacts, events and shortlists."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_FIRM_TEXTS = (
    "name", "uscc", "stock_code", "status", "standing", "province", "city", "county", "division",
    "address", "industry", "industry_text", "capital_text", "founded", "size", "kind", "scope",
    "products", "website", "former_names", "marks", "listing", "source", "name_key", "former_key",
)  # fmt: skip
_FIRM_NUMBERS = ("capital", "capital_paid", "employees", "revenue", "patents")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default="")


def _needed(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, _KEY, nullable=False)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _zero(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default="0")


def upgrade() -> None:
    """Create every table."""
    _towns()
    _firms()
    _batches()
    _links()
    _shortlists()


def _towns() -> None:
    op.create_table(
        "stamp", _needed("name"), _needed("value"), sa.PrimaryKeyConstraint("name", name="pk_stamp")
    )
    op.create_table(
        "town", _key("id"), *(_text(c) for c in ("name", "province", "city", "county", "sector")),
        _needed("profile"), _needed("updated_at"), sa.PrimaryKeyConstraint("id", name="pk_town"),
    )  # fmt: skip


def _firms() -> None:
    op.create_table(
        "firm", _key("firm_id"), *(_text(c) for c in _FIRM_TEXTS),
        *(sa.Column(c, sa.Double()) for c in _FIRM_NUMBERS), _needed("row_hash"),
        _needed("updated_at"), sa.PrimaryKeyConstraint("firm_id", name="pk_firm"),
    )  # fmt: skip
    for column in ("uscc", "stock_code", "name_key"):
        op.create_index(f"ix_firm_{column}", "firm", [column])


def _batches() -> None:
    op.create_table(
        "batch", sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        _needed("file_name"), _needed("file_hash"), _count("rows"),
        *(_zero(c) for c in ("created", "updated", "unchanged")), _needed("created_at"),
        sa.Column("undone_at", sa.Text()), sa.PrimaryKeyConstraint("id", name="pk_batch"),
        sqlite_autoincrement=True,
    )  # fmt: skip
    op.create_index("ix_batch_file_hash", "batch", ["file_hash"])
    op.create_table(
        "firm_before", _count("batch_id"), _key("firm_id"), _needed("action"),
        sa.Column("before", sa.Text()),
        sa.PrimaryKeyConstraint("batch_id", "firm_id", name="pk_firm_before"),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name="fk_firm_before_batch"),
    )  # fmt: skip
    op.create_index("ix_firm_before_firm_id", "firm_before", ["firm_id", "batch_id"])
    op.create_table(
        "contact", _key("firm_id"), _needed("kind"), _needed("value"), _count("batch_id"),
        sa.PrimaryKeyConstraint("firm_id", "kind", "value", "batch_id", name="pk_contact"),
        sa.ForeignKeyConstraint(
            ["firm_id"], ["firm.firm_id"], name="fk_contact_firm", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name="fk_contact_batch"),
    )  # fmt: skip
    op.create_index("ix_contact_batch_id", "contact", ["batch_id"])


def _links() -> None:
    op.create_table(
        "existing", _key("town_id"), _key("firm_id"),
        sa.PrimaryKeyConstraint("town_id", "firm_id", name="pk_existing"),
    )  # fmt: skip
    op.create_table(
        "event", _needed("key"), _key("firm_id"), _needed("date"),
        *(_text(c) for c in ("region", "industry", "target", "kind")),
        sa.Column("amount", sa.Double()), sa.PrimaryKeyConstraint("key", name="pk_event"),
    )  # fmt: skip
    op.create_index("ix_event_firm_id", "event", ["firm_id"])


def _shortlists() -> None:
    op.create_table(
        "shortlist", _key("id"), _key("town_id"), _needed("asked_at"), _text("by"), _text("via"),
        _needed("filters"), _text("model"), _text("data"), _count("pool"), _count("total"),
        sa.PrimaryKeyConstraint("id", name="pk_shortlist"),
    )  # fmt: skip
    op.create_index("ix_shortlist_town_id", "shortlist", ["town_id"])
    op.create_table(
        "shortlist_item", _key("shortlist_id"), _count("rank"), _key("firm_id"),
        sa.Column("score", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("shortlist_id", "rank", name="pk_shortlist_item"),
        sa.ForeignKeyConstraint(
            ["shortlist_id"], ["shortlist.id"], name="fk_shortlist_item_shortlist",
            ondelete="CASCADE",
        ),
    )  # fmt: skip
    op.create_index("ix_shortlist_item_firm_id", "shortlist_item", ["firm_id"])


def downgrade() -> None:
    """Drop every table."""
    for table in (
        "shortlist_item", "shortlist", "event", "existing", "contact", "firm_before", "batch",
        "firm", "town", "stamp",
    ):  # fmt: skip
        op.drop_table(table)
