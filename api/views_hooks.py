"""Webhooks, deliveries, changes and messages as what the door answers."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from api.pages import invalid_cursor, seal, unseal
from api.views import View
from zyz_match.hooks_desk import Delivery, Place, Told, Webhook
from zyz_match.inbound_desk import Message

if TYPE_CHECKING:
    from zyz_match.sending import Reply

_CHANGES, _DELIVERIES, _MESSAGES = "c1", "d1", "i1"


def webhook_view(found: Webhook) -> View:
    """One receiver; nothing of its secret."""
    state = "disabled" if found.disabled_at else "failing" if found.failing_since else "ok"
    return {
        "id": found.id,
        "url": found.url,
        "types": list(found.types),
        "towns": None if found.towns is None else list(found.towns),
        "note": found.note or None,
        "state": state,
        "failing_since": found.failing_since,
        "disabled_at": found.disabled_at,
        "disabled_because": found.disabled_because or None,
        "waiting": found.waiting,
        "rotating_until": found.rotating_until,
        "created_at": found.created_at,
        "created_by": found.created_by,
    }


def tested_view(reply: "Reply") -> View:
    """What a test came to."""
    return {
        "delivered": not reply.error,
        "status": reply.status,
        "milliseconds": reply.milliseconds,
        "error": reply.error or None,
    }


def delivery_view(found: Delivery) -> View:
    """One delivery with its tries."""
    change = found.change
    return {
        "id": found.id,
        "webhook_id": found.webhook_id,
        "event": {
            "id": change.uid,
            "type": change.type,
            "subject": change.subject,
            "timestamp": change.at,
        },
        "state": found.state,
        "attempts": found.attempts,
        "next_at": found.next_at,
        "delivered_at": found.delivered_at,
        "tries": [{**asdict(t), "error": t.error or None} for t in found.tries],
    }


def message_view(found: Message) -> View:
    """One message without its body."""
    return {
        "id": found.id,
        "system": found.system,
        "received_at": found.received_at,
        "state": found.state,
        "records": [dict(r) for r in found.records],
    }


# pages -------------------------------------------------------------------------------------


def change_page(found: Told) -> View:
    """One page of changes; its cursor is given also when there is nothing new."""
    return {
        "items": [c.told() for c in found.changes],
        "next_cursor": seal([_CHANGES, str(found.place.id), found.place.uid]),
        "more": found.more,
    }


def place_of(cursor: str | None) -> Place:
    """The place of a cursor; Refusal when it is none of ours."""
    if cursor is None:
        return Place()
    _, number, uid = unseal(cursor, _CHANGES, 3)
    return Place(_number(number), uid)


def delivery_page(webhook_id: str, found: Sequence[Delivery], limit: int) -> View:
    """One page of `limit` deliveries, of one more that were asked for."""
    page = found[:limit]
    place = [_DELIVERIES, webhook_id, str(page[-1].change.id)] if len(found) > limit else []
    return {
        "items": [delivery_view(d) for d in page],
        "next_cursor": seal(place) if place else None,
    }


def delivery_place(webhook_id: str, cursor: str | None) -> int | None:
    """The change after whose delivery to go on."""
    if cursor is None:
        return None
    _, asked, number = unseal(cursor, _DELIVERIES, 3)
    if asked != webhook_id:
        raise invalid_cursor("游标属于另一个推送")
    return _number(number)


def message_page(system: str, found: Sequence[Message], limit: int) -> View:
    """One page of `limit` messages, of one more that were asked for."""
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    return {
        "items": [message_view(m) for m in page],
        "next_cursor": seal([_MESSAGES, system, last.received_at, last.id]) if last else None,
    }


def message_place(system: str, cursor: str | None) -> tuple[str, str] | None:
    """The message after which to go on."""
    if cursor is None:
        return None
    _, asked, moment, message_id = unseal(cursor, _MESSAGES, 4)
    if asked != system:
        raise invalid_cursor("游标属于另一个系统")
    return moment, message_id


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 11 and int(text) < 2**31):
        raise invalid_cursor("游标已损坏或被改动")
    return int(text)
