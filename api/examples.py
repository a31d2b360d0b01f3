"""Examples shown in the interface description; a test holds each against its schema.

The firms and numbers in them are made up (合成), but for the ids of shipped towns.
"""

from typing import Any

from api.examples_access import ACCESS_ANSWERS, ACCESS_BODIES
from api.examples_hooks import HOOK_ANSWERS, HOOK_BODIES
from api.examples_models import MODEL_ANSWERS
from api.examples_ops import OPS_ANSWERS
from api.examples_upsert import UPSERT_ANSWERS, UPSERT_BODIES

_FIRM: dict[str, Any] = {
    "firm_id": "T00001",
    "name": "合成铸造股份有限公司",
    "uscc": None,
    "stock_code": None,
    "status": "存续",
    "province": "浙江省",
    "city": "宁波市",
    "county": None,
    "industry": "3391",
    "industry_text": "黑色金属铸造",
    "capital_10k_cny": 12000.0,
    "founded": "2008-05-12",
    "size": "中型",
    "employees": 320,
    "marks": ["高新技术企业"],
    "listing": None,
    "revenue_10k_cny": None,
    "patents": 41,
}

_EXTERNAL = {"system": "espocrm", "object": "Account", "id": "64f0c2a1b3"}

_TOWN_REF = {"id": "zezhou-casting", "name": "泽州精密铸造"}

_DETAIL: dict[str, Any] = {
    **_FIRM,
    "standing": "active",
    "division": "330200",
    "address": None,
    "capital_text": "12000万元人民币",
    "capital_paid_10k_cny": None,
    "kind": "股份有限公司",
    "scope": "黑色金属铸造；机械零部件加工",
    "products": ["球墨铸铁件", "精密铸件"],
    "website": None,
    "former_names": [],
    "source": "合成示例",
    "updated_at": "2026-11-24T02:00:00Z",
    "external": [_EXTERNAL],
}

_MATCH: dict[str, Any] = {
    "rank": 1,
    "score": 61.5,
    "fit": 57.0,
    "propensity": 4.5,
    "confidence": 0.86,
    "chance": None,
    "reason": "产品与“铸造成型”环节相合：球墨铸铁件、精密铸件。",
    "segment": "铸造成型",
    "flags": [],
    "care_stage": "contacted",
    "care_owner": "合成甲",
    "firm": _FIRM,
    "contributions": None,
    "features": None,
}

_CONTRIBUTION = {
    "name": "words",
    "label": "产品词匹配",
    "part": "fit",
    "points": 21.0,
    "max_points": 26.0,
    "value": 0.81,
    "evidence": ["球墨铸铁件", "精密铸件"],
    "missing": None,
}

_PAGE: dict[str, Any] = {
    "town": _TOWN_REF,
    "items": [_MATCH],
    "next_cursor": None,
    "pool": 1,
    "total": 331,
    "model": "prior-1",
    "data": "f3a9c2",
    "shortlist_id": "L20261124020000ab3f1",
    "notes": [],
}

_TOWN: dict[str, Any] = {
    "id": "hecheng-valves",
    "name": "合成阀门专业镇",
    "province": "山西省",
    "city": "晋城市",
    "products": [{"term": "阀门铸件", "weight": 3.0}, "球墨铸铁管件"],
    "industries": ["3391", "3443"],
    "exclude_regions": ["晋城市"],
    "chain": [
        {
            "segment": "铸造成型",
            "role": "core",
            "need": "weak",
            "terms": ["球墨铸铁件", "精密铸件"],
            "industries": ["3391"],
        }
    ],
}

_LEAD: dict[str, Any] = {
    "id": 1,
    "town_id": "zezhou-casting",
    "firm_id": "T00001",
    "date": "2026-11-20",
    "stage": "no_interest",
    "reason": "logistics",
    "owner": "合成甲",
    "note": None,
    "list_id": "L20261124020000ab3f1",
    "corrects": None,
    "effective": True,
    "recorded_at": "2026-11-24T02:00:00.000+00:00",
    "via": "api",
    "external": [_EXTERNAL],
}

_EVENT: dict[str, Any] = {
    "firm_id": "T00001",
    "date": "2026-10-08",
    "region": "晋城市",
    "industry": "3391",
    "target": "合成铸件有限公司",
    "kind": "对外投资",
    "amount_10k_cny": 3000.0,
}

ANSWERS: dict[str, dict[str, Any]] = {
    **MODEL_ANSWERS,
    **UPSERT_ANSWERS,
    **ACCESS_ANSWERS,
    **OPS_ANSWERS,
    **HOOK_ANSWERS,
    "health": {
        "status": "ok",
        "time": "2026-11-24T02:00:00Z",
        "version": "0.1.0",
        "towns": 10,
        "firms": 331,
        "model": "prior-1",
        "model_note": None,
        "data": "f3a9c2",
    },
    "towns": {
        "items": [
            {
                **_TOWN_REF,
                "province": "山西省",
                "city": "晋城市",
                "county": "泽州县",
                "level": "市级",
                "sector": "制造业",
                "segments": 7,
                "updated_at": "2026-11-24T02:00:00Z",
                "external": [],
            }
        ],
        "next_cursor": None,
        "total": 1,
    },
    "town": _TOWN,
    "town_put": {"change": "created", "town": _TOWN},
    "matches": _PAGE,
    "post_matches": {
        **_PAGE,
        "town": {"id": "hecheng-valves", "name": "合成阀门专业镇"},
        "items": [{**_MATCH, "contributions": [_CONTRIBUTION]}],
    },
    "explanation": {
        "town": _TOWN_REF,
        "firm": _FIRM,
        "rank": 1,
        "pool": 320,
        "excluded": None,
        "match": {**_MATCH, "contributions": [_CONTRIBUTION]},
        "holds_back": ["缺少对外投资记录"],
        "would_change": ["补充主营产品"],
    },
    "firm": _DETAIL,
    "firms": {"items": [_DETAIL], "next_cursor": None},
    "lead": _LEAD,
    "events": {
        "items": [
            {
                "id": "c6532e4f8d0abed5475504ba376c2dad",
                **_EVENT,
                "recorded_at": "2026-11-24T02:00:00Z",
                "external": [_EXTERNAL],
            }
        ],
        "next_cursor": None,
    },
    "lead_post": {"change": "created", "lead": _LEAD},
    "leads": {"items": [_LEAD], "next_cursor": None},
    "event_post": {"change": "created", "event": _EVENT},
    "list": {
        "id": "L20261124020000ab3f1",
        "town_id": "zezhou-casting",
        "asked_at": "2026-11-24T02:00:00.000+00:00",
        "by": None,
        "via": "api",
        "filters": {"province": ["浙江省"]},
        "limit": 20,
        "diversify": False,
        "model": "prior-1",
        "data": "f3a9c2",
        "pool": 1,
        "total": 331,
        "items": [{"rank": 1, "firm_id": "T00001", "score": 61.5}],
        "published_at": None,
        "reproduction": {"same": True, "remarks": []},
    },
    "firm_towns": {
        "firm": _FIRM,
        "items": [{"rank": 1, "town": _TOWN_REF, "match": _MATCH}],
    },
    "similar": {
        "firm": _FIRM,
        "items": [
            {
                "rank": 1,
                "similarity": 0.83,
                "shared": ["铸铁", "铸件"],
                "same_industry": "黑色金属铸造",
                "firm": {**_FIRM, "firm_id": "T00002", "name": "合成机械有限公司"},
            }
        ],
    },
}

BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "town": ("一个阀门专业镇", {k: v for k, v in _TOWN.items() if k != "id"}),
    "match_request": (
        "试排名：前 20 家浙江的高新技术企业",
        {
            "town": _TOWN,
            "limit": 20,
            "filters": {"province": ["浙江省"], "mark": ["高新技术企业"]},
            "include": ["reasons"],
        },
    ),
}

BODIES |= ACCESS_BODIES
BODIES |= UPSERT_BODIES
BODIES |= HOOK_BODIES
BODIES |= {
    "lead": ("联系后没有意向", {k: _LEAD[k] for k in (
        "town_id", "firm_id", "stage", "date", "reason", "owner", "list_id",
    )}),
    "event": ("一次对外投资", _EVENT),
}  # fmt: skip

PROBLEM: dict[str, Any] = {
    "type": "urn:zyz-match:problem:not_found",
    "title": "没有找到",
    "status": 404,
    "detail": "没有找到专业镇“铸件”。是不是：泽州精密铸造？",
    "code": "not_found",
    "request_id": "4f0c2a7e9d5b4c6f8a1e2d3c4b5a6978",
    "errors": [{"detail": "泽州精密铸造（zezhou-casting）"}],
}
