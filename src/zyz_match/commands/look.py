"""Commands that look at one thing: towns, town, firm, explain."""

from typing import Annotated, Any

import typer

from zyz_match.commands.lists import Json, Town
from zyz_match.commands.office import emit_json, office, program
from zyz_match.console import Column, figures, note, say, show_pairs, show_table
from zyz_match.domain import Explanation, Firm, Match, TownFit
from zyz_match.errors import InputError

FirmName = Annotated[str, typer.Argument(metavar="企业", help="企业的名称、代码或编号。")]


def towns(as_json: Json = False) -> None:
    """列出所有专业镇。"""
    with office() as (service, _):
        found = service.towns()
    if as_json:
        from zyz_match.profiles import town_to

        emit_json([town_to(t) for t in found])
        return
    columns = (
        Column("编号"),
        Column("名称"),
        Column("所在地"),
        Column("产业类别"),
        figures("产品"),
        figures("环节"),
        Column("待补环节"),
    )
    rows = [
        (t.id, t.name, f"{t.city}{t.county}", t.sector, len(t.products), len(t.chain),
         "、".join(s.segment for s in t.chain if s.need in ("missing", "weak")))
        for t in found
    ]  # fmt: skip
    show_table(columns, rows)
    say()
    say(f"共 {len(found)} 个专业镇。")


def town(name: Town, as_json: Json = False) -> None:
    """显示一个专业镇的画像和产业链。"""
    with office() as (service, _):
        found = service.town(name)
    if as_json:
        from zyz_match.profiles import town_to

        emit_json(town_to(found))
        return
    from zyz_match.reports import segment_row, town_pairs

    show_pairs(town_pairs(found), title=found.name)
    say()
    columns = (
        Column("环节"),
        Column("位置", whole=True),
        Column("需求", whole=True),
        Column("关键词"),
        Column("行业"),
    )
    show_table(columns, [segment_row(s) for s in found.chain], title="产业链")


def firm(
    name: FirmName,
    k: Annotated[
        int, typer.Option("-k", "--count", metavar="个数", help="列出最匹配的几个专业镇。")
    ] = 5,
    as_json: Json = False,
) -> None:
    """显示一家企业的资料，以及最匹配它的专业镇。"""
    if k < 1:
        raise InputError(f"-k 应为不小于 1 的整数，现为 {k}。")
    with office() as (service, meter):
        found = service.firm(name)
        service.index(progress=meter)
        best = service.towns_for(found.firm_id, k=k)
    if as_json:
        from zyz_match import reports

        emit_json({"firm": reports.as_json(found), "towns": [_fit_json(f) for f in best]})
        return
    show_pairs(_firm_pairs(found), title=found.name)
    say()
    if not best:
        note("没有可匹配的专业镇：企业已注销、已在镇内，或注册在不列入名单的地区。", "yellow")
        return
    columns = (
        figures("名次"),
        Column("专业镇"),
        Column("企业在该镇名次", right=True),
        figures("得分"),
        Column("匹配环节"),
        Column("理由"),
    )
    rows = [
        (f.rank, f.town.name, f.match.rank, f"{f.match.score:.1f}", f.match.segment, f.match.reason)
        for f in best
    ]
    show_table(columns, rows, title="最匹配的专业镇")


def _fit_json(fit: TownFit) -> dict[str, Any]:
    from zyz_match import reports

    return {
        "rank": fit.rank,
        "town": reports.town_ref(fit.town),
        "match": reports.as_json(fit.match),
    }


def _firm_pairs(firm: Firm) -> list[tuple[str, object]]:
    from zyz_match.reports import industry_name, place_of

    def number(value: float | None, unit: str) -> str:
        return "" if value is None else f"{value:,.10g} {unit}"

    return [
        ("编号", firm.firm_id), ("统一社会信用代码", firm.uscc), ("证券代码", firm.stock_code),
        ("登记状态", firm.status), ("所在地", place_of(firm) + firm.county), ("地址", firm.address),
        ("行业", industry_name(firm)), ("注册资本", number(firm.capital, "万元")),
        ("实缴资本", number(firm.capital_paid, "万元")), ("成立日期", firm.founded),
        ("规模", firm.size), ("企业类型", firm.kind), ("参保人数", number(firm.employees, "人")),
        ("营业收入", number(firm.revenue, "万元")), ("专利数", number(firm.patents, "件")),
        ("资质", "、".join(firm.marks)), ("上市状态", firm.listing), ("主营产品", firm.products),
        ("经营范围", firm.scope), ("曾用名", "、".join(firm.former_names)), ("网址", firm.website),
        ("资料来源", firm.source),
    ]  # fmt: skip


def explain(name: Town, firm: FirmName, as_json: Json = False) -> None:
    """解释一家企业在一个专业镇的得分：由哪些项相加、差在哪里、怎样会变。"""
    with office() as (service, meter):
        service.index(progress=meter)
        found = service.explain(name, firm)
    if as_json:
        from zyz_match import reports

        emit_json(reports.as_json(found) | {"town": reports.town_ref(found.town)})
        return
    show_explanation(found)


def show_explanation(found: Explanation) -> None:
    """One firm's score as a sum, and where it stands."""
    from zyz_match.reports import place_of

    say(f"{found.firm.name}（{place_of(found.firm) or '所在地不详'}）— {found.town.name}", "bold")
    match = found.match
    if match is None:
        say(f"不列入名单：{found.excluded}", "yellow")
        return
    say(
        f"在 {found.pool:,} 家候选企业中排第 {found.rank:,} 名" if found.rank else "未排入候选企业",
    )
    say(
        f"得分 {match.score:.1f} = 适配 {match.fit:.1f} + 意愿 {match.propensity:.1f}；"
        f"可信度 {match.confidence:.0%}"
    )
    say(f"理由：{match.reason}")
    for flag in match.flags:
        say(f"提示：{flag}", "yellow")
    say()
    _show_contributions(match)
    for title, lines in (("差在哪里", found.holds_back), ("怎样会变", found.would_change)):
        if lines:
            say()
            say(title, "bold")
            for line in lines:
                say(f"  · {line}")
    say()
    say(f"换一家：{program()} explain {found.town.name} 企业名称", "dim")


def _show_contributions(match: Match) -> None:
    from zyz_match.reports import PART_NAMES

    columns = (
        Column("部分", whole=True),
        Column("贡献项", whole=True),
        figures("得分"),
        figures("满分"),
        Column("依据"),
        Column("缺失"),
    )
    rows: list[tuple[object, ...]] = [
        (PART_NAMES[c.part], c.label, f"{c.points:.1f}", f"{c.maximum:.1f}",
         "；".join(c.evidence), c.missing)
        for c in match.contributions
    ]  # fmt: skip
    most = sum(c.maximum for c in match.contributions)
    rows.append(("合计", "", f"{match.score:.1f}", f"{most:.1f}", "", ""))
    show_table(columns, rows)


def watch(as_json: Json = False) -> None:
    """看模型和名单是否正常：数据够不够、有没有漂移、各镇曝光、各模型出了多少名单。"""
    with office() as (service, meter):
        found = service.watch(progress=meter)
        names = {t.id: t.name for t in service.towns()}
    if as_json:
        from zyz_match.reports import as_json as plain

        emit_json(plain(found))
        return
    say(found.sufficiency)
    moved = [d for d in found.drifts if d.fired]
    for d in moved:
        say(f"漂移：{d.label}的分布变了（PSI {d.psi:.2f}，界限 {d.limit:.2f}，"
            f"前 {d.before}、后 {d.now}）。请核对数据来源，必要时重新训练。", "yellow")  # fmt: skip
    if not moved:
        said = f"比较了 {len(found.drifts)} 项，没有超出随机波动的漂移。"
        say(said if found.drifts else "记录还少，不足以判断有没有漂移。")
    if found.exposure:
        show_table(
            (Column("专业镇"), figures("名单数"), figures("曝光占比"), figures("成果占比")),
            [(names.get(e.town_id, e.town_id), e.lists, f"{e.share:.0%}",
              "" if e.merit is None else f"{e.merit:.0%}") for e in found.exposure],
        )  # fmt: skip
    for version, share in found.models.items():
        say(f"模型 {version} 出了 {share:.0%} 的名单。")
