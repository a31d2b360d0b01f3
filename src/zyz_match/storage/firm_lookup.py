"""Which stored firm each of many texts means: an id, a code or a name; a few queries for all."""

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.storage import firms
from zyz_match.storage.cells import shown
from zyz_match.storage.identity import chunks
from zyz_match.storage.rows import MAX_KEY
from zyz_match.storage.tables import firm
from zyz_match.storage.values import BadValue
from zyz_match.storage.words import parse_stock_code, parse_uscc
from zyz_match.text import name_key, same_name

_HINTED = 20  # so many unknown names get the nearest ones beside them
_SHOWN = 3


class _Known(NamedTuple):
    firm_id: str
    name: str


_Column = sa.Column[str]


def find_all(
    connection: Connection, texts: Iterable[str], *, hints: int = _HINTED
) -> dict[str, str | BadValue]:
    """The firm_id of every text; a BadValue for one that has none.

    For the first of those it names the nearest names, each of which costs a look at every firm.
    """
    found: dict[str, str | BadValue] = {}
    left = dict.fromkeys(t for t in texts if t)
    readings: tuple[tuple[_Column, Callable[[str], str]], ...] = (
        (firm.c.firm_id, str),
        (firm.c.uscc, _uscc),
        (firm.c.stock_code, _stock_code),
        (firm.c.name_key, lambda t: name_key(t)[:MAX_KEY]),
    )
    for column, read in readings:
        words = {t: w for t in left if (w := read(t))}
        known = _having(connection, column, set(words.values()))
        for text, word in words.items():
            if word in known:
                found[text] = _only(text, known[word])
                del left[text]
    _by_former_name(connection, left, found)
    for at, text in enumerate(left):
        found[text] = _unknown(connection, text, hinted=at < hints)
    return found


def _uscc(text: str) -> str:
    with suppress(BadValue):
        return parse_uscc(text)
    return ""


def _stock_code(text: str) -> str:
    with suppress(BadValue):
        return parse_stock_code(text)[0]
    return ""


def _having(
    connection: Connection, column: _Column, words: Collection[str]
) -> dict[str, list[_Known]]:
    found: dict[str, list[_Known]] = {}
    for part in chunks(sorted(words)):
        query = sa.select(column, firm.c.firm_id, firm.c.name).where(column.in_(part))
        for word, firm_id, name in connection.execute(query.order_by(firm.c.firm_id)):
            found.setdefault(word, []).append(_Known(firm_id, name))
    return found


def _only(text: str, known: list[_Known]) -> str | BadValue:
    """The one firm that a text names; of several the one spelt the same."""
    for alike in (known, [k for k in known if same_name(k.name) == same_name(text)]):
        if len(alike) == 1:
            return alike[0].firm_id
    exact = [k for k in known if k.name == text]
    return exact[0].firm_id if len(exact) == 1 else _ambiguous(text, known)


def _ambiguous(text: str, known: list[_Known]) -> BadValue:
    names = "、".join(f"{k.name}（{k.firm_id}）" for k in known[:_SHOWN])
    return BadValue(f"企业{shown(text)}对应 {len(known)} 家，请改写编号或信用代码：{names}")


def _by_former_name(
    connection: Connection, left: dict[str, None], found: dict[str, str | BadValue]
) -> None:
    """Take out of `left` what only a former name answers to."""
    if not left:
        return
    query = sa.select(firm.c.firm_id, firm.c.name, firm.c.former_key)
    formers: dict[str, list[_Known]] = {}
    for firm_id, name, keys in connection.execute(query.where(firm.c.former_key != "")):
        for key in filter(None, keys.split("；")):
            formers.setdefault(key, []).append(_Known(firm_id, name))
    for text in [t for t in left if name_key(t) in formers]:
        found[text] = _only(text, formers[name_key(text)])
        del left[text]


def _unknown(connection: Connection, text: str, *, hinted: bool) -> BadValue:
    near = firms.find(connection, text[:MAX_KEY], _SHOWN) if hinted else []
    names = "、".join(f"{f.name}（{f.firm_id}）" for f in near)
    cure = f"是否指：{names}？" if names else "请核对，或先导入这家企业"
    return BadValue(f"企业库中没有{shown(text)}；{cure}")
