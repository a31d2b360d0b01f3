"""The one look at what lists are made from: new after every change, of any process, on both."""

from collections.abc import Callable
from datetime import date
from threading import Thread

import pytest
import sqlalchemy as sa
from psycopg import sql

from tests import postgres
from tests.storage.world import load
from zyz_match.domain import LeadEntry, Product, Stage, Town
from zyz_match.errors import StorageError
from zyz_match.storage.store import Store, Versions

TOWN = Town("t", "合成镇", products=(Product("铸件"),))
FIRM = {"name": "合成甲公司"}


def promote(store: Store, version: str) -> None:
    store.serving.promote(version, by="", note="", check=lambda: None)


def contact(store: Store) -> None:
    entry = LeadEntry(0, "t", FIRM["name"], date(2025, 6, 30), Stage.CONTACTED, via="cli")
    store.record_lead(entry)


CHANGES: dict[str, Callable[[Store], object]] = {
    "firms": lambda store: load(store, {"name": "合成乙公司"}),
    "towns": lambda store: store.put_town(Town("u", "合成别镇")),
    "leads": contact,
    "model": lambda store: promote(store, "v1"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_by_another_process_is_seen_at_the_next_look(
    store: Store, database_url: str, what: str
) -> None:
    store.put_town(TOWN)
    load(store, FIRM)
    before = store.versions()
    assert store.versions() == before
    with Store.open(database_url) as other:
        CHANGES[what](other)
    after = store.versions()
    changed = {n for n in Versions._fields if getattr(after, n) != getattr(before, n)}
    assert changed == ({"model", "since"} if what == "model" else {what})


def test_firms_of_a_town_and_an_undone_import_are_new_data(store: Store) -> None:
    load(store, {"name": "合成乙公司"})
    batch = load(store, FIRM)
    seen = [store.versions().firms]
    store.add_existing([("t", "合成乙公司")])
    seen.append(store.versions().firms)
    store.undo(batch.batch_id)
    seen.append(store.versions().firms)
    assert len(set(seen)) == 3
    assert store.data_stamp() == seen[-1]


def test_a_model_that_serves_a_second_time_is_told_from_the_first_time(store: Store) -> None:
    promote(store, "v1")
    first = store.versions()
    promote(store, "v2")
    store.serving.rollback(by="")
    again = store.versions()
    assert (first.model, again.model) == ("v1", "v1")
    assert first != again


def test_many_threads_look_through_one_connection(store: Store) -> None:
    found: list[Versions] = []
    threads = [
        Thread(target=lambda: found.extend(store.versions() for _ in range(50))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [store.versions()] * 400


def test_a_server_that_was_restarted_is_asked_again(postgres_server: postgres.Server) -> None:
    name = postgres_server.migrated()
    with Store.open(postgres_server.address(name)) as store:
        before = store.versions()
        postgres_server.admin(
            sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}")
            .format(sql.Literal(name))
        )  # fmt: skip
        assert store.versions() == before
    postgres_server.drop(name)


def test_a_look_that_fails_is_said_as_every_fault_and_the_next_one_may_do(store: Store) -> None:
    with store._database.write() as connection:
        connection.execute(sa.text("ALTER TABLE serving RENAME TO elsewhere"))
    with pytest.raises(StorageError, match="数据库"):
        store.versions()
    with store._database.write() as connection:
        connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO serving"))
    assert store.versions() == Versions("0", "0", "0", "", "")
