"""Which stored firm a row speaks of: by id, code or name, unless that contradicts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, count, islice
from operator import mul
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.storage.rows import MAX_KEY
from zyz_match.storage.tables import firm
from zyz_match.text import name_key, same_name

CHUNK = 2000
CROWD = 50  # a name or stock code that so many firms share tells nothing
_T = TypeVar("_T")


def chunks(items: Iterable[_T], size: int = CHUNK) -> Iterator[list[_T]]:
    """The items in lists of at most `size`."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


_SIGNS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_VALUES = {sign: value for value, sign in enumerate(_SIGNS)}
_WEIGHTS = tuple(pow(3, i, 31) for i in range(17))


def valid_uscc(text: str) -> str:
    """The code when its check digit is right, "" otherwise."""
    if len(text) != 18:
        return ""
    try:
        total = sum(map(mul, [_VALUES[sign] for sign in text], _WEIGHTS))
        return text if (total + _VALUES[text[17]]) % 31 == 0 else ""
    except KeyError:
        return ""


@dataclass(slots=True, eq=False)
class Known:
    """What tells one firm from another."""

    firm_id: str
    uscc: str
    name: str
    row_hash: str = ""  # "" while the firm is not stored
    own_id: str = ""  # the id that this file gives it by itself, not by code or name


@dataclass(slots=True)
class Index:
    """The firms that a file may speak of, by everything they are known by."""

    by_id: dict[str, Known] = field(default_factory=dict)
    by_uscc: dict[str, list[Known]] = field(default_factory=dict)
    by_stock: dict[str, list[Known]] = field(default_factory=dict)
    by_name: dict[str, list[Known]] = field(default_factory=dict)

    def add(self, known: Known, stock_code: str, key: str) -> None:
        """Make a firm findable."""
        self.by_id[known.firm_id] = known
        self.learn(known, known.uscc, stock_code, key)

    def learn(self, known: Known, uscc: str, stock_code: str, key: str) -> None:
        """Make a firm findable by further codes and names."""
        known.uscc = known.uscc or valid_uscc(uscc)
        pairs = ((self.by_uscc, known.uscc), (self.by_stock, stock_code), (self.by_name, key))
        for table, word in pairs:
            if word:
                found = table.setdefault(word, [])
                if len(found) < CROWD and known not in found:
                    found.append(known)


@dataclass(frozen=True, slots=True)
class Row:
    """The keys of one row of a file."""

    firm_id: str
    uscc: str  # valid, or ""
    stock_code: str
    name: str
    key: str

    @property
    def own_id(self) -> str:
        """The id, when the file gives one that is neither code nor name."""
        derived = (self.uscc, self.stock_code, self.key)
        if self.firm_id in derived or self.firm_id == same_name(self.name):
            return ""
        return self.firm_id

    @property
    def spelt_apart(self) -> bool:
        """Whether the file tells this firm from another by case or spaces of its name alone."""
        return self.firm_id != self.key and self.firm_id == same_name(self.name)


def rows_of(keys: Iterable[tuple[str, str, str, str]]) -> list[Row]:
    """The keys of every (firm_id, uscc, stock_code, name)."""
    return [
        Row(firm_id, valid_uscc(uscc), stock_code, name, name_key(name)[:MAX_KEY])
        for firm_id, uscc, stock_code, name in keys
    ]


def load(connection: Connection, rows: Sequence[Row]) -> Index:
    """The stored firms that any of the rows may speak of."""
    index = Index()
    _load(connection, index, firm.c.firm_id, {r.firm_id for r in rows})
    rest = [r for r in rows if _by_id(index, r) is None]
    _load(connection, index, firm.c.firm_id, {r.uscc for r in rest})
    _load(connection, index, firm.c.uscc, {r.uscc for r in rest})
    _load(connection, index, firm.c.stock_code, {r.stock_code for r in rest})
    _load(connection, index, firm.c.name_key, {r.key for r in rest})
    return index


def _load(connection: Connection, index: Index, column: sa.Column[str], words: set[str]) -> None:
    wanted = (
        firm.c.firm_id, firm.c.uscc, firm.c.name, firm.c.row_hash, firm.c.stock_code,
        firm.c.name_key,
    )  # fmt: skip
    for part in chunks(sorted(words - {""})):
        for found in connection.execute(sa.select(*wanted).where(column.in_(part))):
            firm_id, uscc, name, row_hash, stock_code, key = found
            if firm_id not in index.by_id:
                index.add(Known(firm_id, valid_uscc(uscc), name, row_hash), stock_code, key)


def resolve(index: Index, rows: Sequence[Row]) -> list[Known]:
    """The firm of each row; firms that nobody knows yet are added to the index.

    Ids come first for all rows, so that a name never takes a firm from the row with its id.
    """
    found = [_by_id(index, row) for row in rows]
    for row, known in zip(rows, found, strict=True):
        if known is not None:
            _claim(index, known, row)
    return [
        _claim(index, known or _by_words(index, row) or _new(index, row), row)
        for row, known in zip(rows, found, strict=True)
    ]


def _claim(index: Index, known: Known, row: Row) -> Known:
    known.own_id = known.own_id or row.own_id
    index.learn(known, row.uscc, row.stock_code, row.key)
    return known


def _by_id(index: Index, row: Row) -> Known | None:
    known = index.by_id.get(row.firm_id)
    return known if known is not None and not _differ(known.uscc, row.uscc) else None


def _differ(one: str, other: str) -> bool:
    return bool(one and other and one != other)


def _by_words(index: Index, row: Row) -> Known | None:
    """The only firm that the code or the name fits, and that does not contradict."""
    if (again := _by_id(index, row)) is not None:
        return again  # an earlier row of the same file made it
    words = (
        (index.by_uscc, row.uscc),
        (index.by_stock, row.stock_code),
        (index.by_name, row.key),
    )
    for table, word in words:
        fitting = _fitting(table.get(word, ()), row)
        if table is index.by_name and (row.spelt_apart or len(fitting) > 1):
            fitting = [k for k in fitting if same_name(k.name) == same_name(row.name)]
        if len(fitting) == 1:
            return fitting[0]
    return None


def _fitting(found: Sequence[Known], row: Row) -> list[Known]:
    """The firms that do not contradict the row; none of a crowd."""
    if len(found) >= CROWD:
        return []
    return [k for k in found if not _differ(k.uscc, row.uscc) and not _differ(k.own_id, row.own_id)]


def _new(index: Index, row: Row) -> Known:
    """A firm of its own; its id is free even when the given one belongs to another firm."""
    wanted = chain((row.firm_id, row.uscc), (f"{row.firm_id}#{n}" for n in count(2)))
    firm_id = next(w for w in wanted if w and w not in index.by_id)
    known = Known(firm_id, row.uscc, row.name)
    index.add(known, row.stock_code, row.key)
    return known
