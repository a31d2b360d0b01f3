"""Who may do what, the audit, other systems' ids, idempotency, webhooks and what they tell."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default="")


def _needed(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _maybe(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text())


def _zero(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default="0")


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, _KEY, nullable=False)


def upgrade() -> None:
    """Create the tables and columns."""
    op.create_table(
        "account",
        _key("id"),
        _key("name"),
        _text("label"),
        _needed("role"),
        _maybe("towns"),
        _text("password"),
        _zero("must_change"),
        _zero("failed"),
        _maybe("locked_until"),
        _maybe("subject"),
        _needed("created_at"),
        _maybe("disabled_at"),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
    )
    op.create_index("ix_account_name", "account", ["name"], unique=True)
    op.create_index("ix_account_subject", "account", ["subject"], unique=True)
    op.create_table(
        "api_key",
        _key("id"),
        _needed("name"),
        _needed("key_hash"),
        _needed("role"),
        _needed("scopes"),
        _maybe("towns"),
        _needed("created_at"),
        _text("created_by"),
        _maybe("expires_at"),
        _maybe("revoked_at"),
        _maybe("used_at"),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
    )
    op.create_index("ix_api_key_key_hash", "api_key", ["key_hash"], unique=True)
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        _needed("at"),
        _text("actor"),
        _text("role"),
        _text("via"),
        _text("request_id"),
        _needed("action"),
        _text("object"),
        _needed("detail"),
        _needed("hash"),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_table(
        "change",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        _needed("uid"),
        _needed("type"),
        _key("subject"),
        sa.Column("town_id", _KEY, nullable=True),
        _needed("at"),
        _needed("data"),
        sa.PrimaryKeyConstraint("id", name="pk_change"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_change_at", "change", ["at"])
    op.create_index("ix_change_uid", "change", ["uid"], unique=True)
    op.create_table(
        "erasure",
        _key("firm_id"),
        _needed("at"),
        sa.PrimaryKeyConstraint("firm_id", name="pk_erasure"),
    )
    op.create_table(
        "external_id",
        _key("system"),
        _key("object"),
        _key("external_id"),
        _needed("kind"),
        _key("own_id"),
        _needed("updated_at"),
        sa.PrimaryKeyConstraint("system", "object", "external_id", name="pk_external_id"),
    )
    op.create_index("ix_external_id_own_id", "external_id", ["kind", "own_id"])
    op.create_table(
        "idempotency",
        _key("caller"),
        _key("key"),
        _needed("fingerprint"),
        sa.Column("status", sa.Integer(), nullable=True),
        _text("headers"),
        _text("body"),
        _needed("created_at"),
        _needed("leased_until"),
        sa.PrimaryKeyConstraint("caller", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
    op.create_table(
        "inbound",
        _key("system"),
        _key("message_id"),
        _needed("received_at"),
        _needed("body"),
        _needed("state"),
        _text("result"),
        sa.PrimaryKeyConstraint("system", "message_id", name="pk_inbound"),
    )
    op.create_index("ix_inbound_received_at", "inbound", ["received_at"])
    op.create_table(
        "webhook",
        _key("id"),
        _needed("url"),
        _needed("types"),
        _maybe("towns"),
        _needed("secrets"),
        _text("note"),
        _needed("created_at"),
        _text("created_by"),
        _maybe("disabled_at"),
        _text("disabled_because"),
        _maybe("failing_since"),
        _zero("seen"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook"),
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        _key("webhook_id"),
        sa.Column("change_id", sa.Integer(), nullable=False),
        _key("subject"),
        _needed("state"),
        _zero("attempts"),
        _needed("next_at"),
        _maybe("delivered_at"),
        sa.ForeignKeyConstraint(["change_id"], ["change.id"], name="fk_delivery_change"),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhook.id"], name="fk_delivery_webhook", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_delivery_change_id", "delivery", ["change_id"])
    op.create_index("ix_delivery_state", "delivery", ["state", "next_at"])
    op.create_index("ix_delivery_subject", "delivery", ["webhook_id", "subject", "change_id"])
    op.create_index("ix_delivery_webhook_id", "delivery", ["webhook_id", "change_id"], unique=True)
    op.create_table(
        "session",
        _needed("token_hash"),
        _key("account_id"),
        _needed("created_at"),
        _needed("expires_at"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name="fk_session_account", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name="pk_session"),
    )
    op.create_index("ix_session_account_id", "session", ["account_id"])
    op.create_table(
        "delivery_try",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        _needed("at"),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        _text("error"),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["delivery.id"], name="fk_delivery_try_delivery", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_delivery_try"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_delivery_try_delivery_id", "delivery_try", ["delivery_id"])
    op.add_column("event", _text("recorded_at"))
    op.create_index("ix_event_recorded_at", "event", ["recorded_at", "key"])
    op.create_index("ix_lead_recorded_at", "lead", ["recorded_at", "id"])
    op.create_index("ix_firm_updated_at", "firm", ["updated_at", "firm_id"])
    op.add_column("shortlist", _maybe("published_at"))


def downgrade() -> None:
    """Drop them."""

    op.drop_column("shortlist", "published_at")
    op.drop_index("ix_firm_updated_at", table_name="firm")
    op.drop_index("ix_lead_recorded_at", table_name="lead")
    op.drop_index("ix_event_recorded_at", table_name="event")
    op.drop_column("event", "recorded_at")
    op.drop_table("delivery_try")
    op.drop_table("session")
    op.drop_table("delivery")
    op.drop_table("webhook")
    op.drop_table("inbound")
    op.drop_table("idempotency")
    op.drop_table("external_id")
    op.drop_table("erasure")
    op.drop_table("change")
    op.drop_table("audit")
    op.drop_table("api_key")
    op.drop_table("account")
