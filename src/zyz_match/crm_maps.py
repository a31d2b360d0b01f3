"""What other systems send us, in our words: which field is what, which of their stages is ours.

A map is one row of MAPS; a city names its own fields and stages in the file of ZYZ_HOOKS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from zyz_match.days import day_of
from zyz_match.domain import Stage
from zyz_match.errors import FileError, InputError
from zyz_match.profiles import parse_yaml
from zyz_match.signing import SCHEMES, BadSignature, check_secret
from zyz_match.stages import reason_of, stage_of

FIELDS = ("id", "town", "firm", "stage", "date", "reason", "owner", "note", "list_id")
MOST_RECORDS = 200  # in one message
_OWN = {name: name for name in FIELDS}
_KEYS = ("scheme", "secret_file", "map", "object", "fields", "stages", "lost_when", "url", "towns")
_NAME = "abcdefghijklmnopqrstuvwxyz0123456789-"


@dataclass(frozen=True, slots=True)
class CrmMap:
    """How one kind of system says what we want to know."""

    object: str  # what it calls its records
    fields: Mapping[str, str]  # ours -> theirs
    stages: Mapping[str, Stage] = field(default_factory=dict)  # their word, lower case -> ours
    lost_when: Mapping[str, Any] = field(default_factory=dict)  # fields that mean lost, by value
    utc: bool = False  # whether moments that name no zone are UTC; else they are local


def _stages(**named: Stage) -> dict[str, Stage]:
    return {word.replace("_", " "): stage for word, stage in named.items()}


_ESPO_FIELDS = {"town": "cZyzTownId", "firm": "cZyzFirmId", "list_id": "cZyzListId"}
_ODOO_FIELDS = {"town": "x_zyz_town_id", "firm": "x_zyz_firm_id", "list_id": "x_zyz_list_id"}
MAPS: Mapping[str, CrmMap] = {
    "zyz": CrmMap("lead", _OWN),
    "espocrm": CrmMap(  # Lead.create, Lead.update, Opportunity.update ...: arrays of records
        "Lead",
        {"id": "id", "stage": "status", "date": "modifiedAt", "owner": "assignedUserName",
         **_ESPO_FIELDS},
        _stages(
            new=Stage.RECOMMENDED, assigned=Stage.CONTACTED, in_process=Stage.NEGOTIATING,
            converted=Stage.SIGNED, recycled=Stage.NO_INTEREST, dead=Stage.LOST,
        ),
        utc=True,
    ),
    "odoo": CrmMap(  # "send webhook notification": one record; many2one as number; lost is inactive
        "crm.lead",
        {"id": "_id", "stage": "stage_id", "date": "write_date", "owner": "user_id",
         **_ODOO_FIELDS},
        {"1": Stage.RECOMMENDED, "2": Stage.CONTACTED, "3": Stage.NEGOTIATING, "4": Stage.SIGNED,
         **_stages(new=Stage.RECOMMENDED, qualified=Stage.CONTACTED,
                   proposition=Stage.NEGOTIATING, won=Stage.SIGNED)},
        {"active": False},
        utc=True,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class System:
    """One system that calls us."""

    name: str
    scheme: str  # a key of SCHEMES
    secrets: tuple[str, ...]  # any of them may sign
    map: CrmMap
    url: str = ""  # how it calls us, where the scheme signs that
    towns: frozenset[str] | None = None  # about which it may speak; None is all


@dataclass(frozen=True, slots=True)
class Step:
    """What one record says; "" is what it does not say."""

    id: str
    town: str
    firm: str
    stage: Stage | None  # None when it says nothing of a stage
    date: date | None
    reason: str
    owner: str
    note: str
    list_id: str


# messages ----------------------------------------------------------------------------------


def records_of(body: Any) -> list[Any]:
    """The records of a message: one, a list of them, or {"items": [...]}."""
    if isinstance(body, Mapping) and isinstance(body.get("items"), list):
        body = body["items"]
    records = body if isinstance(body, list) else [body]
    if len(records) > MOST_RECORDS:
        raise InputError(f"一条消息最多 {MOST_RECORDS} 条记录，现有 {len(records)} 条。")
    return records


def step_of(known: CrmMap, record: Any) -> Step:
    """What a record says; InputError for what cannot be understood."""
    if not isinstance(record, Mapping):
        raise InputError("记录应为对象（花括号）。")
    said = {ours: _words(record.get(theirs)) for ours, theirs in known.fields.items()}
    text = {name: (said.get(name) or [""])[-1] for name in FIELDS}
    reason, note = _reason(text["reason"], text["note"])
    return Step(
        id=(said.get("id") or [""])[0], town=text["town"], firm=text["firm"],
        stage=_stage(known, record, said.get("stage", [])), date=_date(text["date"], utc=known.utc),
        reason=reason, owner=text["owner"], note=note, list_id=text["list_id"],
    )  # fmt: skip


def _words(value: Any) -> list[str]:
    """A value as text; a pair of number and name as both; nothing for what is empty."""
    if value is None or value is False or value == "":
        return []
    if isinstance(value, list):
        return [w for part in value for w in _words(part)]
    if isinstance(value, Mapping):
        raise InputError("字段的值应为文字或数字，不能是对象。")
    return [str(value).strip()]


def _stage(known: CrmMap, record: Mapping[str, Any], words: Sequence[str]) -> Stage | None:
    if any(name in record and record[name] == lost for name, lost in known.lost_when.items()):
        return Stage.LOST
    for word in words:
        if (stage := known.stages.get(word.lower())) is not None:
            return stage
    return stage_of(words[-1]) if words else None


def _date(text: str, *, utc: bool) -> date | None:
    """The day in China of a date or a moment."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return day_of(moment) if moment.tzinfo or (utc and len(text) > 10) else moment.date()
    except ValueError:
        pass
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise InputError(f"日期“{text[:40]}”应以 2025-06-30 这样的日期开头。") from None


def _reason(reason: str, note: str) -> tuple[str, str]:
    """A reason of ours, else a remark: the reasons of others are many."""
    try:
        return reason_of(reason), note
    except InputError:
        return "", "；".join(t for t in (reason, note) if t)


# the file of ZYZ_HOOKS ---------------------------------------------------------------------


def read_systems(path: Path | None) -> dict[str, System]:
    """The systems of a file, by name; none without a file. FileError or InputError for faults."""
    if path is None:
        return {}
    given = parse_yaml(path)
    if not isinstance(given, dict) or set(given) != {"systems"}:
        raise FileError(f"“{path}”应只有一个键 systems，其下每个系统一项。")
    systems = given["systems"]
    if not isinstance(systems, dict) or not systems:
        raise FileError(f"“{path}”的 systems 下应至少有一个系统。")
    return {str(name): _system(path, str(name), entry) for name, entry in systems.items()}


def _system(path: Path, name: str, entry: Any) -> System:
    where = f"“{path}”中系统“{name}”"
    if not name or not set(name) <= set(_NAME) or len(name) > 40:
        raise InputError(f"{where}的名称应为不超过 40 个小写字母、数字或 -。")
    if not isinstance(entry, dict):
        raise InputError(f"{where}应为键值表。")
    if unknown := sorted(str(k) for k in entry if k not in _KEYS):
        raise InputError(f"{where}有不认识的键：{'、'.join(unknown)}；可用：{'、'.join(_KEYS)}。")
    scheme, url = str(entry.get("scheme", "")), str(entry.get("url", ""))
    if scheme not in SCHEMES:
        raise InputError(f"{where}的 scheme 应为 {'、'.join(SCHEMES)} 之一。")
    if scheme == "hubspot" and not url:
        raise InputError(f"{where}须写 url：HubSpot 调用本接口的完整地址，签名包含它。")
    towns = entry.get("towns")
    if towns is not None and not isinstance(towns, list):
        raise InputError(f"{where}的 towns 应为专业镇编号的列表。")
    return System(
        name, scheme, _secrets(path, where, scheme, str(entry.get("secret_file", ""))),
        _map(where, entry), url, None if towns is None else frozenset(map(str, towns)),
    )  # fmt: skip


def _secrets(path: Path, where: str, scheme: str, name: str) -> tuple[str, ...]:
    if not name:
        raise InputError(f"{where}须写 secret_file：放密钥的文件，一行一个。")
    file = path.parent / Path(name).expanduser()
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{where}的密钥文件“{file}”无法读取，请核对路径和权限。") from error
    found = tuple(line.strip() for line in lines if line.strip())
    try:
        for secret in found:
            check_secret(scheme, secret)
    except BadSignature as error:
        raise InputError(f"{where}的密钥文件“{file}”：{error.message}") from error
    if not found:
        raise InputError(f"{where}的密钥文件“{file}”是空的。")
    return found


def _object(where: str, name: str) -> str:
    if not name or ":" in name:
        raise InputError(f"{where}的 object 应为对方对象的名称，不能为空或含有冒号。")
    return name


def _map(where: str, entry: Mapping[str, Any]) -> CrmMap:
    name = str(entry.get("map", "zyz"))
    if name not in MAPS:
        raise InputError(f"{where}的 map 应为 {'、'.join(MAPS)} 之一。")
    known = MAPS[name]
    fields, stages = entry.get("fields") or {}, entry.get("stages") or {}
    lost = entry.get("lost_when")
    if not all(isinstance(part, dict) for part in (fields, stages, {} if lost is None else lost)):
        raise InputError(f"{where}的 fields、stages、lost_when 应为键值表。")
    if unknown := sorted(str(k) for k in fields if k not in FIELDS):
        raise InputError(
            f"{where}的 fields 有不认识的键：{'、'.join(unknown)}；可用：{'、'.join(FIELDS)}。"
        )
    return replace(
        known,
        object=_object(where, str(entry.get("object", known.object))),
        fields={**known.fields, **{str(k): str(v) for k, v in fields.items()}},
        stages={**known.stages, **{str(k).lower(): stage_of(str(v)) for k, v in stages.items()}},
        lost_when=known.lost_when if lost is None else lost,
    )
