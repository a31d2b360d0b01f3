"""Any supported file as sheets of text cells; what a file is, its content decides, not its name."""

import csv
import difflib
import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from zyz_match.errors import FileError
from zyz_match.storage import workbooks
from zyz_match.storage.charset import find_charset
from zyz_match.storage.columns import score_header
from zyz_match.storage.values import NumberCell

LARGEST_FILE = 1 << 30
_LONGEST_FIELD = 1_000_000
_LONGEST_RECORD = 200  # lines; more means that a quote was never closed
_HEAD = 10
_DELIMITERS = ",;\t"
_TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".jsonl", ".json")
_NOT_TABLES = (
    (b"%PDF", "PDF"), (b"\x89PNG", "图片"), (b"\xff\xd8\xff", "图片"), (b"GIF8", "图片"),
    (b"Rar!", "RAR 压缩包"), (b"7z\xbc\xaf", "7z 压缩包"), (b"\x1f\x8b", "gz 压缩包"),
    (b"SQLite format 3", "数据库"), (b"\x7fELF", "程序"), (b"MZ", "程序"),
)  # fmt: skip
_FLAW = "{} 不是 JSON 的值，没有值请写 null"
_SUPPORTED = "支持 CSV、XLSX、XLS、JSON 行（.jsonl），以及装有其中一个的 .zip。"


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table of a file: its rows as text, from the very first."""

    name: str  # "" for files without sheets
    rows: Callable[[], Iterator[list[str]]]
    charset: str = ""
    merged: int = 0
    hidden: bool = False
    first: int = 1  # number of the first row; 0 where the header is no row of the file

    def head(self) -> list[list[str]]:
        """The first ten rows."""
        return list(islice(self.rows(), _HEAD))


class FlawedRow(list[str]):
    """A row that cannot be taken, with what is wrong with it."""

    flaw: str


@dataclass(frozen=True, slots=True)
class Book:
    """A file that was opened: its sheets and the hash of its bytes."""

    name: str
    hash: str
    sheets: tuple[Sheet, ...]


@contextmanager
def open_book(path: Path) -> Iterator[Book]:
    """Open a table file of any supported kind; its sheets can be read while the block lasts.

    Raises FileError when the file is missing, unreadable, too large or no table.
    """
    _check_file(path)
    try:
        digest = _sha256(path)
        with tempfile.TemporaryDirectory(prefix="zyz-") as folder:
            yield Book(path.name, digest, _sheets(path, path.name, Path(folder), nested=False))
    except PermissionError as error:
        raise FileError(
            f"没有权限读取“{path}”。请检查文件权限，或关闭正在使用它的程序。"
        ) from error
    except zipfile.BadZipFile as error:
        raise FileError(f"“{path.name}”已损坏或不完整（{error}）。请重新下载或导出。") from error


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise FileError(f"“{path}”是文件夹，请指定其中的一个文件。")
    if not path.exists():
        raise _missing(path)
    if not path.is_file():
        raise FileError(f"“{path}”不是普通文件。{_SUPPORTED}")
    size = path.stat().st_size
    if size == 0:
        raise FileError(f"“{path.name}”是空文件。请重新导出。")
    if size > LARGEST_FILE:
        raise FileError(
            f"“{path.name}”有 {size >> 20} MB，超过 1 GB 的上限。请拆成几个文件后再导入。"
        )


def _missing(path: Path) -> FileError:
    try:
        names = sorted(p.name for p in path.parent.iterdir())
    except OSError:
        return FileError(f"没有文件“{path}”：文件夹“{path.parent}”不存在或无法打开。")
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    hint = f"是否指：{'、'.join(near)}？" if near else "请核对路径。"
    return FileError(f"没有文件“{path}”。{hint}", details=near)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sheets(path: Path, name: str, folder: Path, *, nested: bool) -> tuple[Sheet, ...]:
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"PK\x03\x04") or head.startswith(b"PK\x05\x06"):
        return _zip(path, name, folder, nested=nested)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        _refuse_encrypted(path, name)
        return _workbook(path, name, folder, ".xls")
    for magic, kind in _NOT_TABLES:
        if head.startswith(magic):
            raise FileError(f"“{name}”是{kind}，不是表格。{_SUPPORTED}")
    utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    if head.count(0) * 10 > len(head) and not utf16:
        raise FileError(f"“{name}”不是表格（含二进制内容）。{_SUPPORTED}")
    return _text(path, name, head)


def _refuse_encrypted(path: Path, name: str) -> None:
    if "EncryptedPackage".encode("utf-16-le") in path.read_bytes():
        raise FileError(f"“{name}”有密码，无法读取。请在 Excel 中去掉密码后再导入。")


def _workbook(path: Path, name: str, folder: Path, suffix: str) -> tuple[Sheet, ...]:
    book = folder / f"book{suffix}"  # the parser goes by the ending, which may be wrong
    try:
        book.symlink_to(path.resolve())
    except OSError:
        shutil.copyfile(path, book)
    found = workbooks.convert(book, folder, name)
    return tuple(Sheet(s.name, s.rows, "", s.merged, s.hidden) for s in found)


def _zip(path: Path, name: str, folder: Path, *, nested: bool) -> tuple[Sheet, ...]:
    with zipfile.ZipFile(path) as archive:
        workbooks.check_archive(archive, name)
        parts = set(archive.namelist())
        if {"[Content_Types].xml", "content.xml"} & parts:
            if not any(p.startswith(("xl/", "content.xml")) for p in parts):
                raise FileError(f"“{name}”是 Word 或 PPT 文件，不是表格。{_SUPPORTED}")
            binary = ".xlsb" if "xl/workbook.bin" in parts else ".xlsx"
            return _workbook(path, name, folder, ".ods" if "content.xml" in parts else binary)
        if nested:
            raise FileError(f"“{name}”是压缩包里的压缩包。请解压后再导入。")
        member = _table_member(archive, name)
        inner = folder / f"member{Path(member.filename).suffix.lower()[:8]}"
        with archive.open(member) as source, inner.open("wb") as target:
            while chunk := source.read(1 << 20):
                target.write(chunk)
                if target.tell() > workbooks.LARGEST_UNPACKED:
                    raise FileError(f"“{name}”解压后超过上限，可能是压缩炸弹，未读取。")
    if inner.stat().st_size == 0:
        raise FileError(f"“{name}”里的“{member.filename}”是空文件。")
    return _sheets(inner, f"{name}/{_member_name(member)}", folder, nested=True)


def _member_name(member: zipfile.ZipInfo) -> str:
    """A member's name; Chinese names of Windows archives are GBK that zipfile read as cp437."""
    if member.flag_bits & 0x800:
        return member.filename
    try:
        return member.filename.encode("cp437").decode("gb18030")
    except UnicodeError:
        return member.filename


def _table_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    members = [m for m in archive.infolist() if not m.is_dir() and "__MACOSX" not in m.filename]
    for member in members:
        if member.filename.lower().endswith(_TABLES):
            return member
    if any(m.filename.lower().endswith(".zip") for m in members):
        raise FileError(f"“{name}”里还是压缩包。请解压后再导入。")
    raise FileError(f"压缩包“{name}”里没有表格文件。{_SUPPORTED}")


# text files -------------------------------------------------------------------------------------


def _text(path: Path, name: str, head: bytes) -> tuple[Sheet, ...]:
    charset = find_charset(path)
    start = head.decode(charset, "ignore").lstrip("\ufeff \t\r\n")
    if start[:1] == "<":
        raise FileError(
            f"“{name}”其实是网页或 XML 表格，不是真正的 Excel 文件。请用 Excel 打开，另存为 "
            f".xlsx 后再导入。"
        )
    if start[:1] == "[" and start[1:].lstrip()[:1] in ("{", "]"):
        raise FileError(f"“{name}”是 JSON 数组。请改为每行一个 JSON 对象（.jsonl）。")
    if start[:1] == "{":
        return (Sheet("", lambda: _json_rows(path, name, charset), charset, first=0),)
    delimiter = _delimiter(path, charset)
    return (Sheet("", lambda: _csv_rows(path, name, charset, delimiter), charset),)


def _delimiter(path: Path, charset: str) -> str:
    with path.open(encoding=charset, newline="") as file:
        lines = [line[:_LONGEST_FIELD] for line in islice(file, 2 * _HEAD)]

    def merit(delimiter: str) -> tuple[float, int]:
        rows = list(islice(csv.reader(lines, delimiter=delimiter), _HEAD))
        return max(map(score_header, rows), default=0.0), sum(len(r) - 1 for r in rows)

    return max(_DELIMITERS, key=merit)


def _csv_rows(path: Path, name: str, charset: str, delimiter: str) -> Iterator[list[str]]:
    if csv.field_size_limit() < _LONGEST_FIELD:
        csv.field_size_limit(_LONGEST_FIELD)
    with path.open(encoding=charset, newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        line = 0
        try:
            for row in reader:
                if reader.line_num - line > _LONGEST_RECORD:
                    raise csv.Error("a record of too many lines")
                line = reader.line_num
                if len(row) > workbooks.MOST_COLUMNS:
                    raise FileError(
                        f"“{name}”第 {line} 行有 {len(row)} 列，超过 {workbooks.MOST_COLUMNS} "
                        f"列的上限。"
                    )
                yield row
        except csv.Error as error:
            raise FileError(
                f"“{name}”第 {line + 1} 行起的引号没有成对，无法分行。请检查该行的英文双引号。"
            ) from error


def _json_rows(path: Path, name: str, charset: str) -> Iterator[list[str]]:
    """The keys of all objects as the header, then one row an object, at its line's number."""
    keys: dict[str, int] = {}
    for found, _ in _json_objects(path, name, charset):
        for key in found:
            keys.setdefault(key, len(keys))
        if len(keys) > workbooks.MOST_COLUMNS:
            raise FileError(f"“{name}”的键超过 {workbooks.MOST_COLUMNS} 种，不像企业表。")
    yield list(keys)
    for found, flaw in _json_objects(path, name, charset):
        row = [""] * len(keys)
        for key, value in found.items():
            row[keys[key]] = _json_cell(value)
        if flaw:
            row = FlawedRow(row)
            row.flaw = flaw
        yield row


def _json_objects(path: Path, name: str, charset: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Every line's object ({} for a blank line), and what is wrong with it, "" for nothing."""
    wrong: list[str] = []

    def constant(word: str) -> NumberCell:  # Python reads NaN and Infinity, which no JSON has
        wrong.append(word)
        return NumberCell(word)

    with path.open(encoding=charset) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                yield {}, ""
                continue
            wrong.clear()
            try:
                found = json.loads(line, parse_int=NumberCell, parse_float=NumberCell,
                                   parse_constant=constant)  # fmt: skip
            except (ValueError, RecursionError) as error:
                raise FileError(f"“{name}”第 {number} 行不是完整的 JSON：{error}。") from error
            if not isinstance(found, dict):
                raise FileError(f"“{name}”第 {number} 行不是 JSON 对象（应形如 {{…}}）。")
            yield found, _FLAW.format(wrong[0]) if wrong else ""


def _json_cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return "；".join(value)
    return json.dumps(value, ensure_ascii=False)


def best_sheet(
    book: Book, score: Callable[[Sequence[str]], float] = score_header
) -> tuple[Sheet, int]:
    """The sheet whose first ten rows hold the best header, and that row's index."""
    scored = [(*_best_row(s.head(), score), not s.hidden, -i) for i, s in enumerate(book.sheets)]
    if not scored:
        raise FileError(f"“{book.name}”里没有工作表。请重新导出。")
    best = max(range(len(scored)), key=lambda i: (scored[i][0], *scored[i][2:]))
    return book.sheets[best], scored[best][1]


def _best_row(
    rows: Sequence[Sequence[str]], score: Callable[[Sequence[str]], float]
) -> tuple[float, int]:
    scores = [score(r) for r in rows] or [0.0]
    return max(scores), scores.index(max(scores))
