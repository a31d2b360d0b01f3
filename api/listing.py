"""What the lists of records are asked for."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import AfterValidator
from pydantic.json_schema import WithJsonSchema

from api.deps import Limit
from zyz_match.domain import ExternalId
from zyz_match.upsert_desk import Listing, since_text

Sort = Literal["id", "updated_at"]
LeadSort = Literal["date", "id", "updated_at"]
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def _moment(text: str) -> str:
    """RFC 3339 as lists compare it."""
    plus = re.sub(r" (?=\d\d:\d\d$)", "+", text)  # a plus sign that an address turned to a blank
    if not _RFC3339.fullmatch(plus):
        raise ValueError("应为 RFC 3339 时间，例：2026-11-24T02:00:00Z。")
    try:
        return since_text(datetime.fromisoformat(plus.upper()).astimezone(UTC))
    except (ValueError, OverflowError):
        raise ValueError("没有这个时间。") from None


def _key(text: str) -> str:
    if text.count(":") < 2 or not all(text.split(":", 2)):
        raise ValueError("应为 system:object:id，例：espocrm:Account:64f0c2。")
    return text


Moment = Annotated[
    str, AfterValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]
Key = Annotated[
    str,
    AfterValidator(_key),
    WithJsonSchema({"type": "string", "pattern": "^[^:]+:[^:]+:.+$", "maxLength": 602}),
]


Since = Annotated[
    Moment | None,
    Query(
        description="只要此时及以后有变动的（RFC 3339）；已多取 5 秒，容许时钟有差",
        examples=["2026-11-24T02:00:00Z"],
    ),
]
External = Annotated[
    Key | None,
    Query(description="对方编号，写作 system:object:id", examples=["espocrm:Account:64f0c2"]),
]


async def _listing(
    limit: Limit = 50,
    sort: Annotated[Sort, Query(description="按编号，或按变动时间从旧到新")] = "id",
    updated_since: Since = None,
    external: External = None,
) -> Listing:
    return _asked(limit, sort, updated_since, external)


async def _lead_listing(
    limit: Limit = 50,
    sort: Annotated[
        LeadSort, Query(description="按日期从近到远，或按编号、记下的时间从旧到新")
    ] = "date",
    updated_since: Since = None,
    external: External = None,
) -> Listing:
    return _asked(limit, sort, updated_since, external)


def _asked(limit: int, sort: LeadSort, since: str | None, external: str | None) -> Listing:
    known = ExternalId(*external.split(":", 2)) if external else None
    return Listing(limit, sort, since or "", external=known)


ListingDep = Annotated[Listing, Depends(_listing)]
LeadListingDep = Annotated[Listing, Depends(_lead_listing)]


def among(**columns: Sequence[str] | str | None) -> dict[str, Sequence[str]]:
    """The columns of which some value is asked for."""
    given = {n: [v] if isinstance(v, str) else v for n, v in columns.items()}
    return {n: v for n, v in given.items() if v}
