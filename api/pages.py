"""Keyset pages: a cursor holds the last place seen and what the list was made from."""

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from api.problems import Refusal
from api.views import View, match_page
from zyz_match.domain import Filters, Shortlist, Town, state_of
from zyz_match.service import Service
from zyz_match.upsert_desk import Listing, Stored

_CHECK = 8  # bytes of check sum: a cursor is refused when damaged, it keeps no secret


def invalid_cursor(why: str) -> Refusal:
    """The refusal of a cursor that cannot be one of ours."""
    return Refusal(
        422,
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
        raise invalid_cursor("游标不是有效的游标") from None
    payload = raw[_CHECK:]
    if _sum(payload) != raw[:_CHECK]:
        raise invalid_cursor("游标已损坏或被改动")
    try:
        parts = json.loads(payload)
        ours = isinstance(parts, list) and all(isinstance(p, str) for p in parts)
        ours = ours and seal(parts) == cursor
    except (ValueError, RecursionError):
        ours = False
    if not ours:
        raise invalid_cursor("游标已损坏或被改动")
    if len(parts) != size or parts[0] != kind:
        raise invalid_cursor("游标不属于这个地址")
    return list(parts)


def _digest(thing: object) -> str:
    return hashlib.sha256(repr(thing).encode()).hexdigest()[:16]


# matches -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MatchQuery:
    """What one list of matches is asked for, apart from the place in it."""

    filters: Filters
    diversify: bool = False
    include: frozenset[str] = frozenset()


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
            raise invalid_cursor("游标已损坏或被改动")
        return cls(value, *rest)

    def check(self, town: Town, query: MatchQuery, data: str) -> None:
        """Refuse to go on in another list than the one the cursor came from."""
        if self.town_id != town.id or self.query != _digest((query.filters, query.diversify)):
            raise invalid_cursor("游标属于另一次查询（专业镇或筛选条件不同）")
        if self.profile != _digest(town) or state_of(self.data) != data:
            raise _refuse_stale()


def ranked_page(
    service: Service, town: str | Town, query: MatchQuery, limit: int, cursor: str | None
) -> View:
    """One page of a list of matches; a cursor that does not fit leaves no receipt."""
    after = MatchCursor.read(cursor) if cursor else None
    if after is not None:
        if query.diversify:
            raise invalid_cursor("分散展示（diversify）的名单只有一页，不能带游标")
        profile = service.town(town) if isinstance(town, str) else town
        after.check(profile, query, service.state().versions.firms)
    shortlist = service.rank(
        town, k=limit, filters=query.filters, diversify=query.diversify, via="api",
        after=(after.score, after.firm_id) if after else None,
    )  # fmt: skip
    if after is not None and (after.data, after.model) != (shortlist.data, shortlist.model):
        raise _refuse_stale()
    return match_page(shortlist, _next(shortlist, query), query.include)


def _next(shortlist: Shortlist, query: MatchQuery) -> str | None:
    if query.diversify or not shortlist.matches or shortlist.matches[-1].rank >= shortlist.pool:
        return None
    last = shortlist.matches[-1]
    return MatchCursor(
        last.score, last.firm.firm_id, shortlist.data, shortlist.model, shortlist.town.id,
        _digest(shortlist.town), _digest((query.filters, query.diversify)),
    ).sealed()  # fmt: skip


# records -----------------------------------------------------------------------------------

_RECORDS = "r1"
Fetch = Callable[[Listing], Sequence[Stored[Any]]]


def record_page(
    fetch: Fetch, view: Callable[[Stored[Any]], View], asked: Listing, cursor: str | None
) -> View:
    """One page of the records of a kind, and where the next one begins."""
    kind = fetch.__name__
    after = _record_place(cursor, kind, asked) if cursor else None
    found = fetch(replace(asked, limit=asked.limit + 1, after=after))
    page = found[: asked.limit]
    last = page[-1] if len(found) > asked.limit else None
    return {
        "items": [view(s) for s in page],
        "next_cursor": seal(_place(last, kind, asked)) if last else None,
    }


def _place(last: Stored[Any], kind: str, asked: Listing) -> list[str]:
    moment = last.thing.date.isoformat() if asked.sort == "date" else last.updated_at
    return [_RECORDS, kind, moment, last.id, _asked(asked)]


def _record_place(cursor: str, kind: str, asked: Listing) -> tuple[str, str]:
    _, of, moment, own_id, digest = unseal(cursor, _RECORDS, 5)
    if (of, digest) != (kind, _asked(asked)):
        raise invalid_cursor("游标属于另一次查询（地址、筛选或排序不同）")
    if kind == "list_leads" and not re.fullmatch("[0-9]{1,9}", own_id):
        raise invalid_cursor("游标已损坏或被改动")
    return moment, own_id


def _asked(asked: Listing) -> str:
    """What is asked for apart from place and size."""
    return _digest((asked.sort, asked.since, sorted(asked.where.items()), asked.external))


# numbered ------------------------------------------------------------------------------

_NUMBERS = "n1"
Numbered = TypeVar("Numbered")


def number_page(
    kind: str,
    fetch: Callable[[int | None, int], Sequence[Numbered]],
    number: Callable[[Numbered], int],
    limit: int,
    cursor: str | None,
) -> tuple[list[Numbered], str | None]:
    """One page of what is numbered, newest first, and where the next one begins."""
    before = None
    if cursor:
        _, of, text = unseal(cursor, _NUMBERS, 3)
        if of != kind or not re.fullmatch("[0-9]{1,9}", text):
            raise invalid_cursor("游标属于另一次查询")
        before = int(text)
    found = list(fetch(before, limit + 1))
    page = found[:limit]
    more = len(found) > limit
    return page, seal([_NUMBERS, kind, str(number(page[-1]))]) if more else None
