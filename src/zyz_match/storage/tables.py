"""The tables, as the newest migration leaves them."""

import sqlalchemy as sa

from zyz_match.domain import NUMBER_COLUMNS, Col

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

# ids sort the same in Python, SQLite and PostgreSQL, whatever the locale of the database
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _text(name: str, kind: sa.types.TypeEngine[str] | None = None) -> sa.Column[str]:
    return sa.Column(name, kind or sa.Text(), nullable=False, server_default="")


def _firm_column(column: Col) -> sa.Column[str] | sa.Column[float]:
    if column is Col.FIRM_ID:
        return sa.Column(column.value, KEY, primary_key=True)
    if column in NUMBER_COLUMNS:
        return sa.Column(column.value, sa.Double())
    indexed = column in (Col.USCC, Col.STOCK_CODE)
    return sa.Column(column.value, sa.Text(), nullable=False, server_default="", index=indexed)


stamp = sa.Table(
    "stamp",
    metadata,
    sa.Column("name", sa.Text(), primary_key=True),  # firms | towns | leads
    sa.Column("value", sa.Text(), nullable=False),
)

town = sa.Table(
    "town",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    _text("name"),
    _text("province"),
    _text("city"),
    _text("county"),
    _text("sector"),
    sa.Column("profile", sa.Text(), nullable=False),  # JSON of profiles.town_to
    sa.Column("updated_at", sa.Text(), nullable=False),
)

firm = sa.Table(
    "firm",
    metadata,
    *(_firm_column(c) for c in Col),
    sa.Column("name_key", sa.Text(), nullable=False, server_default="", index=True),
    _text("former_key"),  # ；key；key； of the former names
    sa.Column("row_hash", sa.Text(), nullable=False),
    sa.Column("updated_at", sa.Text(), nullable=False),
)

batch = sa.Table(
    "batch",
    metadata,
    sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
    sa.Column("file_name", sa.Text(), nullable=False),
    sa.Column("file_hash", sa.Text(), nullable=False, index=True),
    sa.Column("rows", sa.Integer(), nullable=False),
    sa.Column("created", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("updated", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("unchanged", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("created_at", sa.Text(), nullable=False),
    sa.Column("undone_at", sa.Text()),
    sa.Column("kind", sa.Text(), nullable=False, server_default="firms"),  # firms | events | leads
    sqlite_autoincrement=True,  # an id is never given out twice
)

# which events and leads a batch spoke of; what nothing speaks of any more goes with an undo
batch_row = sa.Table(
    "batch_row",
    metadata,
    sa.Column("batch_id", sa.ForeignKey("batch.id"), primary_key=True),
    sa.Column("key", sa.Text(), primary_key=True, index=True),
)

# what a batch did to a firm; a row goes when its batch is undone and the firm was not kept
firm_before = sa.Table(
    "firm_before",
    metadata,
    sa.Column("batch_id", sa.ForeignKey("batch.id"), primary_key=True),
    sa.Column("firm_id", KEY, primary_key=True),
    sa.Column("action", sa.Text(), nullable=False),  # created | updated | seen
    sa.Column("before", sa.Text()),  # JSON of the row as it was, when updated
    sa.Index("ix_firm_before_firm_id", "firm_id", "batch_id"),
)

# append-only: how the stamp of the firms came to be what it is
data_change = sa.Table(
    "data_change",
    metadata,
    sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
    sa.Column("stamp", sa.Text(), nullable=False, index=True, unique=True),
    sa.Column("kind", sa.Text(), nullable=False),  # firms | undo | links
    sa.Column("batch_id", sa.ForeignKey("batch.id")),  # whose firms are new or changed
    sqlite_autoincrement=True,  # an id is never given out twice
)

contact = sa.Table(
    "contact",
    metadata,
    sa.Column("firm_id", KEY, sa.ForeignKey("firm.firm_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("kind", sa.Text(), primary_key=True),  # phone | mail | person
    sa.Column("value", sa.Text(), primary_key=True),
    sa.Column("batch_id", sa.ForeignKey("batch.id"), primary_key=True, index=True),
)

existing = sa.Table(
    "existing",
    metadata,
    sa.Column("town_id", KEY, primary_key=True),
    sa.Column("firm_id", KEY, primary_key=True),
)

event = sa.Table(
    "event",
    metadata,
    sa.Column("key", sa.Text(), primary_key=True),  # hash of the content
    sa.Column("firm_id", KEY, nullable=False, index=True),
    sa.Column("date", sa.Text(), nullable=False),  # ISO
    _text("region"),
    _text("industry"),
    _text("target"),
    _text("kind"),
    sa.Column("amount", sa.Double()),
    sa.Column("by_hand", sa.Integer(), nullable=False, server_default="1"),  # 0: by files alone
)

# append-only: what one entry says is never changed, a correction is an entry of its own
lead = sa.Table(
    "lead",
    metadata,
    sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
    sa.Column("key", sa.Text(), nullable=False, index=True, unique=True),  # hash of the content
    sa.Column("town_id", KEY, nullable=False),
    sa.Column("firm_id", KEY, nullable=False, index=True),
    sa.Column("date", sa.Text(), nullable=False),  # ISO
    sa.Column("stage", sa.Text(), nullable=False),  # Stage
    _text("reason"),  # a key of REASONS
    _text("owner"),
    _text("note"),
    _text("list_id"),
    sa.Column("corrects", sa.ForeignKey("lead.id"), index=True, unique=True),
    sa.Column("recorded_at", sa.Text(), nullable=False),  # ISO, UTC
    _text("via"),  # cli | api | file
    sa.Column("by_hand", sa.Integer(), nullable=False, server_default="1"),  # 0: by files alone
    sa.Index("ix_lead_town_id", "town_id", "firm_id"),
    sa.Index("ix_lead_date", "date", "id"),
    sqlite_autoincrement=True,  # an id is never given out twice
)

shortlist = sa.Table(
    "shortlist",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("town_id", KEY, nullable=False, index=True),
    sa.Column("asked_at", sa.Text(), nullable=False),  # ISO, UTC
    _text("by"),
    _text("via"),
    sa.Column("filters", sa.Text(), nullable=False),  # JSON
    _text("model"),
    _text("data"),
    sa.Column("pool", sa.Integer(), nullable=False),
    sa.Column("total", sa.Integer(), nullable=False),
    sa.Column("k", sa.Integer()),  # None in receipts older than this column
    sa.Column("diversify", sa.Integer()),
    _text("after"),  # JSON of (score, firm_id), "" for a first page
    _text("profile"),  # JSON of the town as it was, "" in receipts older than this column
    _text("existing"),  # hash of the firms that were in the town
)

shortlist_item = sa.Table(
    "shortlist_item",
    metadata,
    sa.Column(
        "shortlist_id", KEY, sa.ForeignKey("shortlist.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("rank", sa.Integer(), primary_key=True),
    sa.Column("firm_id", KEY, nullable=False, index=True),
    sa.Column("score", sa.Double(), nullable=False),
)

job = sa.Table(
    "job",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("kind", sa.Text(), nullable=False),  # retrain
    sa.Column("state", sa.Text(), nullable=False),  # JobState
    sa.Column("slot", sa.Text(), index=True, unique=True),  # the kind, until the job has ended
    _text("what"),  # what is going on, Chinese
    sa.Column("done", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("total", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("params", sa.Text(), nullable=False),  # JSON
    sa.Column("result", sa.Text()),  # JSON
    _text("error"),
    _text("owner"),  # which worker holds the lease
    sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("cancel_requested", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("created_at", sa.Text(), nullable=False, index=True),  # ISO, UTC, as all below
    sa.Column("started_at", sa.Text()),
    sa.Column("heartbeat_at", sa.Text(), nullable=False),
    sa.Column("finished_at", sa.Text()),
)

serving = sa.Table(
    "serving",
    metadata,
    sa.Column("slot", sa.Text(), primary_key=True),  # model: there is one row
    sa.Column("version", sa.Text(), nullable=False),  # "" is the prior, which has no file
    sa.Column("previous", sa.Text(), nullable=False),
    sa.Column("since", sa.Text(), nullable=False),  # ISO, UTC
    _text("by"),
)

# append-only
serving_log = sa.Table(
    "serving_log",
    metadata,
    sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
    sa.Column("at", sa.Text(), nullable=False),  # ISO, UTC
    _text("by"),
    sa.Column("action", sa.Text(), nullable=False),  # promote | rollback | reject
    sa.Column("version", sa.Text(), nullable=False),
    sa.Column("previous", sa.Text(), nullable=False),
    _text("note"),
    sqlite_autoincrement=True,
)
