"""Models and jobs as what the door answers."""

from dataclasses import asdict
from typing import Any

from api.views import View
from zyz_match.jobs_desk import Job
from zyz_match.models_desk import ModelInfo, Serving
from zyz_match.service import Service


def job_view(job: Job) -> View:
    """One job; who asked for it is not shown."""
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state.value,
        "what": job.what or None,
        "done": job.done,
        "total": job.total,
        "dry_run": job.params["dry_run"],
        "cancel_requested": job.cancel_requested,
        "attempts": job.attempts,
        "result": job.result,
        "error": job.error or None,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


def serving_view(now: Serving, note: str = "") -> View:
    """Which version serves, and why another stands in for it."""
    return {
        "version": now.version,
        "previous": now.previous if now.since else None,
        "since": now.since,
        "note": note or None,
    }


def model_summary(info: ModelInfo) -> View:
    """One version in the list."""
    return {
        "version": info.version,
        "created_at": info.created_at or None,
        "serving": info.serving,
        "previous": info.previous,
        "verdict": info.verdict,
        "unusable": info.unusable or None,
    }


def model_list(service: Service) -> View:
    """All versions and the one that serves."""
    return {
        "serving": serving_view(service.serving(), service.model_note()),
        "items": [model_summary(m) for m in service.models()],
    }


def model_view(service: Service, version: str) -> View:
    """One version with its card."""
    card = service.model_card(version)
    info = next(m for m in service.models() if m.version == card["version"])
    return {**model_summary(info), "card": card}


def watch_view(found: Any) -> View:
    """What is watched, at one moment."""
    drifts = [{**asdict(d), "fired": d.fired} for d in found.drifts]
    return {**asdict(found), "drifts": drifts, "models": dict(found.models)}
