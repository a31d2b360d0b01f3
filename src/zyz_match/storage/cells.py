"""Columns of text become columns of values: each distinct text is parsed once, faults are noted."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from zyz_match.storage.values import LONGEST_TEXT, BadValue, NumberCell, is_missing
from zyz_match.text import has_controls, tidy

T = TypeVar("T")
_SHOWN = 40


@dataclass(slots=True)
class Notes:
    """What is wrong with which row, and what the reader should know about the whole file."""

    reasons: dict[int, list[str]] = field(default_factory=dict)
    remarks: Counter[str] = field(default_factory=Counter)  # "{n}" in a remark is its count
    words: dict[str, set[str]] = field(default_factory=dict)  # remark -> examples

    def reject(self, row: int, reason: str) -> None:
        """Note a reason for which a row cannot be taken."""
        self.reasons.setdefault(row, []).append(reason)

    def remark(self, text: str, rows: int = 1, example: str = "") -> None:
        """Count rows under a remark; `{n}` in it becomes their number, examples follow it."""
        self.remarks[text] += rows
        if example:
            self.words.setdefault(text, set()).add(example)

    def lines(self) -> tuple[str, ...]:
        """All remarks, ready to be shown."""
        return tuple(self._line(text, n) for text, n in self.remarks.items())

    def _line(self, text: str, n: int) -> str:
        words = sorted(self.words.get(text, ()))
        shown = f"（{'、'.join(words[:5])}{' 等' if len(words) > 5 else ''}）" if words else ""
        return text.replace("{n}", str(n)) + shown


class Cache(dict[str, T], Generic[T]):
    """A parser that remembers; a BadValue is a value here."""

    def __init__(self, parse: Callable[[str], T]) -> None:
        super().__init__()
        self._parse = parse

    def __missing__(self, text: str) -> T:
        try:
            value = self._parse(text)
        except BadValue as error:
            value = error  # type: ignore[assignment]
        self[text] = value
        return value


def shown(text: str) -> str:
    """A cell's text as a reason quotes it: short, printable."""
    plain = "".join(c if c.isprintable() else "�" for c in text[: _SHOWN + 1])
    return f"“{plain[:_SHOWN]}…”" if len(text) > _SHOWN else f"“{plain}”"


def parse_column(
    values: Sequence[str], parse: Callable[[str], T], default: T, header: str, notes: Notes
) -> list[T]:
    """Parse every cell; missing cells and cells that cannot be believed become `default`.

    The latter get their row a reason that names the column and the value.
    """
    cache: Cache[T] = Cache(parse)
    cache[""] = default
    out = [cache[v] for v in values]
    if any(isinstance(v, BadValue) for v in cache.values()):
        for row, value in enumerate(out):
            if isinstance(value, BadValue):
                notes.reject(row, f"{header}：{shown(values[row])}{value}")
                out[row] = default
    return out


def _clean(text: str) -> str:
    if text.isprintable():
        if len(text) > LONGEST_TEXT:
            raise BadValue(f"有 {len(text)} 个字，超过 {LONGEST_TEXT} 个字的上限")
        if is_missing(text):
            return ""
        return text if isinstance(text, NumberCell) else tidy(text)
    if "\0" in text:
        raise BadValue("含有空字符（NUL），文件可能已损坏")
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise BadValue("含有不成对的代理字符，文件可能已损坏")
    if len(text) > LONGEST_TEXT:
        raise BadValue(f"有 {len(text)} 个字，超过 {LONGEST_TEXT} 个字的上限")
    return "" if is_missing(text) else text if isinstance(text, NumberCell) else tidy(text)


def clean_column(
    values: Sequence[str], header: str, notes: Notes, *, lines: bool = False
) -> list[str]:
    """Text without missing-marks, controls and loose spaces; `lines` keeps line breaks as ；."""

    def clean(text: str) -> str:
        return _clean(text.replace("\r\n", "\n").replace("\n", "；")) if lines else _clean(text)

    cache: Cache[str] = Cache(clean)
    out = [cache[v] for v in values]
    strange = {v for v in cache if not v.isprintable() and has_controls(v)}
    if strange and (n := sum(v in strange for v in values)):
        notes.remark("有 {n} 个单元格含控制字符，已去除", n)
    for row, value in enumerate(out) if _any_bad(cache.values()) else ():
        if isinstance(value, BadValue):
            notes.reject(row, f"{header}：{shown(values[row])}{value}")
            out[row] = ""
    return out


def _any_bad(values: Iterable[object]) -> bool:
    return any(isinstance(v, BadValue) for v in values)


def plain(values: Sequence[str]) -> list[str]:
    """The same texts, all of them ordinary strings."""
    return [v if type(v) is str else str(v) for v in values]
