"""Examples of answers about models and jobs, made up (合成)."""

from typing import Any

_VERSION = "20261124T020103.120000Z-3fa9c"

_JOB: dict[str, Any] = {
    "id": "J2026112402000000a1b2c",
    "kind": "retrain",
    "state": "running",
    "what": "训练",
    "done": 3,
    "total": 8,
    "dry_run": False,
    "cancel_requested": False,
    "attempts": 1,
    "result": None,
    "error": None,
    "created_at": "2026-11-24T02:00:00Z",
    "started_at": "2026-11-24T02:00:02Z",
    "finished_at": None,
}

_DONE: dict[str, Any] = {
    **_JOB,
    "state": "done",
    "what": "试载新模型",
    "done": 1,
    "total": 1,
    "result": {
        "version": _VERSION,
        "promoted": True,
        "verdict": "新模型在最近的 60 条线索上优于原模型和先验，已启用。",
        "card": None,
    },
    "finished_at": "2026-11-24T02:01:06Z",
}

_SERVING: dict[str, Any] = {
    "version": _VERSION,
    "previous": "prior-1",
    "since": "2026-11-24T02:01:06Z",
    "note": None,
}

_MODEL: dict[str, Any] = {
    "version": _VERSION,
    "created_at": "2026-11-24T02:01:03Z",
    "serving": True,
    "previous": False,
    "verdict": "新模型在最近的 60 条线索上优于原模型和先验，已启用。",
    "unusable": None,
}

MODEL_ANSWERS: dict[str, dict[str, Any]] = {
    "job": _DONE,
    "jobs": {"items": [_DONE]},
    "job_cancel": {**_JOB, "cancel_requested": True},
    "retrain": {**_JOB, "state": "queued", "what": None, "done": 0, "total": 0, "attempts": 0},
    "models": {"serving": _SERVING, "items": [_MODEL]},
    "model": {**_MODEL, "card": {"version": _VERSION, "weights": {"words": 27.5}}},
    "watch": {
        "sufficiency": "有结果的线索 64 条，其中较好 20 条、无果 44 条，可以比较模型。",
        "drifts": [
            {
                "name": "region",
                "label": "曾投资本地",
                "psi": 0.21,
                "limit": 0.98,
                "before": 44,
                "now": 20,
                "fired": False,
            }
        ],
        "exposure": [{"town_id": "zezhou-casting", "lists": 12, "share": 0.4, "merit": 0.25}],
        "models": {"prior-1": 1.0},
    },
    "promote": _SERVING,
    "serving": {**_SERVING, "version": "prior-1", "previous": _VERSION},
}
