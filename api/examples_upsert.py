"""Examples of upserts and file imports, made up (合成)."""

from typing import Any

_EXTERNAL = {"system": "espocrm", "object": "Account", "id": "64f0c2a1b3"}
_DONE: dict[str, Any] = {
    "results": [
        {"index": 0, "status": "created", "id": "合成铸造股份有限公司", "external": _EXTERNAL,
         "error": None},
        {"index": 1, "status": "rejected", "id": None, "external": None, "error": {
            "code": "invalid_field", "detail": "uscc：“123”应为 18 位，现为 3 位。",
            "errors": [{"detail": "uscc：“123”应为 18 位，现为 3 位。",
                        "pointer": "/items/1/uscc"}],
        }},
    ],
    "created": 1, "updated": 0, "unchanged": 0, "rejected": 1, "batch": "12",
}  # fmt: skip
_RECORDED = _DONE | {"results": _DONE["results"][:1], "rejected": 0, "batch": None}

BATCH: dict[str, Any] = {
    "id": "12", "kind": "firms", "file_name": "合成企业.xlsx", "file_hash": "9f2c" * 16,
    "rows": 331, "created": 300, "updated": 11, "unchanged": 20,
    "created_at": "2026-11-24T02:00:00Z", "undone_at": None,
}  # fmt: skip
IMPORT_RESULT: dict[str, Any] = {
    "kind": "firms", "file_name": "合成企业.xlsx", "batch": "12", "rows": 331, "created": 300,
    "updated": 11, "unchanged": 20, "rejected": 0, "repeated": False, "code": None,
    "warnings": [], "columns": [{"header": "企业名称", "target": "name"}],
    "verdict": "读入 331 行：新增 300，更新 11，无变化 20，退回 0。",
}  # fmt: skip
IMPORT_JOB: dict[str, Any] = {
    "id": "J2026112402000000a1b2d", "kind": "import", "state": "queued", "what": None, "done": 0,
    "total": 0, "dry_run": False, "cancel_requested": False, "attempts": 0, "result": None,
    "error": None, "created_at": "2026-11-24T02:00:00Z", "started_at": None, "finished_at": None,
}  # fmt: skip

UPSERT_ANSWERS: dict[str, dict[str, Any]] = {
    "firms_upsert": _DONE,
    "towns_upsert": _RECORDED,
    "leads_upsert": _RECORDED,
    "events_upsert": _RECORDED,
    "import_post": IMPORT_JOB,
    "imports": {"items": [BATCH], "next_cursor": None},
    "import": BATCH,
    "import_undo": {"batch": "12", "kind": "firms", "removed": 300, "restored": 11, "kept": 0},
}

UPSERT_BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "firms_upsert": ("一家新企业", {"items": [{
        "external": _EXTERNAL, "name": "合成铸造股份有限公司", "province": "浙江省",
        "city": "宁波市", "industry": "3391", "capital_10k_cny": 12000, "employees": 320,
        "products": ["球墨铸铁件", "精密铸件"],
    }]}),
    "towns_upsert": ("一个专业镇", {"items": [{
        "id": "hecheng-valves", "name": "合成阀门专业镇", "products": ["阀门铸件"],
        "external": {"system": "espocrm", "object": "Town", "id": "7"},
    }]}),
    "leads_upsert": ("一条商机", {"items": [{
        "external": {"system": "espocrm", "object": "Lead", "id": "64f0c9"},
        "town_id": "zezhou-casting", "firm_id": "T00001", "stage": "contacted",
        "date": "2026-11-20", "owner": "合成甲",
    }]}),
    "events_upsert": ("一次对外投资", {"items": [{
        "external": {"system": "espocrm", "object": "Event", "id": "64f0d1"},
        "firm_id": "T00001", "date": "2026-10-08", "region": "晋城市", "kind": "对外投资",
        "amount_10k_cny": 3000,
    }]}),
}  # fmt: skip
