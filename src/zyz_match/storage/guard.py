"""No change without its audit row: watches every statement of a writing transaction.

A transaction that changed a row of a table not excused below, and wrote no audit row, is refused
and rolled back. Statements that go to the driver directly are told by hand (`told`); the suite
allows that in a few named modules only.
"""

import re
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from zyz_match.errors import StorageError
from zyz_match.storage.tables import metadata

AUDIT = "audit"
# rows that only follow others, or that keep a queue, a lease or an answer
EXCUSED = frozenset({
    "stamp", "data_change", "batch_row", "firm_before", "shortlist_item", "change",
    "job", "delivery", "delivery_try", "idempotency", "inbound",
})  # fmt: skip
# columns in which an UPDATE keeps books and says nothing new
EXCUSED_COLUMNS: dict[str, frozenset[str]] = {
    "account": frozenset({"failed", "locked_until"}),
    "api_key": frozenset({"used_at"}),
    "event": frozenset({"by_hand"}),
    "lead": frozenset({"by_hand"}),
    "webhook": frozenset({"seen", "failing_since"}),
}
# tables whose rows may be taken away without a word: what has run out
EXCUSED_REMOVALS = frozenset({"session"})

_GUARDED = frozenset(metadata.tables) - EXCUSED
_STATEMENT = re.compile(
    r"\b(INSERT\s+(?:OR\s+\w+\s+)?INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE(?:\s+TABLE)?"
    r'|COPY|MERGE\s+INTO)\s+(?:ONLY\s+)?"?(\w+)"?',
    re.IGNORECASE,
)
_SAVEPOINT = re.compile(r'(?P<back>ROLLBACK TO )?SAVEPOINT "?(?P<name>\w+)"?', re.IGNORECASE)
_SET = re.compile(r"\bSET\b(.*?)(?:\bWHERE\b|\bFROM\b|\bRETURNING\b|$)", re.IGNORECASE | re.DOTALL)
_COLUMN = re.compile(r'"?(\w+)"?\s*=')
_RETURNING = re.compile(r"\bRETURNING\b", re.IGNORECASE)
_KEY = "zyz_watch"


@dataclass(slots=True)
class Watch:
    """What a transaction did so far."""

    changed: frozenset[str] = frozenset()
    audited: bool = False
    marks: dict[str, tuple[frozenset[str], bool]] = field(default_factory=dict)

    def see(self, statement: str, count: int) -> None:
        """Take in one statement and how many rows it touched."""
        if savepoint := _SAVEPOINT.match(statement):
            self._savepoint(savepoint["name"], back=bool(savepoint["back"]))
        for word, table in _STATEMENT.findall(statement):
            name, verb = table.lower(), word.split()[0].upper()
            if name not in _GUARDED or not (count or _RETURNING.search(statement)):
                continue
            if name == AUDIT:
                self._audit(verb)
            elif not _excused(verb, name, statement):
                self.changed |= {name}

    def _audit(self, verb: str) -> None:
        if verb not in ("INSERT", "COPY"):
            raise StorageError("审计记录只能追加，不能改动或删除，本次改动没有写入。")
        self.audited = True

    def _savepoint(self, name: str, *, back: bool) -> None:
        if back:
            self.changed, self.audited = self.marks[name]
        else:
            self.marks[name] = (self.changed, self.audited)

    def check(self) -> None:
        """StorageError when something changed and no audit row says so."""
        if self.changed and not self.audited:
            raise StorageError(
                f"改动了 {'、'.join(sorted(self.changed))} 却没有留下审计记录，已全部撤回。"
                "这是程序的缺陷，请把此信息交给管理员。"
            )


def _excused(verb: str, table: str, statement: str) -> bool:
    if verb == "DELETE":
        return table in EXCUSED_REMOVALS
    found = _SET.search(statement) if verb == "UPDATE" else None
    if found is None:
        return False
    return set(_COLUMN.findall(found[1])) <= EXCUSED_COLUMNS.get(table, frozenset())


@contextmanager
def watched(connection: Connection) -> Iterator[None]:
    """Watch a transaction; StorageError at its end unless every change has an audit row."""
    info: MutableMapping[Any, Any] = connection.info
    watch = info[_KEY] = Watch()
    try:
        yield
        watch.check()
    finally:
        info.pop(_KEY, None)


def told(connection: Connection, statement: str, count: int) -> None:
    """Take in a statement that was given to the driver directly."""
    watch: Watch | None = connection.info.get(_KEY)
    if watch is not None:
        watch.see(statement, count)


def install(engine: Engine) -> None:
    """See every statement of an engine."""

    @sa.event.listens_for(engine, "after_cursor_execute")
    def _seen(
        connection: Connection, cursor: Any, statement: str, _values: Any, _context: Any, _many: Any
    ) -> None:
        told(connection, statement, cursor.rowcount)
