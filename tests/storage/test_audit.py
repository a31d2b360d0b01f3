import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from functools import partial
from typing import TypeVar

import pandas as pd
import pytest
import sqlalchemy as sa

from tests.storage.world import frame, load, people
from zyz_match.acting import Actor, Role, acting
from zyz_match.domain import Filters, LeadEntry, Match, Shortlist, Stage, Town
from zyz_match.errors import StorageError
from zyz_match.storage import audit, guard
from zyz_match.storage.audit import Anchor, Noted, Wanted
from zyz_match.storage.database import Database, parse_url
from zyz_match.storage.jobs import JobState, Outcome
from zyz_match.storage.serving import Change
from zyz_match.storage.store import Store
from zyz_match.storage.tables import audit as table
from zyz_match.storage.tables import metadata, town

_T = TypeVar("_T")
SPAWN = multiprocessing.get_context("spawn")
EVE = Actor("eve", Role.TOWN, "api", frozenset({"t"}), "r-1")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database.open(database_url)
    yield found
    found.close()


def noted(store: Store) -> list[Noted]:
    """Every row, oldest first."""
    return store.audit.find(Wanted(), None, 10_000)[::-1]


def tamper(url: str, *statements: str) -> None:
    """Go around the program, as somebody with the password of the database can."""
    engine = sa.create_engine(parse_url(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


# who did what ------------------------------------------------------------------------------


def shortlist(store: Store) -> Shortlist:
    firm = store.firm("甲厂")
    assert firm is not None
    match = Match(1, firm, 50.0, 50.0, 0.0, 0.5, "", "")
    return Shortlist(Town("t", "合成镇"), (match,), 1, 1, Filters(), "m", "d")


def put_town(store: Store) -> str:
    store.put_town(Town("t", "合成镇"))
    return "town.put"


def remove_town(store: Store) -> str:
    store.put_town(Town("t", "合成镇"))
    store.remove_town("t")
    return "town.remove"


def import_firms(store: Store) -> str:
    load(store, {"name": "乙厂"})
    return "import.firms"


def undo(store: Store) -> str:
    store.undo(load(store, {"name": "乙厂"}).batch_id)
    return "import.undo"


def add_existing(store: Store) -> str:
    store.add_existing([("t", "甲厂")])
    return "existing.add"


def add_events(store: Store) -> str:
    values = {"firm_id": ["甲厂"], "date": ["2024-01-01"]}
    empty = {c: [""] for c in ("region", "industry", "target", "kind")}
    store.add_events(pd.DataFrame(values | empty))
    return "event.add"


def record_lead(store: Store) -> str:
    store.put_town(Town("t", "合成镇"))
    store.record_lead(LeadEntry(0, "t", "甲厂", date(2024, 1, 1), Stage.CONTACTED, via="cli"))
    return "lead.record"


def see_list(store: Store) -> str:
    store.keep_shortlist(shortlist(store))
    return "list.see"


def promote(store: Store) -> str:
    store.serving.promote("v1", by="我", note="", check=lambda: None)
    return "model.promote"


def roll_back(store: Store) -> str:
    promote(store)
    store.serving.rollback(by="我")
    return "model.rollback"


def reject(store: Store) -> str:
    job, _ = store.jobs.enqueue("retrain", {})
    store.jobs.claim("retrain", "a", 10)
    store.jobs.finish(job.id, "a", Outcome(JobState.DONE, change=Change("reject", "", "我")))
    return "model.reject"


def ask_retraining(store: Store) -> str:
    store.jobs.enqueue("retrain", {})
    return "retrain.ask"


def cancel(store: Store) -> str:
    store.jobs.cancel(store.jobs.enqueue("retrain", {})[0].id)
    return "job.cancel"


WRITES = [
    put_town, remove_town, import_firms, undo, add_existing, add_events, record_lead, see_list,
    promote, roll_back, reject, ask_retraining, cancel,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITES)
def test_every_change_says_who_made_it(store: Store, write: Callable[[Store], str]) -> None:
    load(store, {"name": "甲厂"})
    with acting(EVE):
        action = write(store)
    last = noted(store)[-1]
    assert last.action == action
    assert (last.actor, last.role, last.via, last.request_id) == ("eve", "town", "api", "r-1")
    assert store.audit.verify().fault == ""


def test_what_changes_nothing_leaves_no_row(store: Store) -> None:
    load(store, {"name": "甲厂"}, file="a")
    put_town(store)
    before = len(noted(store))
    put_town(store)
    assert load(store, {"name": "甲厂"}, file="a").repeated
    assert not store.remove_town("x")
    assert len(noted(store)) == before


def test_no_contact_gets_into_the_audit(store: Store) -> None:
    contacts = people(("甲厂", "phone", "13800001234"), ("甲厂", "person", "合成张三"))
    store.import_firms(frame({"name": "甲厂"}), contacts, file_name="a.csv", file_hash="a")
    assert "13800001234" not in str(noted(store))
    assert "张三" not in str(noted(store))


# no change without its row -----------------------------------------------------------------


def test_a_change_that_leaves_no_row_is_rolled_back(database: Database) -> None:
    values = {"id": "t", "profile": "{}", "updated_at": ""}
    with (
        pytest.raises(StorageError, match=r"改动了 town 却没有留下审计记录"),
        database.write() as connection,
    ):
        connection.execute(sa.insert(town).values(values))
    with database.read() as connection:
        assert connection.execute(sa.select(town)).all() == []


def test_rows_that_went_to_the_driver_directly_are_seen_too(database: Database) -> None:
    from zyz_match.storage import bulk

    values = {c.name: "" for c in town.columns} | {"id": "t"}
    with pytest.raises(StorageError, match="town"), database.write_rows() as connection:
        bulk.insert(connection, town, [values])
    with database.read() as connection:
        assert connection.execute(sa.select(town)).all() == []


def test_the_driver_is_used_directly_only_where_the_guard_is_told() -> None:
    from zyz_match.storage.migrations import FOLDER

    known = {"bulk.py", "firms.py", "database.py", "backup.py"}
    found = {
        p.name for p in FOLDER.parent.glob("*.py") if "driver_connection" in p.read_text("utf-8")
    }
    assert found <= known


def test_what_a_savepoint_took_back_needs_no_row(database: Database) -> None:
    values = {"id": "t", "profile": "{}", "updated_at": ""}
    with database.write() as connection:
        inner = connection.begin_nested()
        connection.execute(sa.insert(town).values(values))
        inner.rollback()
    with (
        pytest.raises(StorageError, match="审计"),
        database.write() as connection,
        connection.begin_nested(),
    ):
        connection.execute(sa.insert(town).values(values))


@pytest.mark.parametrize(
    "statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", 'delete from "audit"']
)
def test_the_audit_is_only_added_to(store: Store, database_url: str, statement: str) -> None:
    put_town(store)
    database = Database.open(database_url)
    with pytest.raises(StorageError, match="只能追加"), database.write() as connection:
        connection.exec_driver_sql(statement)
    database.close()
    assert len(noted(store)) == 1


def test_a_change_whose_row_cannot_be_written_is_refused(store: Store, database_url: str) -> None:
    load(store, {"name": "甲厂"})
    before = (store.data_stamp(), store.firm_count())
    tamper(database_url, "ALTER TABLE audit RENAME TO elsewhere")
    for write in (put_town, import_firms, see_list, promote, ask_retraining):
        with pytest.raises(StorageError):
            write(store)
    assert store.towns() == []
    assert store.jobs.recent() == []
    assert store.serving.current().since is None
    assert (store.data_stamp(), store.firm_count()) == before


def test_every_table_is_guarded_or_excused_by_name() -> None:
    assert set(metadata.tables) >= guard.EXCUSED
    for name, columns in guard.EXCUSED_COLUMNS.items():
        assert columns <= set(metadata.tables[name].columns.keys())


@pytest.mark.parametrize(
    ("statement", "seen"),
    [
        ("INSERT INTO town (id) VALUES (?) ON CONFLICT DO NOTHING", True),
        ("insert or replace into Town (id) values (?)", True),
        ("WITH x AS (SELECT 1) UPDATE town SET name = ?", True),
        ("DELETE FROM session WHERE expires_at < ?", False),
        ("UPDATE api_key SET used_at=? WHERE api_key.id = ?", False),
        ("UPDATE api_key SET used_at=?, role=? WHERE api_key.id = ?", True),
        ("UPDATE api_key SET revoked_at=? WHERE used_at = ?", True),
        ("SELECT id FROM job FOR UPDATE SKIP LOCKED", False),
        ("UPDATE job SET state=? WHERE id = ?", False),
        ('COPY "contact" ("firm_id") FROM STDIN', True),
        ("TRUNCATE firm", True),
    ],
)
def test_a_statement_is_read_for_what_it_changes(statement: str, seen: bool) -> None:
    watch = guard.Watch()
    watch.see(statement, 1)
    assert bool(watch.changed) is seen
    untouched = guard.Watch()
    untouched.see(statement, 0)
    assert not untouched.changed


# the chain ---------------------------------------------------------------------------------


def a_few(store: Store) -> Anchor:
    """Six rows."""
    for n in range(6):
        store.put_town(Town(f"t{n}", f"合成镇{n}"))
    return store.audit.verify().last


def test_an_untouched_chain_is_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.audit.verify() == audit.Verdict(0, Anchor(), "")
    anchor = a_few(store)
    assert anchor.id == 6
    monkeypatch.setattr(audit, "BATCH", 4)
    assert store.audit.verify(anchor) == audit.Verdict(6, anchor, "")
    assert store.audit.verify(Anchor(3, noted_hash(store, 3))).fault == ""


def noted_hash(store: Store, number: int) -> str:
    with store._database.read() as connection:
        query = sa.select(table.c.hash).where(table.c.id == number)
        return str(connection.execute(query).scalar_one())


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        *((f"UPDATE audit SET {c} = 'x' WHERE id = 3", "第 3 条") for c in audit.SAID),
        ("UPDATE audit SET hash = 'x' WHERE id = 3", "第 3 条"),
        ("DELETE FROM audit WHERE id = 3", "应为第 3 条处是第 4 条"),
        ("DELETE FROM audit WHERE id = 1", "应为第 1 条处是第 2 条"),
        (
            "INSERT INTO audit (id, at, action, detail, hash)"
            " SELECT 0, at, action, detail, hash FROM audit WHERE id = 1",
            "应为第 1 条处是第 0 条",
        ),
        (
            "INSERT INTO audit (id, at, action, detail, hash)"
            " SELECT 7, at, action, detail, hash FROM audit WHERE id = 6",
            "第 7 条",
        ),
    ],
)
def test_a_row_changed_removed_or_put_in_is_found(
    store: Store, database_url: str, statement: str, fault: str
) -> None:
    a_few(store)
    tamper(database_url, statement)
    assert fault in store.audit.verify().fault


# columns that are made what is no text of ours, on either database or on SQLite alone
BROKEN = ("'{oops'", "'[1]'", "'NaN'", "'{\"a\": 1e400}'", '\'{"a": "\\ud800"}\'', "5", "''")
BROKEN_FILES = ("x'ff00'", "CAST(x'ff' AS TEXT)", "CAST(detail AS BLOB)", "CAST(x'eda080' AS TEXT)")
NULLABLE = (
    "PRAGMA writable_schema = ON",
    "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE name = 'audit'",
    "PRAGMA writable_schema = RESET",
)


def damage(url: str, value: str, *columns: str) -> None:
    """Put something into columns of the fourth row."""
    free: tuple[str, ...] = ()
    if value == "NULL" and url.startswith("sqlite"):
        free = NULLABLE
    elif value == "NULL":
        free = tuple(f"ALTER TABLE audit ALTER {c} DROP NOT NULL" for c in columns)
    tamper(url, *free, *(f"UPDATE audit SET {c} = {value} WHERE id = 4" for c in columns))


@pytest.mark.parametrize("value", [*BROKEN, *BROKEN_FILES, "NULL", "'" + "[" * 9_000 + "'"])
def test_a_row_with_a_broken_detail_is_found_and_shown_as_damaged(
    store: Store, database_url: str, value: str
) -> None:
    if value in BROKEN_FILES and not database_url.startswith("sqlite"):
        pytest.skip("PostgreSQL keeps nothing but text there")
    a_few(store)
    before = noted(store)
    damage(database_url, value, "detail")
    assert "第 4 条" in store.audit.verify().fault
    after = noted(store)
    assert after[3] == replace(before[3], detail={"damaged": True})
    assert after[:3] + after[4:] == before[:3] + before[4:]
    assert "审计链" in {f.what for f in store.check() if f.fault}


@pytest.mark.parametrize("value", ["x'ff00'", "CAST(x'ff' AS TEXT)", "5", "NULL"])
@pytest.mark.parametrize("column", [*audit.SAID, "hash"])
def test_a_row_with_anything_in_any_column_is_found_and_listed(
    store: Store, database_url: str, column: str, value: str
) -> None:
    if not database_url.startswith("sqlite") and value not in ("5", "NULL"):
        pytest.skip("PostgreSQL keeps nothing but text there")
    a_few(store)
    damage(database_url, value, column)
    assert "第 4 条" in store.audit.verify().fault
    rows = noted(store)
    assert [r.id for r in rows] == [1, 2, 3, 4, 5, 6]
    readable = column == "hash" or (value == "5" and column not in ("at", "detail"))
    assert ("damaged" in rows[3].detail) is not readable
    assert (rows[3].at == "") is (column == "at")


def test_the_chain_goes_on_after_a_damaged_last_row(store: Store, database_url: str) -> None:
    a_few(store)
    broken = "x'ff00'" if database_url.startswith("sqlite") else "'x'"
    tamper(database_url, f"UPDATE audit SET hash = {broken} WHERE id = 6")
    put_town(store)
    assert len(noted(store)) == 7
    assert "第 6 条" in store.audit.verify().fault


def test_two_rows_that_changed_places_are_found(store: Store, database_url: str) -> None:
    a_few(store)
    tamper(
        database_url,
        "UPDATE audit SET id = 100 WHERE id = 2",
        "UPDATE audit SET id = 2 WHERE id = 3",
        "UPDATE audit SET id = 3 WHERE id = 100",
    )
    assert "第 2 条" in store.audit.verify().fault


def test_a_cut_tail_is_found_by_an_anchor(store: Store, database_url: str) -> None:
    anchor = a_few(store)
    tamper(database_url, "DELETE FROM audit WHERE id > 4")
    assert store.audit.verify().fault == ""
    assert "末尾缺少 2 条" in store.audit.verify(anchor).fault
    a_few(store)  # nothing new: the towns are there
    put_town(store)
    store.remove_town("t")
    assert "重写" in store.audit.verify(anchor).fault


def test_a_chain_reckoned_anew_from_the_middle_is_found_by_an_anchor(
    store: Store, database_url: str
) -> None:
    anchor = a_few(store)
    rows = noted(store)
    before = noted_hash(store, 2)
    statements = []
    for row in rows[2:]:
        forged = replace(row, actor="x")
        said = {n: getattr(forged, n) for n in audit.SAID if n != "detail"}
        said["detail"] = '{"change": "created"}'
        before = audit.hash_of(before, row.id, said)
        statements.append(f"UPDATE audit SET actor = 'x', hash = '{before}' WHERE id = {row.id}")
    tamper(database_url, *statements)
    assert store.audit.verify().fault == ""
    assert "重写" in store.audit.verify(anchor).fault


def _in_turn(write: Callable[[], _T]) -> _T:
    """Do it, again when the turn does not come in time: eight writers on a slow disk."""
    while True:
        try:
            return write()
        except StorageError as error:
            if "另一个任务" not in error.message:
                raise


def _write_many(url: str, number: int, start: float) -> None:
    time.sleep(max(0.0, start - time.time()))
    with Store.open(url) as store, acting(replace(EVE, name=f"w{number}")):
        for n in range(12):
            _in_turn(partial(store.put_town, Town(f"t{number}-{n}", f"合成镇{number}-{n}")))
            job, _ = _in_turn(partial(store.jobs.enqueue, f"k{number}", {}))
            _in_turn(partial(store.jobs.cancel, job.id))


@pytest.mark.slow
def test_eight_processes_keep_one_chain(store: Store, database_url: str) -> None:
    start = time.time() + 5
    workers = [SPAWN.Process(target=_write_many, args=(database_url, n, start)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [w.exitcode for w in workers] == [0] * 8
    verdict = store.audit.verify()
    assert verdict.fault == ""
    assert verdict.rows == 8 * 12 * 3
    assert {r.actor for r in noted(store)} == {f"w{n}" for n in range(8)}


# looked at ---------------------------------------------------------------------------------


def test_rows_are_found_by_what_is_wanted_newest_first_page_by_page(store: Store) -> None:
    a_few(store)
    with acting(EVE):
        store.remove_town("t1")
    assert [r.object for r in store.audit.find(Wanted(action="town.remove"), None, 9)] == ["t1"]
    assert [r.action for r in store.audit.find(Wanted(actor="eve"), None, 9)] == ["town.remove"]
    assert [r.id for r in store.audit.find(Wanted(object="t1"), None, 9)] == [7, 2]
    assert [r.id for r in store.audit.find(Wanted(), 5, 3)] == [4, 3, 2]
    moment = noted(store)[6].at
    assert store.audit.find(Wanted(since=moment), None, 9)[0].id == 7
    assert store.audit.find(Wanted(since="2999-01-01"), None, 9) == []
