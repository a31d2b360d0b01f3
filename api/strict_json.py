"""JSON as the door takes it: nothing that two readers could understand differently."""

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from api.problems import Refusal

MAX_DEPTH = 32
_BOUND = 2**63
_EXACT = 2**53  # up to which a float holds every integer
_LONGEST_INTEGER = len(str(-_BOUND))


def _refuse(code: str, message: str, status: int = 422) -> NoReturn:
    raise Refusal(status, code, message)


def _short(text: str) -> str:
    """An echo of what was sent, cut and printable."""
    echo = text if len(text) <= 40 else text[:40] + "…"
    return ascii(echo)[1:-1] if not echo.isprintable() else echo


def _constant(text: str) -> NoReturn:
    _refuse("invalid_number", f"JSON 中不允许 {text}，请改为有限的数字或去掉该字段。")


def _number(text: str) -> float | int:
    """A number with a point or an exponent; 12.0 is the integer 12, as JSON Schema has it."""
    value = float(text)
    if not math.isfinite(value):
        _refuse("invalid_number", f"数字 {_short(text)} 超出范围，请改为有限的数字。")
    return int(value) if value.is_integer() and abs(value) <= _EXACT else value


def _int(text: str) -> int:
    if len(text) > _LONGEST_INTEGER or not -_BOUND <= int(text) < _BOUND:
        _refuse("invalid_number", f"整数 {_short(text)} 超出 64 位范围，请核对。")
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            _refuse("duplicate_key", f"字段“{_short(key)}”出现了两次，请只保留一个。")
        found[key] = value
    return found


def check_text(text: str, where: str) -> None:
    """Refuse NUL and lone surrogates, which no database keeps."""
    if "\0" in text:
        _refuse("invalid_text", f"{where}含有空字符（NUL），请去掉。")
    if any("\ud800" <= c <= "\udfff" for c in text):
        _refuse("invalid_text", f"{where}含有不成对的代理字符，请检查文字编码。")


def _check(value: Any) -> None:
    """Walk the parsed value without recursion: depth and texts."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                check_text(item, "JSON 中的文字")
            elif isinstance(item, Mapping):
                below.extend(item.keys())
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        if not below:
            return
        level = below
    _too_deep()


def _too_deep() -> NoReturn:
    _refuse("too_deep", f"JSON 嵌套超过 {MAX_DEPTH} 层，请减少层数。")


def parse(body: bytes) -> Any:
    """The value of a JSON body; Refusal for anything doubtful.

    Refused: invalid UTF-8 or JSON (400); NaN, Infinity, numbers out of range, NUL, lone
    surrogates, duplicate keys and more than MAX_DEPTH levels (422).
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as e:
        raise Refusal(
            400, "invalid_encoding", f"请求体第 {e.start + 1} 个字节不是 UTF-8，请改用 UTF-8 编码。"
        ) from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_number,
            parse_int=_int,
        )
    except json.JSONDecodeError as e:
        raise Refusal(
            400, "invalid_json", f"请求体不是有效的 JSON：第 {e.lineno} 行第 {e.colno} 列有误。"
        ) from None
    except RecursionError:
        _too_deep()
    _check(value)
    return value
