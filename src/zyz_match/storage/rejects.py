"""Rejected rows: shown with their reasons, written as CSV, mended, and sent again."""

import re
from pathlib import Path

import pandas as pd

from zyz_match.outputs import write_bytes
from zyz_match.storage.cells import Notes, plain
from zyz_match.storage.columns import REASON, ROW_NUMBER, header_key
from zyz_match.storage.raw import RawTable, read_rows
from zyz_match.storage.sheets import Sheet

_RISKY = re.compile("^'*[=+\\-@\t\r＝＋－＠]")
_ESCAPED = re.compile("^'+[=+\\-@\t\r＝＋－＠]")
_OURS = frozenset({ROW_NUMBER, REASON})


def escape(text: str) -> str:
    """A cell that no spreadsheet takes for a formula; `unescape` gives the text back."""
    return f"'{text}" if _RISKY.match(text) else text


def unescape(text: str) -> str:
    """What `escape` was given."""
    return text[1:] if _ESCAPED.match(text) else text


def table(sheet: Sheet, raw: RawTable, notes: Notes) -> pd.DataFrame:
    """行号, 原因, then the rejected rows whole, as they stand in the file."""
    rows = sorted(notes.reasons)
    found = read_rows(sheet, {raw.numbers[r] for r in rows}, len(raw.headers))
    cells = [plain(found[raw.numbers[r]]) for r in rows]
    columns = {
        ROW_NUMBER: pd.Series([raw.numbers[r] for r in rows], dtype="int64"),
        # objects: a refused cell may hold what Arrow does not take, such as half a surrogate pair
        REASON: pd.Series(["；".join(dict.fromkeys(notes.reasons[r])) for r in rows], dtype=object),
    }
    for at, header in enumerate(raw.headers):
        if header_key(header) not in _OURS:
            texts = [unescape(c[at]) if raw.escaped else c[at] for c in cells]
            columns[header] = pd.Series(texts, dtype=object)
    return pd.DataFrame(columns)


def write_rejects(rejects: pd.DataFrame, path: Path) -> None:
    """Write rejected rows as CSV (UTF-8 with BOM) that opens in Excel and can be sent again.

    Text that a spreadsheet would take for a formula gets a leading apostrophe. The rows hold
    contacts: only the owner reads the file. Raises StorageError when it cannot be written; an older
    file is then left as it was.
    """
    safe = rejects.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = [escape(_encodable(str(v))) for v in safe[name]]
    safe.columns = pd.Index([escape(_encodable(str(c))) for c in safe.columns])
    text = safe.to_csv(index=False, lineterminator="\r\n")
    write_bytes(path, b"\xef\xbb\xbf" + text.encode("utf-8"), mode=0o600)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "�")
