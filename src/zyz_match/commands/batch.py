"""`rank --all`: a list for every town, of the store's firms or of those in parquet files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zyz_match.commands.office import emit_json, office, user, written
from zyz_match.console import Column, figures, note, say, show_table
from zyz_match.domain import Filters, Shortlist
from zyz_match.errors import InputError

if TYPE_CHECKING:
    from zyz_match.scale.batch import Answer

MB = 1e6


@dataclass(frozen=True, slots=True)
class Options:
    """What only `--all` takes."""

    parquet: Path | None
    out: Path | None
    engine: str | None
    scheduler: str | None
    statistics: str | None

    def given(self) -> list[str]:
        """The options that were given."""
        return [f"--{name}" for name in self.__slots__ if getattr(self, name) is not None]


def check_alone(options: Options) -> None:
    """InputError when a list of one town was given what only all of them take."""
    if options.given():
        raise InputError(f"{'、'.join(options.given())} 只能与 --all 同用。")


def check_all(options: Options, town: str | None, others: Sequence[str]) -> None:
    """InputError for what does not go together with `--all`."""
    if town is not None:
        raise InputError(f"--all 是所有专业镇，不要再写专业镇“{town}”。")
    if others:
        raise InputError(f"{'、'.join(others)} 不能与 --all 同用；写文件请用 --out。")
    of_parquet = [n for n in options.given() if n in ("--engine", "--scheduler", "--statistics")]
    if options.parquet is None and of_parquet:
        raise InputError(f"{'、'.join(of_parquet)} 只能与 --parquet 同用。")
    if options.scheduler is not None and options.engine != "dask":
        raise InputError("--scheduler 只能与 --engine dask 同用。")


def rank_all(options: Options, k: int, filters: Filters, diversify: bool, as_json: bool) -> None:
    """A list for every town."""
    if options.parquet is None:
        _of_store(options.out, k, filters, diversify, as_json)
        return
    if filters != Filters() or diversify:
        raise InputError("--parquet 不支持筛选和 --diversify；请先筛好 parquet 文件。")
    if options.out is None:
        raise InputError("--parquet 须同时用 --out 写出名单，如 --out 名单.parquet。")
    _of_parquet(options, options.parquet, options.out, k, as_json)


# of the store --------------------------------------------------------------------------------


def _of_store(out: Path | None, k: int, filters: Filters, diversify: bool, as_json: bool) -> None:
    lists: list[Shortlist] = []
    with office() as (service, meter):
        towns = service.towns()
        if out is not None:
            from zyz_match.batch_files import check_out

            check_out(out, k * len(towns))
        for done, town in enumerate(towns):
            meter("匹配专业镇", done, len(towns))
            lists.append(service.rank(
                town.id, k=k, filters=filters, diversify=diversify, by=user(), progress=meter
            ))  # fmt: skip
        if out is not None:
            service.note_exports([found.id for found in lists], out.suffix.lstrip("."))
    if out is not None:
        _write_lists(lists, out)
    if as_json:
        from zyz_match.reports import shortlist_json

        emit_json([shortlist_json(found) for found in lists])
        return
    _show_lists(lists)


def _write_lists(lists: Sequence[Shortlist], out: Path) -> None:
    from zyz_match.batch_files import table_of, write_rows
    from zyz_match.models_desk import component_names

    labels = component_names()
    write_rows(table_of(lists, list(labels)), out, labels)
    written(out, f" {len(lists)} 个专业镇的名单（{sum(len(x.matches) for x in lists):,} 行）")


def _show_lists(lists: Sequence[Shortlist]) -> None:
    columns = (
        Column("专业镇"), figures("候选"), figures("列出"), Column("第一名"), figures("得分"),
        Column("清单编号"),
    )  # fmt: skip
    show_table(columns, [
        (found.town.name, f"{found.pool:,}", len(found.matches),
         *((m.firm.name, f"{m.score:.1f}") if (m := next(iter(found.matches), None)) else ("", "")),
         found.id)
        for found in lists
    ])  # fmt: skip
    for found in lists:
        for remark in found.notes:
            note(f"注意：{found.town.name}：{remark}", "yellow")


# of parquet files ----------------------------------------------------------------------------


def _of_parquet(options: Options, source: Path, out: Path, k: int, as_json: bool) -> None:
    with office() as (service, meter):
        from zyz_match.batch_files import check_out, write_rows
        from zyz_match.models_desk import component_names
        from zyz_match.service import MAX_K

        if not 1 <= k <= MAX_K:
            raise InputError(f"-k 应为 1 到 {MAX_K} 之间的整数，现为 {k}。")
        check_out(out, k * len(service.towns()))
        _check_apart(source, out)
        try:
            answer = service.rank_parquet(
                source, out.with_name(f"{out.name}.work"), k=k, engine=options.engine or "loop",
                scheduler=options.scheduler, statistics=options.statistics or "parquet",
                progress=meter,
            )  # fmt: skip
        except KeyboardInterrupt:
            note("已中断。再次运行同一命令，会从中断处继续。", "yellow")
            raise
        meter("写出名单", 0, 1)
        service.note_exports([""], out.suffix.lstrip("."))
        write_rows(answer.rows, out, component_names())
        answer.work.forget()
    written(out, f" {len(answer.towns)} 个专业镇的名单（{answer.rows.num_rows:,} 行）")
    for remark in answer.notes:
        note(f"注意：{remark}", "yellow")
    if as_json:
        emit_json(_as_json(answer, out))
    else:
        _show(answer)


def _check_apart(source: Path, out: Path) -> None:
    """InputError where the list would become one of the files that it is made from."""
    read = source.resolve()
    if read in (out.resolve(), out.resolve().parent):
        raise InputError(f"--out 不能写进输入“{source}”里，请换一个位置。")


def _as_json(answer: "Answer", out: Path) -> dict[str, Any]:
    from zyz_match.reports import as_json, town_ref

    return {
        "out": str(out), "firms": answer.firms, "partitions": answer.partitions,
        "model": answer.model, "notes": list(answer.notes), "passes": as_json(answer.passes),
        "towns": [town_ref(t.town) | {"pool": t.pool, "listed": t.listed} for t in answer.towns],
    }  # fmt: skip


def _show(answer: "Answer") -> None:
    say(f"企业 {answer.firms:,} 家，{answer.partitions} 个分区，模型 {answer.model}", "bold")
    show_table(
        (Column("专业镇"), figures("候选"), figures("列出")),
        [(t.town.name, f"{t.pool:,}", t.listed) for t in answer.towns],
    )
    say()
    columns = (
        Column("步骤"), figures("分区"), figures("秒"), figures("家/秒"), figures("内存峰值"),
    )  # fmt: skip
    show_table(columns, [
        (p.name, p.partitions or "", f"{p.seconds:.1f}",
         f"{p.firms / p.seconds:,.0f}" if p.firms else "", f"{p.peak / MB:,.0f} MB")
        for p in answer.passes
    ])  # fmt: skip
