"""Firms as rows of the store: keys, hashes, checks, and a row as JSON."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from zyz_match.domain import NUMBER_COLUMNS, TEXT_COLUMNS, Col
from zyz_match.errors import InputError
from zyz_match.text import name_key

MAX_KEY = 300  # what a PostgreSQL index can hold of Chinese text, with room to spare
COLUMNS: tuple[str, ...] = tuple(c.value for c in Col)
_KEYS = (Col.FIRM_ID, Col.USCC, Col.STOCK_CODE)
_HASHED = tuple(c for c in Col if c is not Col.SOURCE)  # another source note is no change
_BETWEEN = "\x1f"

Record = dict[str, Any]  # one firm: the columns of Col, missing numbers are None


def utc_now() -> str:
    """This moment as ISO text in UTC."""
    return utc_text(datetime.now(UTC))


def utc_text(moment: datetime) -> str:
    """A moment of UTC as the tables keep it: texts sort as the moments do."""
    return moment.isoformat(timespec="milliseconds")


def clean(text: str, what: str, limit: int = MAX_KEY) -> str:
    """The text itself, once every database can hold it; InputError otherwise."""
    if not isinstance(text, str):
        raise InputError(f"{what}应为文字，现为 {text!r}。")
    if len(text) > limit:
        raise InputError(f"{what}过长：{len(text)} 字，最多 {limit} 字。")
    if unstorable(text):
        raise InputError(f"{what}含有不能保存的字符（NUL 或残缺的 Unicode），请删除后再试。")
    return text


def filled(text: str, what: str) -> str:
    """As `clean`, and not empty."""
    if not clean(text, what):
        raise InputError(f"{what}不能为空。")
    return text


def unstorable(text: str) -> bool:
    """Whether a text holds NUL or half a character, which not every database can hold."""
    if "\x00" in text:
        return True
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def finite(value: float | None, what: str) -> float | None:
    """The number, None for NaN or None; InputError for an infinite one."""
    if value is None or value != value:
        return None
    if not math.isfinite(value):
        raise InputError(f"{what}应为有限数，现为 {value}。")
    return float(value)


# frames ------------------------------------------------------------------------------------


def check_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of `Col` with plain types; InputError for what the store must not hold."""
    if lacking := [c for c in COLUMNS if c not in frame.columns]:
        raise InputError(f"企业表缺少列：{'、'.join(lacking)}。")
    columns: dict[str, Any] = {}
    for column in Col:
        columns[column.value] = _checked(frame[column.value], column)
    return pd.DataFrame(columns, copy=False)


def _checked(values: "pd.Series[Any]", column: Col) -> np.ndarray[Any, Any]:
    if column in NUMBER_COLUMNS:
        try:
            numbers = values.to_numpy(dtype="float64", na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise InputError(f"列 {column} 应全为数字。") from error
        if np.isinf(numbers).any():
            raise InputError(f"列 {column} 含有无穷大，未写入。")
        return numbers
    texts = values.to_numpy(dtype=object, na_value="")
    _check_texts(texts, column)
    return texts


def _check_texts(texts: np.ndarray[Any, Any], column: Col) -> None:
    if not all(type(t) is str or isinstance(t, str) for t in texts):
        raise InputError(f"列 {column} 应全为文字。")
    if column in _KEYS:
        if max(map(len, texts), default=0) > MAX_KEY:
            raise InputError(f"列 {column} 中有超过 {MAX_KEY} 字的值，未写入。")
        if column is Col.FIRM_ID and not all(texts):
            raise InputError("列 firm_id 中有空值，未写入。")
    for start in range(0, len(texts), 4096):
        part = texts[start : start + 4096]
        if unstorable("".join(part)):
            raise InputError(f"列 {column} 含有不能保存的字符（NUL 或残缺的 Unicode），未写入。")


def records(frame: pd.DataFrame) -> list[Record]:
    """The rows of a checked frame; missing numbers are None."""
    lists: list[Sequence[Any]] = []
    for column in Col:
        values = frame[column.value].to_list()
        if column in NUMBER_COLUMNS:
            values = [None if v != v else v for v in values]
        lists.append(values)
    return [dict(zip(COLUMNS, row, strict=True)) for row in zip(*lists, strict=True)]


# what is derived from a row -------------------------------------------------------------------


def row_hash(record: Mapping[str, Any]) -> str:
    """What a row says, in 32 hex digits; its source note does not count."""
    text = _BETWEEN.join([_said(record[c]) for c in _HASHED])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _said(value: Any) -> str:
    if type(value) is str:
        return value
    return "" if value is None or value != value else repr(float(value))


def name_keys(record: Mapping[str, Any]) -> tuple[str, str]:
    """The keys of a firm's name and of its former names."""
    former = [name_key(n) for n in record[Col.FORMER_NAMES].split("；") if n]
    joined = f"；{'；'.join(former)}；" if former else ""
    return name_key(record[Col.NAME])[:MAX_KEY], joined


def to_store(record: Record, moment: str) -> Record:
    """A record with the derived columns of the table."""
    key, former = name_keys(record)
    derived = {"name_key": key, "former_key": former, "row_hash": row_hash(record)}
    return record | derived | {"updated_at": moment}


def to_json(record: Mapping[str, Any]) -> str:
    """A record as JSON without what is missing."""
    kept = {c: record[c] for c in COLUMNS if record[c] not in ("", None)}
    return json.dumps(kept, ensure_ascii=False, allow_nan=False)


def from_json(text: str) -> Record:
    """The record that `to_json` wrote."""
    kept = json.loads(text)
    missing: Record = dict.fromkeys(TEXT_COLUMNS, "") | dict.fromkeys(NUMBER_COLUMNS)
    return {c: kept.get(c, missing[c]) for c in COLUMNS}
