"""Workbooks (XLSX, XLS, XLSB, ODS), parsed in a child process that cannot hurt this one."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zyz_match.errors import FileError
from zyz_match.storage.values import NumberCell

LARGEST_UNPACKED = 200 << 20
MOST_MEMBERS = 2_000
MOST_COLUMNS = 2_000
MEMORY = 1 << 30
CPU_SECONDS = 120
WALL_SECONDS = 180
_CHILD = Path(__file__).with_name("_workbook_child.py")
_RESAVE = "请用 Excel 打开，另存为 .xlsx 后再导入。"


@dataclass(frozen=True, slots=True)
class SheetRows:
    """One sheet as the child wrote it down."""

    name: str
    path: Path
    merged: int
    hidden: bool

    def rows(self) -> Iterator[list[str]]:
        """All rows from the first of the sheet, as text; numbers are NumberCell."""
        with self.path.open(encoding="ascii") as file:
            for line in file:
                yield [c if type(c) is str else _text(c) for c in json.loads(line)]


def _text(cell: Any) -> str:
    if isinstance(cell, list):
        return str(cell[0])
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "是" if cell else "否"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e21:
        return NumberCell(int(cell))
    return NumberCell(cell)


def check_archive(archive: zipfile.ZipFile, name: str) -> None:
    """Raise FileError for an archive that unpacks to too much or is encrypted."""
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise FileError(
            f"“{name}”内有 {len(members)} 个部件，超过 {MOST_MEMBERS} 个的上限，可能是压缩炸弹，"
            f"未读取。"
        )
    if (size := sum(m.file_size for m in members)) > LARGEST_UNPACKED:
        raise FileError(
            f"“{name}”解压后有 {size >> 20} MB，超过 {LARGEST_UNPACKED >> 20} MB 的上限，未读取。"
            "请拆成几个文件，或另存为 CSV 后再导入。"
        )
    if any(m.flag_bits & 1 for m in members):
        raise FileError(f"“{name}”有密码，无法读取。请去掉密码后再导入。")


def convert(path: Path, folder: Path, name: str) -> list[SheetRows]:
    """Every sheet of a workbook, written into `folder` by a limited child process.

    Raises FileError when the workbook is encrypted, broken, too wide or beyond the limits.
    """
    command = [
        sys.executable, "-I", str(_CHILD), str(path), str(folder),
        str(MEMORY), str(CPU_SECONDS), str(MOST_COLUMNS),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=WALL_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FileError(f"“{name}”解析超过 {WALL_SECONDS} 秒，已停止。请拆小后再导入。") from error
    try:
        verdict = json.loads(done.stdout or b"null")
    except ValueError:
        verdict = None
    if not isinstance(verdict, dict):
        raise FileError(
            f"“{name}”解析时用尽了内存或时间的上限，已停止，未读取任何数据。"
            "文件可能损坏，或有大片带格式的空行空列：请只复制有数据的区域到新表再导入。"
        )
    if "error" in verdict:
        raise _refusal(verdict, name)
    return [_sheet(s, folder, name) for s in verdict["sheets"]]


def _refusal(verdict: dict[str, Any], name: str) -> FileError:
    if verdict["error"] == "password":
        return FileError(f"“{name}”有密码，无法读取。请在 Excel 中去掉密码后再导入。")
    if verdict["error"] == "memory":
        return FileError(f"“{name}”太大，解析时用尽了内存上限。请拆成几个文件，或另存为 CSV。")
    return FileError(f"“{name}”不是完好的 Excel 文件（{verdict.get('detail', '')}）。{_RESAVE}")


def _sheet(found: dict[str, Any], folder: Path, name: str) -> SheetRows:
    if "wide" in found:
        raise FileError(
            f"“{name}”的工作表“{found['name']}”有 {found['wide']} 列，超过 {MOST_COLUMNS} "
            f"列的上限。"
            "请只保留需要的列后再导入。"
        )
    return SheetRows(found["name"], folder / found["file"], found["merged"], found["hidden"])
