"""Keyset pages: a cursor holds the last place seen and what the list was made from."""

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from api.problems import Refusal
from api.views import View, lead, match_page, town_summary
from zyz_match.domain import Filters, Shortlist, Town, state_of
from zyz_match.service import Service

_CHECK = 8  # bytes of check sum: a cursor is refused when damaged, it keeps no secret


def _refuse_invalid(why: str) -> Refusal:
    return Refusal(
        400,
        "invalid_cursor",
        f"{why}，请原样使用上一页的 next_cursor，或去掉 cursor 从第一页开始。",
    )


def _refuse_stale() -> Refusal:
    return Refusal(
        400,
        "stale_cursor",
        "翻页期间企业数据、专业镇档案或模型已更新，请去掉 cursor 从第一页重新查询。",
    )


def _sum(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()[:_CHECK]


def seal(parts: Sequence[str]) -> str:
    """Parts as an opaque text that is safe in an address."""
    payload = json.dumps(list(parts), ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_sum(payload) + payload).rstrip(b"=").decode("ascii")


def unseal(cursor: str, kind: str, size: int) -> list[str]:
    """The parts of a cursor; Refusal unless it is ours, unharmed and of this kind."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _refuse_invalid("游标不是有效的游标") from None
    payload = raw[_CHECK:]
    if _sum(payload) != raw[:_CHECK]:
        raise _refuse_invalid("游标已损坏或被改动")
    parts: list[str] = json.loads(payload)
    if len(parts) != size or parts[0] != kind or seal(parts) != cursor:
        raise _refuse_invalid("游标不属于这个地址")
    return parts


def _digest(thing: object) -> str:
    return hashlib.sha256(repr(thing).encode()).hexdigest()[:16]


# matches -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MatchQuery:
    """What one list of matches is asked for, apart from the place in it."""

    filters: Filters
    diversify: bool = False
    reasons: bool = False


@dataclass(frozen=True, slots=True)
class MatchCursor:
    """The last match seen, and what the list was made from."""

    score: float
    firm_id: str
    data: str
    model: str
    town_id: str
    profile: str  # digest
    query: str  # digest

    KIND = "m1"

    def sealed(self) -> str:
        """As an opaque text."""
        return seal(
            [
                self.KIND, self.score.hex(), self.firm_id, self.data, self.model, self.town_id,
                self.profile, self.query,
            ]
        )  # fmt: skip

    @classmethod
    def read(cls, cursor: str) -> "MatchCursor":
        """The cursor of a text; Refusal when it is none."""
        _, score, *rest = unseal(cursor, cls.KIND, 8)
        try:
            value = float.fromhex(score)
        except (ValueError, OverflowError):
            value = math.nan
        if not math.isfinite(value):
            raise _refuse_invalid("游标已损坏或被改动")
        return cls(value, *rest)

    def check(self, town: Town, query: MatchQuery, data: str) -> None:
        """Refuse to go on in another list than the one the cursor came from."""
        if self.town_id != town.id or self.query != _digest((query.filters, query.diversify)):
            raise _refuse_invalid("游标属于另一次查询（专业镇或筛选条件不同）")
        if self.profile != _digest(town) or state_of(self.data) != data:
            raise _refuse_stale()


def ranked_page(
    service: Service, town: str | Town, query: MatchQuery, limit: int, cursor: str | None
) -> View:
    """One page of a list of matches; a cursor that does not fit leaves no receipt."""
    after = MatchCursor.read(cursor) if cursor else None
    if after is not None:
        if query.diversify:
            raise _refuse_invalid("分散展示（diversify）的名单只有一页，不能带游标")
        profile = service.town(town) if isinstance(town, str) else town
        after.check(profile, query, service.state().versions.firms)
    shortlist = service.rank(
        town, k=limit, filters=query.filters, diversify=query.diversify, via="api",
        after=(after.score, after.firm_id) if after else None,
    )  # fmt: skip
    if after is not None and (after.data, after.model) != (shortlist.data, shortlist.model):
        raise _refuse_stale()
    return match_page(shortlist, _next(shortlist, query), reasons=query.reasons)


def _next(shortlist: Shortlist, query: MatchQuery) -> str | None:
    if query.diversify or not shortlist.matches or shortlist.matches[-1].rank >= shortlist.pool:
        return None
    last = shortlist.matches[-1]
    return MatchCursor(
        last.score, last.firm.firm_id, shortlist.data, shortlist.model, shortlist.town.id,
        _digest(shortlist.town), _digest((query.filters, query.diversify)),
    ).sealed()  # fmt: skip


# towns -------------------------------------------------------------------------------------

_TOWNS = "t1"


def town_page(towns: Sequence[Town], limit: int, cursor: str | None) -> View:
    """One page of all towns, by id."""
    after = unseal(cursor, _TOWNS, 2)[1] if cursor else ""
    rest = sorted((t for t in towns if t.id > after), key=lambda t: t.id)
    page = rest[:limit]
    return {
        "items": [town_summary(t) for t in page],
        "next_cursor": seal([_TOWNS, page[-1].id]) if len(rest) > limit else None,
        "total": len(towns),
    }


# leads -------------------------------------------------------------------------------------

_LEADS = "l1"


@dataclass(frozen=True, slots=True)
class LeadQuery:
    """Whose entries are asked for; "" means all."""

    town: str
    firm: str


def lead_page(service: Service, query: LeadQuery, limit: int, cursor: str | None) -> View:
    """One page of entries, newest date first."""
    found = service.leads(
        query.town, query.firm, after=_lead_place(cursor, query) if cursor else None, k=limit + 1
    )
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    place = [_LEADS, last.date.isoformat(), str(last.id), _digest(query)] if last else []
    return {"items": [lead(e) for e in page], "next_cursor": seal(place) if place else None}


def _lead_place(cursor: str, query: LeadQuery) -> tuple[date, int]:
    _, day, number, asked = unseal(cursor, _LEADS, 4)
    if asked != _digest(query):
        raise _refuse_invalid("游标属于另一次查询（专业镇或企业不同）")
    try:
        return date.fromisoformat(day), int(number)
    except ValueError:
        raise _refuse_invalid("游标已损坏或被改动") from None
