"""A store of the first released version, with data in every table, brought up to this one."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from tests.storage.world import frame, load, people
from zyz_match.storage.audit import Wanted
from zyz_match.storage.database import parse_url
from zyz_match.storage.migrations import FOLDER, HEAD
from zyz_match.storage.store import Store

LIST, MOMENT = "L20250101000000abcde", "2025-01-01T00:00:00.000+00:00"
FIRST: dict[str, dict[str, Any]] = {
    "stamp": {"name": "firms", "value": "3-abc"},
    "town": {
        "id": "t",
        "name": "合成镇",
        "profile": '{"id": "t", "name": "合成镇"}',
        "updated_at": MOMENT,
    },
    "batch": {
        "file_name": "旧.csv",
        "file_hash": "h",
        "rows": 1,
        "created": 1,
        "created_at": MOMENT,
    },
    "firm": {
        "firm_id": "甲厂",
        "name": "甲厂",
        "name_key": "甲厂",
        "standing": "unknown",
        "capital": 0.1 + 0.2,
        "row_hash": "r",
        "updated_at": MOMENT,
    },
    "firm_before": {"batch_id": 1, "firm_id": "甲厂", "action": "created", "before": None},
    "contact": {"firm_id": "甲厂", "kind": "phone", "value": "13800001234", "batch_id": 1},
    "existing": {"town_id": "t", "firm_id": "甲厂"},
    "event": {"key": "e", "firm_id": "甲厂", "date": "2024-05-06", "kind": "投资", "amount": 12.5},
    "shortlist": {
        "id": LIST,
        "town_id": "t",
        "asked_at": MOMENT,
        "filters": "{}",
        "pool": 1,
        "total": 1,
    },
    "shortlist_item": {"shortlist_id": LIST, "rank": 1, "firm_id": "甲厂", "score": 61.5},
}


def make(url: str, revision: str) -> None:
    """The tables of a revision with the rows of the first one, as an earlier program left them."""
    if url.startswith("sqlite"):
        Path(str(parse_url(url).database)).parent.mkdir(parents=True)
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    engine = sa.create_engine(parse_url(url))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, values in FIRST.items():
            known = sa.table(table, *(sa.column(c) for c in values))
            connection.execute(sa.insert(known).values(values))
        command.upgrade(config, revision)
    engine.dispose()


@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004", "0005"])
def test_a_store_of_an_earlier_version_keeps_all_that_it_holds(
    empty_database_url: str, revision: str
) -> None:
    make(empty_database_url, revision)
    with Store.open(empty_database_url) as store:
        assert store.upgraded_from == revision
        firm = store.firm("甲厂")
        assert firm is not None
        assert (firm.name, firm.capital) == ("甲厂", 0.1 + 0.2)
        assert [t.name for t in store.towns()] == ["合成镇"]
        assert store.contacts("甲厂") == [("phone", "13800001234")]
        assert store.existing("t") == {"甲厂"}
        assert store.events()["amount"].to_list() == [12.5]
        (batch,) = store.batches()
        assert (batch.batch_id, batch.file_name, batch.kind) == ("1", "旧.csv", "firms")
        receipt = store.receipt(LIST)
        assert receipt is not None
        assert (receipt.items[0].score, receipt.k, receipt.town) == (61.5, None, None)
        assert store.data_stamp() == "3-abc"
        assert [f.fault for f in store.check()] == [""] * len(store.check())
        (noted,) = store.audit.find(Wanted(), None, 9)
        assert (noted.action, noted.object) == ("db.upgrade", HEAD)
        assert noted.detail == {"from": revision}
    with Store.open(empty_database_url) as store:
        assert store.upgraded_from == HEAD
        assert store.audit.count() == 1


def test_an_upgraded_store_goes_on_as_any_other(empty_database_url: str, tmp_path: Path) -> None:
    make(empty_database_url, "0001")
    with Store.open(empty_database_url) as store:
        added = load(store, {"name": "乙厂"}).batch_id
        assert int(added) > 1
        assert store.undo("1").kept == 1  # an event and a town refer to its firm
        assert store.undo(added).removed == 1
        assert store.firm("乙厂") is None
        assert store.audit.verify().fault == ""
        store.back_up(tmp_path / "b", None)
    with Store.open(f"sqlite:///{tmp_path / 'x.db'}") as other:
        other.restore(tmp_path / "b", tmp_path)
        assert other.firm_count() == 1


def test_the_contacts_of_an_upgraded_store_can_be_erased(empty_database_url: str) -> None:
    make(empty_database_url, "0001")
    with Store.open(empty_database_url) as store:
        assert store.people.erase("甲厂") == 1
        contacts = people(("甲厂", "phone", "13800001234"))
        store.import_firms(frame({"name": "甲厂"}), contacts, file_name="y", file_hash="y")
        assert store.contacts("甲厂") == []
