"""Commands about the database as a whole: upgrade, check, backup, restore, sweep."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zyz_match.commands.chinese import ChineseCommand, ChineseGroup
from zyz_match.commands.lists import Json
from zyz_match.commands.office import emit_json, existing_file, office, written
from zyz_match.console import Column, note, say, show_table
from zyz_match.errors import StorageError

if TYPE_CHECKING:
    from zyz_match.ops_desk import Summary

db_app = typer.Typer(
    cls=ChineseGroup, no_args_is_help=True, rich_markup_mode="rich",
    help="数据库：升级、检查、备份、恢复、清理。",
)  # fmt: skip
BackupFile = Annotated[Path, typer.Argument(metavar="文件", help="备份文件。")]


def upgrade() -> None:
    """把数据库升级到本程序的结构版本（打开时也会自动升级），并说明做了什么。"""
    with office(seed=False) as (service, _):
        before, now = service.upgraded
    if before is None:
        say(f"已建好新的数据库，结构版本 {now}。", "green")
    elif before == now:
        say(f"已是最新的结构版本 {now}，没有改动。")
    else:
        say(f"已从结构版本 {before} 升级到 {now}，数据都在。", "green")


def check(as_json: Json = False) -> None:
    """检查数据库文件、表间引用、审计链、模型和索引；只看不改。"""
    with office(seed=False) as (service, meter):
        meter("检查数据库", 0, 1)
        found = service.examine()
    faults = [f for f in found if f.fault]
    if as_json:
        emit_json([{"what": f.what, "said": f.said, "fault": f.fault} for f in found])
    else:
        rows = [(f.what, f.fault or f.said, "有问题" if f.fault else "正常") for f in found]
        show_table((Column("项目", whole=True), Column("结果"), Column("结论", whole=True)), rows)
    if faults:
        raise StorageError(f"发现 {len(faults)} 处问题：{'、'.join(f.what for f in faults)}。")


def backup(
    path: BackupFile,
    files: Annotated[
        bool,
        typer.Option("--files/--no-files", help="是否连同模型和密钥文件一起备份。"),
    ] = True,
) -> None:
    """把整个数据库（默认连同模型和密钥）备份成一个文件；服务照常运行。"""
    with office(seed=False) as (service, meter):
        done = service.back_up(path, files=files, progress=meter)
    written(path, f"备份（{_told(done)}）")
    note("备份含有联系人和密钥，请妥善保管。", "yellow")


def restore(path: BackupFile) -> None:
    """把备份恢复到一个空的数据库；SQLite 与 PostgreSQL 的备份可以互相恢复。"""
    existing_file(path)
    with office(seed=False) as (service, meter):
        done = service.restore(path, progress=meter)
    say(f"已恢复 {done.created_at[:19]}（UTC）的备份：{_told(done)}。", "green")


def verify(path: BackupFile) -> None:
    """核对一份备份是否完好、里面有什么；不恢复，不写入。"""
    existing_file(path)
    from zyz_match.ops_desk import OpsDesk

    found = OpsDesk.look_at_backup(path)
    say(f"备份完好：{found.created_at[:19]}（UTC），结构版本 {found.schema}，{_told(found)}。")


def sweep() -> None:
    """按 ZYZ_CONTACT_DAYS 删除过期的联系人（serve 每天自动做一次）。"""
    with office(seed=False) as (service, _):
        days, removed = service.settings.contact_days, service.expire_contacts()
    if days:
        say(f"已删除导入超过 {days} 天的联系方式 {removed} 条。", "green")
    else:
        say("没有设置 ZYZ_CONTACT_DAYS，联系人不自动删除。")


def _told(found: "Summary") -> str:
    firms, total = found.rows.get("firm", 0), sum(found.rows.values())
    files = f"，{found.files} 个文件" if found.files else ""
    return f"企业 {firms:,} 家，共 {total:,} 行{files}，{found.bytes / 1e6:.1f} MB"


for _name, _function in (
    ("upgrade", upgrade), ("check", check), ("backup", backup), ("restore", restore),
    ("verify", verify), ("sweep", sweep),
):  # fmt: skip
    db_app.command(_name, cls=ChineseCommand)(_function)
