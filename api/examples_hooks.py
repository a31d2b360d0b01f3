"""Examples of webhooks, changes and messages, made up (合成)."""

from typing import Any

_WEBHOOK: dict[str, Any] = {
    "id": "whk_3fa9c2d1b07e4a5566778899",
    "url": "https://crm.example.cn/zyz",
    "types": ["lead.changed", "list.published"],
    "towns": ["zezhou-casting"],
    "note": "市商务局 CRM",
    "state": "ok",
    "failing_since": None,
    "disabled_at": None,
    "disabled_because": None,
    "waiting": 0,
    "rotating_until": None,
    "created_at": "2026-11-24T02:00:00.000+00:00",
    "created_by": "key:crm",
}
_SECRET = "whsec_5ZkzXbVhV1Q0pP2m8h4mF3uYkqj0s9aWcL7nTtEoRgI="

_LEAD: dict[str, Any] = {
    "id": "evt_0f6c1f0e5b0b4f0c8a4d3c2b1a090807",
    "type": "lead.changed",
    "timestamp": "2026-11-24T02:00:00.000+00:00",
    "subject": "lead:zezhou-casting:T00001",
    "town_id": "zezhou-casting",
    "data": {
        "change": "added",
        "lead_id": 12,
        "town_id": "zezhou-casting",
        "firm_id": "T00001",
        "stage": "visited",
        "date": "2026-11-23",
        "reason": None,
        "owner": "合成甲",
        "list_id": None,
        "corrects": None,
        "via": "api",
    },
}

_DELIVERY: dict[str, Any] = {
    "id": 31,
    "webhook_id": _WEBHOOK["id"],
    "event": {k: _LEAD[k] for k in ("id", "type", "subject", "timestamp")},
    "state": "delivered",
    "attempts": 2,
    "next_at": None,
    "delivered_at": "2026-11-24T02:00:06.120+00:00",
    "tries": [
        {
            "at": "2026-11-24T02:00:01.050+00:00",
            "status": 503,
            "milliseconds": 41,
            "error": "对方返回 503",
        },
        {"at": "2026-11-24T02:00:06.120+00:00", "status": 204, "milliseconds": 38, "error": None},
    ],
}

_MESSAGE: dict[str, Any] = {
    "id": "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
    "system": "crm",
    "received_at": "2026-11-24T02:00:00.000+00:00",
    "state": "refused",
    "records": [
        {"index": 0, "change": "created", "lead_id": 12, "reason": None},
        {
            "index": 1,
            "change": "refused",
            "lead_id": None,
            "reason": "没有企业“T99999”。请核对编号，或先用 zyz-match import 导入企业。",
        },
    ],
}
_DONE = {**_MESSAGE, "state": "done", "records": _MESSAGE["records"][:1]}

HOOK_ANSWERS: dict[str, dict[str, Any]] = {
    "webhooks": {"items": [_WEBHOOK]},
    "webhook": _WEBHOOK,
    "webhook_change": {**_WEBHOOK, "types": []},
    "webhook_post": {"webhook": _WEBHOOK, "secret": _SECRET},
    "webhook_rotate": {
        "webhook": {**_WEBHOOK, "rotating_until": "2026-11-25T02:00:00.000+00:00"},
        "secret": _SECRET,
    },
    "webhook_enable": _WEBHOOK,
    "webhook_remove": {"id": _WEBHOOK["id"], "removed": True},
    "webhook_test": {"delivered": True, "status": 204, "milliseconds": 38, "error": None},
    "deliveries": {"items": [_DELIVERY], "next_cursor": None},
    "redeliver": {
        **_DELIVERY,
        "state": "waiting",
        "attempts": 0,
        "next_at": "2026-11-24T03:00:00.000+00:00",
        "delivered_at": None,
    },
    "changes": {"items": [_LEAD], "next_cursor": "cHJpb3I", "more": False},
    "list_publish": {
        "change": "published",
        "id": "L20261124020000ab3f1",
        "published_at": "2026-11-24T02:00:00.000+00:00",
    },
    "hook": {"id": _MESSAGE["id"], "state": "waiting"},
    "messages": {"items": [_MESSAGE], "next_cursor": None},
    "message_retry": _DONE,
}

HOOK_BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "webhook": (
        "把一个镇的进展和名单推给 CRM",
        {k: _WEBHOOK[k] for k in ("url", "types", "towns", "note")},
    ),
    "webhook_change": ("改为推送全部类型", {"types": []}),
    "hook": (
        "CRM 里的一条进展",
        {
            "items": [
                {
                    "id": "4711",
                    "town": "zezhou-casting",
                    "firm": "T00001",
                    "stage": "visited",
                    "date": "2026-11-23",
                    "owner": "合成甲",
                }
            ]
        },
    ),
}
