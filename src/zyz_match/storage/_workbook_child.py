"""Run as a script in a process of its own: a workbook becomes one JSON-lines file a sheet.

A spreadsheet of a kilobyte can make a parser hang or take all memory, so the limits are set
before the parser is loaded. Usage: `_workbook_child.py BOOK FOLDER MEMORY CPU COLUMNS`. Text stays
text, numbers stay numbers, a date becomes a list of one ISO text; stdout gets the verdict.
"""

import datetime
import json
import sys
from pathlib import Path
from typing import Any


def _limit(memory: int, cpu: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; the parent's clock still holds
        return
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    resource.setrlimit(resource.RLIMIT_FSIZE, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _plain(value: Any) -> Any:
    """JSON for what JSON does not know: dates as a list of one text, anything else as text."""
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return [value.date().isoformat() if midnight else value.isoformat(" ", "seconds")]
    if isinstance(value, datetime.date):
        return [value.isoformat()]
    return str(value)


def _convert(book: Any, folder: Path, widest: int) -> list[dict[str, Any]]:
    sheets = []
    dump = json.JSONEncoder(default=_plain, check_circular=False).encode
    for number, meta in enumerate(book.sheets_metadata):
        if "WorkSheet" not in str(meta.typ):
            continue
        sheet = book.get_sheet_by_index(number)
        width = int(sheet.width or 0)
        if width > widest:
            sheets.append({"name": meta.name, "wide": width})
            continue
        out = folder / f"{number}.jsonl"
        with out.open("w", encoding="ascii") as file:
            for row in sheet.iter_rows():
                file.write(dump(row))
                file.write("\n")
        merged = len(getattr(sheet, "merged_cell_ranges", None) or ())
        hidden = "Visible" not in str(meta.visible)
        sheets.append({"name": meta.name, "file": out.name, "merged": merged, "hidden": hidden})
        del sheet
    return sheets


def main(argv: list[str]) -> int:
    """Convert a workbook; 0 when the verdict is a list of sheets, 1 when it is an error."""
    _limit(int(argv[2]), int(argv[3]))
    import python_calamine

    try:
        book = python_calamine.load_workbook(argv[0])
        verdict: dict[str, Any] = {"sheets": _convert(book, Path(argv[1]), int(argv[4]))}
    except python_calamine.PasswordError:
        verdict = {"error": "password"}
    except MemoryError:
        verdict = {"error": "memory"}
    except Exception as error:
        verdict = {"error": "broken", "detail": f"{type(error).__name__}: {error}"[:200]}
    sys.stdout.write(json.dumps(verdict))
    return 0 if "sheets" in verdict else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
