"""Which charset a text file is in: BOM, then strict UTF-8, then GB18030; never a guess."""

import codecs
from pathlib import Path

from zyz_match.errors import FileError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK = 1 << 20
_TELLING = 12  # so many bytes beyond ASCII are not UTF-8 by accident


def find_charset(path: Path) -> str:
    """The Python name of a text file's charset.

    Raises FileError, naming the line, for a file that is neither or a mixture of the two.
    """
    with path.open("rb") as file:
        head = file.read(4)
    for bom, name in _BOMS:
        if head.startswith(bom):
            wrong = _first_wrong_line(path, name)
            if wrong:
                raise FileError(
                    f"“{path.name}”以 {name} 的标记开头，但第 {wrong} 行不是这种编码。请另存为 "
                    f"UTF-8。"
                )
            return name
    utf8 = _first_wrong_line(path, "utf-8")
    if not utf8:
        return "utf-8"
    gb = _first_wrong_line(path, "gb18030")
    mixed = gb or _first_utf8_line(path)
    if mixed:
        raise FileError(
            f"“{path.name}”的编码不一致：第 {utf8} 行不是 UTF-8，第 {mixed} 行不是 GB18030。"
            "请用记事本或 Excel 打开，整个另存为 UTF-8 后再导入。"
        )
    return "gb18030"


def _first_wrong_line(path: Path, charset: str) -> int:
    """Number of the first line that cannot be decoded, 0 when all can."""
    decoder = codecs.getincrementaldecoder(charset)("strict")
    line = 1
    with path.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            try:
                line += decoder.decode(chunk, final=not chunk).count("\n")
            except UnicodeDecodeError as error:
                good = error.object[: error.start].decode(charset, "ignore")
                return line + good.count("\n")
            if not chunk:
                return 0


def _first_utf8_line(path: Path) -> int:
    """Number of the first line that is plainly UTF-8 (the file as a whole is not), 0 if none."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.isascii() or sum(b > 127 for b in line[:400]) < _TELLING:
                continue
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                continue
            return number
    return 0
