"""Which firms changed since a state of the store: known one by one, or said not to be."""

import pandas as pd

from tests.storage.world import frame, load
from zyz_match.domain import NUMBER_COLUMNS, Col
from zyz_match.storage.store import Store

EVENTS = pd.DataFrame(
    [["A", "2025-01-01", "山西省", "3391", "某厂"]],
    columns=["firm_id", "date", "region", "industry", "target"],
)


def changed(store: Store, stamp: str, most: int = 99) -> list[str] | None:
    found = store.changes_since(stamp, most)
    if found is None:
        return None
    assert found.stamp == store.data_stamp()
    return list(found.firms[Col.FIRM_ID])


def test_the_firms_of_later_imports_are_told_once_and_as_they_are(store: Store) -> None:
    load(store, {"name": "甲"}, {"name": "乙", "capital": 5.0}, {"name": "丁"}, file="1")
    stamp = store.data_stamp()
    assert changed(store, stamp) == []
    load(store, {"name": "乙", "capital": 6.0}, {"name": "丁"}, {"name": "丙"}, file="2")
    load(store, {"name": "乙", "capital": 7.0}, file="3")
    assert changed(store, stamp) == ["丙", "乙"]
    found = store.changes_since(stamp, 2)
    assert found is not None
    ours = store.firm_table().iloc[[1, 2]].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.firms, ours)
    assert found.firms["capital"].tolist()[1] == 7.0
    assert changed(store, stamp, most=1) is None
    assert changed(store, store.data_stamp(), most=0) == []


def test_an_import_without_news_is_no_change(store: Store) -> None:
    load(store, {"name": "甲"}, file="1")
    stamp = store.data_stamp()
    load(store, {"name": "甲"}, file="2")
    assert store.data_stamp() == stamp
    assert changed(store, stamp) == []


def test_events_and_firms_of_towns_change_no_firm(store: Store) -> None:
    load(store, {"name": "甲"})
    stamp = store.data_stamp()
    store.add_events(EVENTS)
    store.add_existing([("镇", "甲")])
    assert store.data_stamp() != stamp
    found = store.changes_since(stamp, 0)
    assert found is not None
    assert (len(found.firms), found.events["firm_id"].tolist()) == (0, ["A"])


def test_after_an_undo_the_firms_that_are_left_are_told(store: Store) -> None:
    load(store, {"name": "戊", "capital": 1.0}, file="0")
    first = load(store, {"name": "甲"}, {"name": "戊", "capital": 2.0}, file="1").batch_id
    before = store.data_stamp()
    load(store, {"name": "乙"}, file="2")
    between = store.data_stamp()
    store.undo(first)
    after = store.data_stamp()
    load(store, {"name": "丙"}, file="3")
    assert changed(store, before) == sorted(["丙", "乙", "戊"])
    assert changed(store, between) == sorted(["丙", "戊"])
    assert changed(store, after) == ["丙"]
    found, later = store.changes_since(before, 99), store.changes_since(after, 99)
    assert found is not None
    assert found.ids == tuple(sorted(["丙", "乙", "戊"]))
    assert found.firms["capital"].tolist()[sorted(["丙", "乙", "戊"]).index("戊")] == 1.0
    assert later is not None
    assert later.ids is None
    assert changed(store, before, most=2) is None


def test_the_state_of_another_store_is_not_known(store: Store) -> None:
    load(store, {"name": "甲"})
    for stamp in ("", "0", f"{store.data_stamp()}~1", "1-0123456789"):
        assert changed(store, stamp) is None


def test_everything_is_of_one_state(store: Store) -> None:
    load(store, *({"name": f"{i}", "employees": float(i)} for i in range(6000)), file="1")
    store.add_events(EVENTS)
    seen: list[tuple[int, int]] = []
    found = store.contents(lambda done, total: seen.append((done, total)))
    assert found.stamp == store.data_stamp()
    assert seen == [(5000, 6000), (6000, 6000)]
    assert found.firms[Col.FIRM_ID].tolist() == sorted(str(i) for i in range(6000))
    assert len(found.events) == 1
    assert store.firm_table(limit=3)[Col.FIRM_ID].tolist() == ["0", "1", "10"]


def test_the_table_of_an_empty_store_has_every_column(store: Store) -> None:
    table = store.firm_table()
    assert list(table.columns) == [c.value for c in Col]
    assert table.empty
    assert all(table[c].dtype == "float64" for c in NUMBER_COLUMNS)
    assert frame({"name": "甲"}).columns.equals(table.columns)
