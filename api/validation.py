"""Pydantic's findings in Chinese, each with the place it is about."""

from collections.abc import Mapping, Sequence
from typing import Any

# a tag of a union's branch, which is no part of the place; see schemas.Products
TAG = "\N{BULLET}"

MESSAGES: dict[str, str] = {
    "missing": "缺少必填的{where}，请补上。",
    "extra_forbidden": "不认识的字段{where}，请删除或改正名称。",
    "string_type": "{where}应为文字（加引号的字符串）。",
    "string_too_short": "{where}不能为空，请填写或去掉。",
    "string_too_long": "{where}过长，最多 {max_length} 个字。",
    "string_pattern_mismatch": "{where}含有不允许的字符（斜杠或控制字符），请去掉。",
    "int_type": "{where}应为整数。",
    "int_parsing": "{where}应为整数。",
    "int_parsing_size": "{where}的数字过大。",
    "int_from_float": "{where}应为整数。",
    "float_type": "{where}应为数字。",
    "float_parsing": "{where}应为数字。",
    "finite_number": "{where}应为有限的数字。",
    "bool_type": "{where}应为 true 或 false。",
    "bool_parsing": "{where}应为 true 或 false。",
    "greater_than": "{where}应大于 {gt}。",
    "greater_than_equal": "{where}应不小于 {ge}。",
    "less_than": "{where}应小于 {lt}。",
    "less_than_equal": "{where}应不大于 {le}。",
    "list_type": "{where}应为列表。",
    "dict_type": "{where}应为对象（花括号）。",
    "model_type": "{where}应为对象（花括号）。",
    "model_attributes_type": "{where}应为对象（花括号），请核对请求体和 Content-Type。",
    "too_long": "{where}的项数过多，最多 {max_length} 项。",
    "too_short": "{where}的项数过少，至少 {min_length} 项。",
    "literal_error": "{where}应为 {expected}。",
    "value_error": "{where}{error}",
}
DEFAULT = "{where}不符合要求，请对照 /docs 检查。"


def pointer(path: Sequence[str | int]) -> str:
    """RFC 6901 pointer of a place in a body."""
    return "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in path)


def _one(error: Mapping[str, Any]) -> dict[str, str]:
    source, *path = [p for p in error["loc"] if not str(p).startswith(TAG)] or ["body"]
    name = ".".join(str(p) for p in path)
    where = f"“{name}”" if name else "请求体"
    context = {k: str(v) for k, v in (error.get("ctx") or {}).items()}
    template = MESSAGES.get(error["type"], DEFAULT)
    try:
        detail = template.format(where=where, **context)
    except KeyError:
        detail = DEFAULT.format(where=where)
    if source == "body":
        return {"detail": detail, "pointer": pointer(path)}
    return {"detail": detail, "parameter": str(path[0]) if path else ""}


def readable_errors(errors: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Findings as {detail, pointer} for a body and {detail, parameter} for the rest."""
    return [_one(e) for e in errors]
