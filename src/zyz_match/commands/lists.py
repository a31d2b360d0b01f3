"""Commands about lists: rank, run, similar."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from zyz_match.commands import batch
from zyz_match.commands.office import (
    checked,
    checked_range,
    emit_json,
    office,
    program,
    user,
    written,
)
from zyz_match.console import NARROW, Column, clean, figures, note, out, say, show_table
from zyz_match.domain import MARKS, Filters, Match, Shortlist
from zyz_match.errors import InputError

STDOUT = "-"
SHOWN_BY_RUN = 5

Town = Annotated[str, typer.Argument(metavar="专业镇", help="专业镇的编号或名称（可写一部分）。")]
Json = Annotated[bool, typer.Option("--json", help="输出 JSON，供程序读取。")]
Count = Annotated[int, typer.Option("-k", "--count", metavar="家数", help="最多列出几家企业。")]
Words = list[str] | None
_ALL = "全部专业镇"
Amount = float | None


def rank(
    town: Annotated[
        str | None,
        typer.Argument(metavar="专业镇", help="专业镇的编号或名称（可写一部分）。"),
    ] = None,
    k: Count = 20,
    province: Annotated[
        Words, typer.Option(metavar="省份", help="只看这些省份，可重复。", rich_help_panel="筛选")
    ] = None,
    city: Annotated[
        Words, typer.Option(metavar="城市", help="只看这些城市，可重复。", rich_help_panel="筛选")
    ] = None,
    industry: Annotated[
        Words,
        typer.Option(metavar="行业", help="国标行业代码或名称，可重复。", rich_help_panel="筛选"),
    ] = None,
    capital_min: Annotated[
        Amount, typer.Option(metavar="万元", help="注册资本不低于。", rich_help_panel="筛选")
    ] = None,
    capital_max: Annotated[
        Amount, typer.Option(metavar="万元", help="注册资本不高于。", rich_help_panel="筛选")
    ] = None,
    employees_min: Annotated[
        Amount, typer.Option(metavar="人", help="参保人数不低于。", rich_help_panel="筛选")
    ] = None,
    employees_max: Annotated[
        Amount, typer.Option(metavar="人", help="参保人数不高于。", rich_help_panel="筛选")
    ] = None,
    mark: Annotated[
        Words,
        typer.Option(
            metavar="资质",
            help=f"具备其中一项资质即可，可重复，可写一部分：{'、'.join(MARKS)}。",
            rich_help_panel="筛选",
        ),
    ] = None,
    listed: Annotated[
        bool | None,
        typer.Option(
            "--listed/--unlisted", help="只看上市企业，或只看未上市企业。", rich_help_panel="筛选"
        ),
    ] = None,
    status: Annotated[
        Words,
        typer.Option(metavar="状态", help="登记状态，如 存续，可重复。", rich_help_panel="筛选"),
    ] = None,
    text: Annotated[
        str,
        typer.Option(metavar="文字", help="名称、经营范围或产品中含有。", rich_help_panel="筛选"),
    ] = "",
    diversify: Annotated[
        bool, typer.Option("--diversify", help="让名单覆盖产业链的不同环节，缺失环节优先。")
    ] = False,
    as_json: Json = False,
    csv: Annotated[
        str | None,
        typer.Option("--csv", metavar="[文件]", help="写成 CSV；不写文件名则输出到屏幕。"),
    ] = None,
    xlsx: Annotated[
        Path | None, typer.Option("--xlsx", metavar="文件", help="写成 Excel 清单。")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="所有专业镇各出一份名单。", rich_help_panel=_ALL)
    ] = False,
    parquet: Annotated[
        Path | None,
        typer.Option(metavar="路径", help="企业取自 parquet 文件或文件夹。", rich_help_panel=_ALL),
    ] = None,
    outfile: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="文件",
            rich_help_panel=_ALL,
            help="名单写到一个文件：.xlsx、.csv、.parquet 或 .jsonl。",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="方式",
            help="loop：逐个分区（默认）；dask：在 Dask 集群上。",
            rich_help_panel=_ALL,
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="地址", help="Dask 调度器；不写则在本机起两个进程。", rich_help_panel=_ALL
        ),
    ] = None,
    statistics: Annotated[
        str | None,
        typer.Option(
            metavar="来源",
            help="词频等统计取自 parquet（默认）或企业库的 index。",
            rich_help_panel=_ALL,
        ),
    ] = None,
) -> None:
    """列出一个专业镇的目标企业，按得分排序并说明理由；--all 为所有专业镇各出一份。"""
    options = batch.Options(parquet, outfile, engine, scheduler, statistics)
    taken = {"--csv": csv is not None, "--xlsx": xlsx is not None}
    if every:
        batch.check_all(options, town, [name for name, given in taken.items() if given])
    else:
        batch.check_alone(options)
    if as_json and csv == STDOUT:
        raise InputError(
            "--json 和不带文件名的 --csv 都要占用屏幕输出，请二选一，或给 --csv 写文件名。"
        )
    if xlsx is not None and xlsx.suffix.lower() != ".xlsx" and not _is_device(xlsx):
        raise InputError(f"--xlsx 的文件名应以 .xlsx 结尾，现为“{xlsx}”。")
    checked_range("注册资本", capital_min, capital_max)
    checked_range("参保人数", employees_min, employees_max)
    filters = Filters(
        provinces=tuple(province or ()),
        cities=tuple(city or ()),
        industries=tuple(industry or ()),
        capital_min=checked("--capital-min", capital_min),
        capital_max=checked("--capital-max", capital_max),
        employees_min=checked("--employees-min", employees_min),
        employees_max=checked("--employees-max", employees_max),
        marks=_marks(mark or ()),
        listed=listed,
        statuses=tuple(status or ()),
        text=text.strip(),
    )
    if every:
        batch.rank_all(options, k, filters, diversify, as_json)
        return
    if town is None:
        raise InputError("缺少参数 专业镇。用 zyz-match rank --help 查看用法。")
    with office() as (service, meter):
        found = service.rank(
            town, k=k, filters=filters, diversify=diversify, by=user(), progress=meter
        )
        for kind, given in (("csv", csv), ("xlsx", xlsx)):
            if given is not None:
                service.note_exports([found.id], kind)
    _hand_out(found, as_json, csv, xlsx)


def _hand_out(found: Shortlist, as_json: bool, csv: str | None, xlsx: Path | None) -> None:
    from zyz_match import reports

    if xlsx is not None:
        reports.write_shortlist(found, xlsx)
        written(xlsx, f" Excel 清单（{len(found.matches)} 家）")
    if csv == STDOUT:
        reports.write_csv(found, sys.stdout.buffer)  # UTF-8 whatever the terminal speaks
    elif csv is not None:
        reports.write_csv(found, Path(csv))
        written(Path(csv), f" CSV 清单（{len(found.matches)} 家）")
    if as_json:
        emit_json(reports.shortlist_json(found))
    elif csv is None and xlsx is None:
        show_shortlist(found)


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _marks(asked: Sequence[str]) -> tuple[str, ...]:
    """Full names of the marks asked for; a part that fits just one of them is enough."""
    names = []
    for word in asked:
        fitting = [m for m in MARKS if word == m] or [m for m in MARKS if word and word in m]
        if len(fitting) != 1:
            said = "对应多项资质" if fitting else "不是可用的资质"
            raise InputError(f"“{word}”{said}，可用：{'、'.join(fitting or MARKS)}。")
        names.append(fitting[0])
    return tuple(dict.fromkeys(names))


def show_shortlist(found: Shortlist) -> None:
    """A list as a table, with what it was made from below."""
    from zyz_match.reports import filters_in_words, pool_in_words, stamp_in_words

    say(f"{found.town.name} 目标企业", "bold")
    show_matches(found.matches)
    say()
    say(f"{pool_in_words(found)}；筛选条件：{filters_in_words(found.filters)}", "dim")
    say(stamp_in_words(found), "dim")
    for remark in found.notes:
        note(f"注意：{remark}", "yellow")


def show_matches(matches: Sequence[Match]) -> None:
    """Matches as a table; a narrow terminal gets the place below the name."""
    from zyz_match.reports import chance_in_words, place_of, stage_name

    narrow = out().width < NARROW
    cared = any(m.care_stage for m in matches)
    told = any(m.chance for m in matches)
    columns = [
        figures("名次"),
        Column("企业"),
        *([] if narrow else [Column("地区")]),
        figures("得分"),
        figures("适配"),
        figures("意愿"),
        figures("可信度"),
        *([figures("成功可能性")] if told else []),
        *([Column("跟进")] if cared else []),
        Column("理由"),
    ]
    shared = set.intersection(*(set(m.flags) for m in matches)) if len(matches) > 1 else set()
    rows = []
    for m in matches:
        place = place_of(m.firm)
        name = f"{m.firm.name}（{place}）" if narrow and place else m.firm.name
        reason = "；".join((m.reason.rstrip("。"), *(f for f in m.flags if f not in shared)))
        rows.append(
            (m.rank, name, *([] if narrow else [place]), f"{m.score:.1f}", f"{m.fit:.1f}",
             f"{m.propensity:.1f}", f"{m.confidence:.0%}",
             *([chance_in_words(m.chance)] if told else []),
             *([f"{stage_name(m.care_stage)} {m.care_owner}".strip()] if cared else []), reason)
        )  # fmt: skip
    if rows:
        show_table(columns, rows)
    for flag in sorted(shared):
        say(f"以上 {len(matches)} 家：{flag}", "yellow")


def run(
    folder: Annotated[
        Path, typer.Option("--out", metavar="文件夹", help="Excel 清单写到哪个文件夹。")
    ] = Path("out"),
    k: Annotated[
        int, typer.Option("-k", "--count", metavar="家数", help="每份 Excel 清单列几家企业。")
    ] = 20,
) -> None:
    """为所有专业镇各出一份名单：屏幕上列前五名，完整名单写成 Excel。"""
    lists: list[Shortlist] = []
    with office() as (service, meter):
        towns = service.towns()
        for done, town in enumerate(towns):
            meter("匹配专业镇", done, len(towns))
            lists.append(service.rank(town.id, k=k, by=user(), progress=meter))
        service.note_exports([found.id for found in lists], "xlsx")
        paths = _write_all(lists, folder, meter)
    if not lists:
        raise InputError(f"企业库里没有专业镇。请先运行 {program()} init。")
    for found in lists:
        say(f"■ {found.town.name}", "bold")
        show_matches(found.matches[:SHOWN_BY_RUN])
        for remark in found.notes:
            say(f"  注意：{remark}", "yellow")
        say()
    say(f"已为 {len(lists)} 个专业镇写好 Excel 清单（每份最多 {k} 家）：", "green")
    for path in paths:
        say(f"  {path}")
    _next_steps(lists)


def _write_all(lists: Sequence[Shortlist], folder: Path, meter: Any) -> list[Path]:
    from zyz_match.outputs import safe_name
    from zyz_match.reports import write_shortlist

    paths: list[Path] = []
    taken: set[str] = set()
    for done, found in enumerate(lists):
        meter("写 Excel 清单", done, len(lists))
        name = safe_name(f"{found.town.name}-目标企业清单")
        if name.casefold() in taken:
            name = safe_name(f"{found.town.name}-{found.town.id}-目标企业清单")
        taken.add(name.casefold())
        paths.append(folder / f"{name}.xlsx")
        write_shortlist(found, paths[-1])
    return paths


def _next_steps(lists: Sequence[Shortlist]) -> None:
    first = next((found for found in lists if found.matches), None)
    if first is None:
        return
    ours = program()
    total = first.total
    say()
    say(f"现在的企业库有 {total:,} 家企业。接下来可以：", "bold")
    say(
        f"  {ours} explain {first.town.name} {first.matches[0].firm.name}　看一家企业为什么得这个分"
    )
    say(f"  {ours} import 企业名单.xlsx --dry-run　预览导入自己的企业名单")
    say(f"  {ours} rank {first.town.name} --diversify --xlsx 清单.xlsx　出一份覆盖各环节的名单")


def similar(
    firms: Annotated[
        list[str], typer.Argument(metavar="企业…", help="一家或几家企业的名称、代码或编号。")
    ],
    k: Count = 10,
    as_json: Json = False,
) -> None:
    """找与给定企业最相近的企业，并说明相近之处。"""
    with office() as (service, meter):
        service.index(progress=meter)
        found = service.similar(firms, k=k)
    if as_json:
        from zyz_match.reports import as_json as plain

        emit_json(plain(found))
        return
    from zyz_match.reports import place_of

    if not found:
        note("没有找到相近的企业：给定企业缺少经营范围和主营产品，或企业库太小。", "yellow")
        return
    columns = (
        figures("名次"),
        Column("企业"),
        Column("地区"),
        figures("相近度"),
        Column("共有的词"),
        Column("同属行业"),
    )
    show_table(
        columns,
        [
            (s.rank, s.firm.name, place_of(s.firm), f"{s.similarity:.2f}", "、".join(s.shared),
             s.same_industry)
            for s in found
        ],
        title=f"与{clean('、'.join(firms))}相近的企业",
    )  # fmt: skip
