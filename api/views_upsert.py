"""What became of upserts and file imports, as what the door answers."""

from collections.abc import Iterator
from dataclasses import asdict

from api.problems import Refusal
from api.views import View
from zyz_match.errors import ZyzError
from zyz_match.imports_desk import Batch, UndoResult
from zyz_match.upsert_desk import ItemError, Result, Upserted

# where a column has another name in the interface
_FIELDS = {
    "capital": "capital_10k_cny", "capital_paid": "capital_paid_10k_cny",
    "revenue": "revenue_10k_cny",
}  # fmt: skip
STATUSES = ("created", "updated", "unchanged", "rejected")


def upserted(done: Upserted) -> View:
    """What became of every item; Refusal when one was rejected and all or none were asked for."""
    if not done.written:
        raise Refusal(
            422, "items_rejected",
            f"{done.count('rejected')} 条有问题，按 all_or_none 的要求全部没有写入。"
            "请改正或去掉 errors 中所列的各条再发。",
            errors=[e for at, r in _rejected(done) for e in _errors(at, r)],
        )  # fmt: skip
    counts = {s: done.count(s) for s in STATUSES}  # type: ignore[arg-type]
    results = [_result(at, r) for at, r in enumerate(done.results)]
    return {"results": results, **counts, "batch": done.batch or None}


def _rejected(done: Upserted) -> list[tuple[int, ZyzError]]:
    return [(at, r.error) for at, r in enumerate(done.results) if r.error is not None]


def _result(at: int, result: Result) -> View:
    return {
        "index": at,
        "status": result.status,
        "id": result.id or None,
        "external": asdict(result.external) if result.external else None,
        "error": _problem(at, result.error) if result.error else None,
    }


def _problem(at: int, error: ZyzError) -> View:
    return {"code": error.code, "detail": error.message, "errors": list(_errors(at, error))}


def _errors(at: int, error: ZyzError) -> Iterator[dict[str, str]]:
    """The places in the body that an error is about."""
    fields = error.fields if isinstance(error, ItemError) else ()
    for name in fields or ("",):
        place = f"/{_FIELDS.get(name, name)}" if name else ""
        yield {"detail": error.message, "pointer": f"/items/{at}{place}"}


def batch_view(batch: Batch) -> View:
    """One import."""
    return {
        "id": batch.batch_id, "kind": batch.kind, "file_name": batch.file_name,
        "file_hash": batch.file_hash, "rows": batch.rows, "created": batch.created,
        "updated": batch.updated, "unchanged": batch.unchanged, "created_at": batch.created_at,
        "undone_at": batch.undone_at,
    }  # fmt: skip


def undo_view(batch_id: str, done: UndoResult) -> View:
    """What taking a batch back did."""
    return {"batch": batch_id, **asdict(done)}
