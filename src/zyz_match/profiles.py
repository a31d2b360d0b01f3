"""Town profiles in and out of files: strict reading, and a town by any part of its name."""

import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

from zyz_match.domain import NEEDS, ROLES, ChainSegment, Need, Product, Role, Town
from zyz_match.errors import FileError, InputError, NotFoundError, ProfileError
from zyz_match.text import normalise

MAX_YAML_BYTES = 1_000_000
MAX_JSONL_BYTES = 64_000_000
MAX_ID, MAX_TEXT, MAX_ITEMS, MAX_DEPTH = 64, 200, 1000, 8
SUFFIX = "专业镇"

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_ID_SIGNS = re.compile(r"[\s/\\]")
_PLAIN = ("province", "city", "county", "level", "sector")
_LISTS = ("industries", "regions", "exclude_regions", "anchors")
_TOWN_KEYS = ("id", "name", *_PLAIN, "products", *_LISTS, "chain", "preferences")
_SEGMENT_KEYS = ("segment", "role", "need", "terms", "industries")
_PRODUCT_KEYS = ("term", "weight")
_T = TypeVar("_T")


# one value ---------------------------------------------------------------------------------


def _text(value: object, where: str, limit: int = MAX_TEXT) -> str:
    if not isinstance(value, str):
        raise ProfileError(f"{where} 应为文字，现为 {_shown(value)}；数字和日期请加引号。")
    if unsafe := _UNSAFE.search(value):
        raise ProfileError(f"{where} 含有控制字符 {unsafe.group()!a}，请删除。")
    if value != value.strip():
        raise ProfileError(f"{where} 首尾有空格，请删除：“{value}”。")
    if len(value) > limit:
        raise ProfileError(f"{where} 过长：{len(value)} 字，最多 {limit} 字。")
    return value


def _shown(value: object) -> str:
    shown = "空" if value is None else repr(value)
    return shown if len(shown) <= 40 else shown[:40] + "…"


def _filled(value: object, where: str, limit: int = MAX_TEXT) -> str:
    text = _text(value, where, limit)
    if not text:
        raise ProfileError(f"{where} 不能为空。")
    return text


def _items(value: object, where: str) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise ProfileError(f"{where} 应为列表，现为 {_shown(value)}。")
    if len(value) > MAX_ITEMS:
        raise ProfileError(f"{where} 有 {len(value)} 项，最多 {MAX_ITEMS} 项。")
    return value


def _texts(value: object, where: str) -> tuple[str, ...]:
    return tuple(_filled(v, f"{where} 第 {i} 项") for i, v in enumerate(_items(value, where), 1))


def _mapping(value: object, where: str, known: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ProfileError(f"{where} 应为“键: 值”的结构，现为 {_shown(value)}。")
    for key in value:
        if key not in known:
            raise ProfileError(f"{where} 中有不认识的键“{_shown_key(key)}”。{_hint(key, known)}")
    return value


def _shown_key(key: object) -> str:
    return key if isinstance(key, str) and not _UNSAFE.search(key) else _shown(key)


def _hint(key: object, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(key).lower(), known, 1, 0.5)
    return f"是不是“{near[0]}”？" if near else f"可用的键：{'、'.join(known)}。"


def _choice(value: object, where: str, choices: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise ProfileError(f"{where} 应为 {'、'.join(choices)} 之一，现为 {_shown(value)}。")
    return value


def _weight(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ProfileError(f"{where} 应为大于 0 的数，现为 {_shown(value)}。")
    try:
        weight = float(value)
    except OverflowError:
        weight = math.inf
    if not (math.isfinite(weight) and weight > 0):
        raise ProfileError(f"{where} 应为大于 0 的有限数，现为 {_shown(value)}。")
    return weight


def _plain(value: object, where: str, depth: int = 0) -> Any:
    """A value that JSON can hold, checked all the way down."""
    if depth > MAX_DEPTH:
        raise ProfileError(f"{where} 嵌套过深，最多 {MAX_DEPTH} 层。")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        if (isinstance(value, float) and not math.isfinite(value)) or abs(value) > 1e300:
            raise ProfileError(f"{where} 应为有限数，现为 {_shown(value)}。")
        return value
    if isinstance(value, list | tuple):
        every = enumerate(_items(value, where), 1)
        return [_plain(v, f"{where} 第 {i} 项", depth + 1) for i, v in every]
    if isinstance(value, Mapping):
        return {
            _filled(k, f"{where} 的键"): _plain(v, f"{where}.{_shown_key(k)}", depth + 1)
            for k, v in value.items()
        }
    return _text(value, where)


# a town ------------------------------------------------------------------------------------


def _product(value: object, where: str) -> Product:
    if isinstance(value, str):
        return Product(_filled(value, where))
    item = _mapping(value, where, _PRODUCT_KEYS)
    return Product(
        _filled(item.get("term"), f"{where} 的 term"),
        _weight(item.get("weight", 1.0), f"{where} 的 weight"),
    )


def _segment(value: object, where: str) -> ChainSegment:
    item = _mapping(value, where, _SEGMENT_KEYS)
    need = item.get("need")
    return ChainSegment(
        segment=_filled(item.get("segment"), f"{where} 的 segment"),
        role=cast(Role, _choice(item.get("role", "core"), f"{where} 的 role", ROLES)),
        need=None if need is None else cast(Need, _choice(need, f"{where} 的 need", NEEDS)),
        terms=_texts(item.get("terms", ()), f"{where} 的 terms"),
        industries=_texts(item.get("industries", ()), f"{where} 的 industries"),
    )


def _listed(value: object, where: str, make: Callable[[object, str], _T]) -> tuple[_T, ...]:
    return tuple(make(v, f"{where} 第 {i} 项") for i, v in enumerate(_items(value, where), 1))


def _chain(value: object) -> tuple[ChainSegment, ...]:
    chain = _listed(value, "chain", _segment)
    if twice := _first_repeated(s.segment for s in chain):
        raise ProfileError(f"chain 中环节“{twice}”出现了两次，请合并或改名。")
    return chain


def _first_repeated(texts: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for text in texts:
        if text in seen:
            return text
        seen.add(text)
    return None


def _id(value: object) -> str:
    text = _filled(value, "id", MAX_ID)
    if _ID_SIGNS.search(text):
        raise ProfileError(f"id 不能含有空格或斜线：“{text}”。")
    return text


def check_id(town: Town) -> None:
    """ProfileError for the id of a new town that no address can hold: `.` and `..` are ways."""
    if not town.id.strip("."):
        raise ProfileError(f"id 不能只有点：“{town.id}”，地址里写不出来，请换一个。")


def town_from(mapping: Mapping[str, Any]) -> Town:
    """The town that a mapping describes.

    Raises ProfileError naming the first wrong key or value.
    """
    given = _mapping(mapping, "专业镇档案", _TOWN_KEYS)
    if lacking := [k for k in ("id", "name") if k not in given]:
        raise ProfileError(f"专业镇档案缺少必填的 {'、'.join(lacking)}。")
    plain = {k: _text(given.get(k, ""), k) for k in _PLAIN}
    lists = {k: _texts(given.get(k, ()), k) for k in _LISTS}
    return Town(
        id=_id(given["id"]),
        name=_filled(given["name"], "name"),
        province=plain["province"],
        city=plain["city"],
        county=plain["county"],
        level=plain["level"],
        sector=plain["sector"],
        products=_listed(given.get("products", ()), "products", _product),
        industries=lists["industries"],
        regions=lists["regions"],
        exclude_regions=lists["exclude_regions"],
        anchors=lists["anchors"],
        chain=_chain(given.get("chain", ())),
        preferences=_preferences(given.get("preferences", {})),
    )


def _preferences(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ProfileError(f"preferences 应为“键: 值”的结构，现为 {_shown(value)}。")
    return cast(dict[str, Any], _plain(value, "preferences"))


def town_to(town: Town) -> dict[str, Any]:
    """The mapping that `town_from` turns back into the same town; empty entries are left out."""
    every: dict[str, Any] = {
        "id": town.id,
        "name": town.name,
        **{k: getattr(town, k) for k in _PLAIN},
        "products": [_product_to(p) for p in town.products],
        **{k: list(getattr(town, k)) for k in _LISTS},
        "chain": [_segment_to(s) for s in town.chain],
        "preferences": dict(town.preferences),
    }
    return {k: every[k] for k in _TOWN_KEYS if every[k]}


def _product_to(product: Product) -> str | dict[str, Any]:
    return product.term if product.weight == 1 else {"term": product.term, "weight": product.weight}


def _segment_to(segment: ChainSegment) -> dict[str, Any]:
    every = {
        "segment": segment.segment,
        "role": segment.role,
        "need": segment.need,
        "terms": list(segment.terms),
        "industries": list(segment.industries),
    }
    return {k: v for k, v in every.items() if v}


# files -------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses aliases and repeated keys."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("不支持 YAML 别名（*），请写出全文")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value.__hash__ and key.value in seen:
                raise yaml.MarkedYAMLError(None, None, f"键“{key.value}”出现了两次", key.start_mark)
            if isinstance(key.value, str):
                seen.add(key.value)
        return cast("dict[Any, Any]", super().construct_mapping(node, deep))


def _decode(data: bytes, path: Path) -> str:
    encodings = ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "gb18030")
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise FileError(f"“{path}”的文字编码无法识别，请另存为 UTF-8。")


def _read(path: Path, limit: int) -> str:
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= limit else b""
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(f"无法读取“{path}”：{reason}。请核对路径和权限。") from error
    if size > limit:
        raise FileError(f"“{path}”有 {size:,} 字节，最多 {limit:,} 字节。")
    return _decode(data, path)


def parse_yaml(path: Path) -> Any:
    """The value of a YAML file without aliases or repeated keys; FileError for anything else."""
    text = _read(path, MAX_YAML_BYTES)
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = f"第 {error.problem_mark.line + 1} 行：" if error.problem_mark else ""
        raise FileError(f"“{path}”不是正确的 YAML：{line}{error.problem}。") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FileError(f"“{path}”不是正确的 YAML：{error}。") from error


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if twice := _first_repeated(k for k, _ in pairs):
        raise ProfileError(f"键“{_shown_key(twice)}”出现了两次。")
    return dict(pairs)


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique_pairs)
    except json.JSONDecodeError as error:
        raise ProfileError(f"不是正确的 JSON：第 {error.colno} 列 {error.msg}。") from error
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"不是正确的 JSON：{error}。") from error


def _town_of(path: Path, line: int | None, parse: Callable[[], Any]) -> Town:
    try:
        town = town_from(parse())
        check_id(town)
        return town
    except ProfileError as error:
        where = f"“{path}”第 {line} 行" if line else f"“{path}”"
        raise ProfileError(f"{where}：{error.message}", details=error.details) from error


def _from_lines(path: Path) -> list[Town]:
    lines = _read(path, MAX_JSONL_BYTES).split("\n")

    def town(number: int, line: str) -> Town:
        return _town_of(path, number, lambda: _parse_json(line))

    return [town(n, line) for n, line in enumerate(lines, 1) if line.strip()]


def _from_folder(folder: Path) -> list[Town]:
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".yaml", ".yml"))
    if not paths:
        raise FileError(f"文件夹“{folder}”中没有 .yaml 专业镇档案。")
    return [_from_yaml(p) for p in paths]


def _from_yaml(path: Path) -> Town:
    return _town_of(path, None, lambda: parse_yaml(path))


def read_towns(path: Path) -> list[Town]:
    """The towns of a YAML file, a .jsonl file or a folder of YAML files.

    Raises FileError when the path cannot be read, ProfileError when a profile is wrong.
    """
    kind = path.suffix.lower()
    if path.is_dir():
        towns = _from_folder(path)
    elif kind in (".yaml", ".yml"):
        towns = [_from_yaml(path)]
    elif kind == ".jsonl":
        towns = _from_lines(path)
    else:
        raise FileError(f"“{path}”应为 .yaml、.yml、.jsonl 文件或 YAML 文件夹，且须存在。")
    if twice := _first_repeated(t.id for t in towns):
        raise ProfileError(f"“{path}”中 id“{twice}”出现了两次，id 不能重复。")
    return towns


# a town by its name ------------------------------------------------------------------------


def _key(text: str) -> str:
    return normalise(text).replace(" ", "").casefold()


def _short(key: str) -> str:
    return key.removesuffix(SUFFIX) or key


def _candidates(text: str, towns: Sequence[Town]) -> list[Town]:
    """Towns that the text names, by the strictest reading that names any."""
    key = _key(text)
    readings: tuple[Callable[[Town], bool], ...] = (
        lambda t: t.id == text,
        lambda t: _key(t.id) == key or _key(t.name) == key,
        lambda t: _short(_key(t.name)) == _short(key),
        lambda t: key in _key(t.name) or _short(key) in _key(t.name),
    )
    for reads in readings:
        if found := [t for t in towns if reads(t)]:
            return found
    return []


def _nearest(text: str, towns: Sequence[Town]) -> list[Town]:
    names = {_short(_key(t.name)): t for t in towns} | {_key(t.id): t for t in towns}
    near = difflib.get_close_matches(_short(_key(text)), names, 5, 0.3)
    return list({names[n].id: names[n] for n in near}.values())


def resolve_town(text: str, towns: Sequence[Town]) -> Town:
    """The town with this id or this unambiguous part of its name.

    Raises NotFoundError; its details are the nearest names, or the candidates when several fit.
    """
    if not _key(text):
        raise InputError("请给出专业镇的编号或名称。")
    found = _candidates(text, towns)
    if len(found) == 1:
        return found[0]
    shown = found or _nearest(text, towns) or list(towns)[:5]
    names = tuple(f"{t.name}（{t.id}）" for t in shown)
    if found:
        message = f"“{text}”对应多个专业镇，请写全名称或编号：{'、'.join(names)}。"
    elif names:
        message = f"没有找到专业镇“{text}”。相近的有：{'、'.join(names)}。"
    else:
        message = f"没有找到专业镇“{text}”，库中还没有专业镇。请先运行 zyz-match init。"
    raise NotFoundError(message, details=names)
