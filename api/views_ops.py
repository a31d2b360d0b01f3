"""The audit and contacts as what the door answers."""

from collections.abc import Sequence

from api.views import View
from zyz_match.ops_desk import ContactsSeen, Noted


def audit_page(rows: Sequence[Noted], limit: int) -> View:
    """Rows of the audit, and where the next page begins."""
    items = [
        {
            "id": r.id, "at": r.at or None, "actor": r.actor, "role": r.role, "via": r.via,
            "request_id": r.request_id or None, "action": r.action, "object": r.object or None,
            "detail": dict(r.detail),
        }
        for r in rows
    ]  # fmt: skip
    more = len(rows) == limit and rows[-1].id > 1
    return {"items": items, "next_cursor": rows[-1].id if more else None}


def contact_list(seen: ContactsSeen) -> View:
    """The contacts of a firm as they may be shown."""
    items = [{"kind": kind, "value": value} for kind, value in seen.contacts]
    return {"firm_id": seen.firm.firm_id, "masked": seen.masked, "items": items}
