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
    sa.Index("ix_firm_updated_at", "updated_at", "firm_id"),
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
    sa.Column("batch_id", sa.ForeignKey("batch.id")),  # the one imported or undone
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

# whose contacts were erased: no import brings any back until somebody allows it
erasure = sa.Table(
    "erasure",
    metadata,
    sa.Column("firm_id", KEY, primary_key=True),
    sa.Column("at", sa.Text(), nullable=False),  # ISO, UTC
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
    _text("recorded_at"),  # ISO, UTC; "" in events older than this column
    sa.Index("ix_event_recorded_at", "recorded_at", "key"),
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
    sa.Index("ix_lead_recorded_at", "recorded_at", "id"),
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
    sa.Column("published_at", sa.Text()),  # ISO, UTC: when it was handed on
)

shortlist_item = sa.Table(
    "shortlist_item",
    metadata,
    sa.Column(
        "shortlist_id", KEY, sa.ForeignKey("shortlist.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("rank", sa.Integer(), primary_key=True),
    sa.Column("firm_id", KEY, nullable=False),
    sa.Column("score", sa.Double(), nullable=False),
)

job = sa.Table(
    "job",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("kind", sa.Text(), nullable=False),  # retrain | import
    sa.Column("state", sa.Text(), nullable=False),  # JobState
    sa.Column("slot", sa.Text(), index=True, unique=True),  # one job each, until it has ended
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

# who may do what ----------------------------------------------------------------------------

account = sa.Table(
    "account",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("name", KEY, nullable=False, unique=True, index=True),
    _text("label"),  # how it is shown, Chinese
    sa.Column("role", sa.Text(), nullable=False),  # Role of acting.py
    sa.Column("towns", sa.Text()),  # JSON list; None is every town
    _text("password"),  # argon2id, "" for who signs in by OIDC alone
    sa.Column("must_change", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("failed", sa.Integer(), nullable=False, server_default="0"),  # in a row
    sa.Column("locked_until", sa.Text()),  # ISO, UTC, as all moments below
    sa.Column("subject", sa.Text(), unique=True, index=True),  # of OIDC: issuer and subject
    sa.Column("created_at", sa.Text(), nullable=False),
    sa.Column("disabled_at", sa.Text()),
)

session = sa.Table(
    "session",
    metadata,
    sa.Column("token_hash", sa.Text(), primary_key=True),
    sa.Column("account_id", KEY, sa.ForeignKey("account.id", ondelete="CASCADE"), nullable=False,
              index=True),
    sa.Column("created_at", sa.Text(), nullable=False),
    sa.Column("expires_at", sa.Text(), nullable=False),
)  # fmt: skip

api_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("name", sa.Text(), nullable=False),
    sa.Column("key_hash", sa.Text(), nullable=False, unique=True, index=True),
    sa.Column("role", sa.Text(), nullable=False),
    sa.Column("scopes", sa.Text(), nullable=False),  # JSON list of Scope
    sa.Column("towns", sa.Text()),  # JSON list; None is every town
    sa.Column("created_at", sa.Text(), nullable=False),
    _text("created_by"),
    sa.Column("expires_at", sa.Text()),
    sa.Column("revoked_at", sa.Text()),
    sa.Column("used_at", sa.Text()),  # to the minute
)

# append-only and chained: a row's hash covers what it says and the hash of the row before
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer(), primary_key=True),  # 1, 2, 3 without a gap
    sa.Column("at", sa.Text(), nullable=False, index=True),
    _text("actor"),
    _text("role"),
    _text("via"),  # cli | api | worker
    _text("request_id"),
    sa.Column("action", sa.Text(), nullable=False),  # lead.record, firm.upsert, list.see ...
    _text("object"),  # id of what it was about
    sa.Column("detail", sa.Text(), nullable=False),  # JSON, no personal data
    sa.Column("hash", sa.Text(), nullable=False),
)

# what other systems know by their own ids ---------------------------------------------------

external_id = sa.Table(
    "external_id",
    metadata,
    sa.Column("system", KEY, primary_key=True),
    sa.Column("object", KEY, primary_key=True),  # what it is called there: crm.lead
    sa.Column("external_id", KEY, primary_key=True),
    sa.Column("kind", sa.Text(), nullable=False),  # firm | town | lead | event
    sa.Column("own_id", KEY, nullable=False),
    sa.Column("updated_at", sa.Text(), nullable=False),
    sa.Index("ix_external_id_own_id", "kind", "own_id"),
)

# the answer to a POST, given again to the same key and body
idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("caller", KEY, primary_key=True),
    sa.Column("key", KEY, primary_key=True),
    sa.Column("fingerprint", sa.Text(), nullable=False),  # of method, path, query and body
    sa.Column("status", sa.Integer()),  # None while it is being answered
    _text("headers"),  # JSON
    _text("body"),
    sa.Column("created_at", sa.Text(), nullable=False, index=True),
    sa.Column("leased_until", sa.Text(), nullable=False),  # when it counts as given up
)

# what others are told -----------------------------------------------------------------------

# append-only: what happened, for webhooks and for who polls
change = sa.Table(
    "change",
    metadata,
    sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
    sa.Column("uid", sa.Text(), nullable=False, unique=True, index=True),  # the same at every try
    sa.Column("type", sa.Text(), nullable=False),  # lead.changed ...
    sa.Column("subject", KEY, nullable=False),  # order is kept for each
    sa.Column("town_id", KEY),  # None when it is about no town
    sa.Column("at", sa.Text(), nullable=False, index=True),
    sa.Column("data", sa.Text(), nullable=False),  # JSON
    sqlite_autoincrement=True,
)

webhook = sa.Table(
    "webhook",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("url", sa.Text(), nullable=False),
    sa.Column("types", sa.Text(), nullable=False),  # JSON list; [] is every type
    sa.Column("towns", sa.Text()),  # JSON list; None is every town
    sa.Column("secrets", sa.Text(), nullable=False),  # JSON: the newest first, with their ends
    _text("note"),
    sa.Column("created_at", sa.Text(), nullable=False),
    _text("created_by"),
    sa.Column("disabled_at", sa.Text()),
    _text("disabled_because"),
    sa.Column("failing_since", sa.Text()),  # None while the last try was taken
    sa.Column("seen", sa.Integer(), nullable=False, server_default="0"),  # last change looked at
)

delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
    sa.Column("webhook_id", KEY, sa.ForeignKey("webhook.id", ondelete="CASCADE"), nullable=False),
    sa.Column("change_id", sa.ForeignKey("change.id"), nullable=False, index=True),
    sa.Column("subject", KEY, nullable=False),
    sa.Column("state", sa.Text(), nullable=False),  # waiting | delivered | failed
    sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("next_at", sa.Text(), nullable=False),  # not before; while sent, when it is given up
    sa.Column("delivered_at", sa.Text()),
    sa.Index("ix_delivery_webhook_id", "webhook_id", "change_id", unique=True),
    sa.Index("ix_delivery_state", "state", "next_at"),
    sa.Index("ix_delivery_subject", "webhook_id", "subject", "change_id"),
    sqlite_autoincrement=True,
)

delivery_try = sa.Table(
    "delivery_try",
    metadata,
    sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
    sa.Column("delivery_id", sa.ForeignKey("delivery.id", ondelete="CASCADE"), nullable=False,
              index=True),
    sa.Column("at", sa.Text(), nullable=False),
    sa.Column("status", sa.Integer()),  # None when nobody answered
    sa.Column("milliseconds", sa.Integer(), nullable=False),
    _text("error"),  # Chinese
    sqlite_autoincrement=True,
)  # fmt: skip

# what other systems told us, kept before they get their answer
inbound = sa.Table(
    "inbound",
    metadata,
    sa.Column("system", KEY, primary_key=True),
    sa.Column("message_id", KEY, primary_key=True),  # of the system, else a hash of the body
    sa.Column("received_at", sa.Text(), nullable=False, index=True),
    sa.Column("body", sa.Text(), nullable=False),
    sa.Column("state", sa.Text(), nullable=False),  # waiting | done | refused
    _text("result"),  # JSON or Chinese
)
