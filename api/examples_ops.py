"""Examples of answers about the service itself, the audit and contacts, made up (合成)."""

from typing import Any

OPS_ANSWERS: dict[str, dict[str, Any]] = {
    "livez": {"status": "alive"},
    "readyz": {"status": "ready"},
    "audit": {
        "items": [
            {
                "id": 128,
                "at": "2026-11-24T02:00:00.123Z",
                "actor": "zhangsan",
                "role": "town",
                "via": "api",
                "request_id": "4f0c2a7e9d5b4c6f8a1e2d3c4b5a6978",
                "action": "lead.record",
                "object": "17",
                "detail": {"town": "zezhou-casting", "firm": "T00001", "stage": "contacted"},
            }
        ],
        "next_cursor": 128,
    },
    "contacts": {
        "firm_id": "T00001",
        "masked": True,
        "items": [
            {"kind": "phone", "value": "138****0000"},
            {"kind": "mail", "value": "w***@example.com"},
            {"kind": "person", "value": "合*"},
        ],
    },
    "contacts_delete": {"firm_id": "T00001", "erased": 3},
}
