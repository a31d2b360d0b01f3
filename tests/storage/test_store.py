from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from tests.storage.world import USCC_A, load
from zyz_match.acting import Actor, Role, acting
from zyz_match.domain import (
    NUMBER_COLUMNS,
    TEXT_COLUMNS,
    ChainSegment,
    Col,
    Filters,
    Firm,
    Match,
    Product,
    Receipt,
    ReceiptItem,
    Shortlist,
    Standing,
    Town,
)
from zyz_match.errors import InputError, ProfileError
from zyz_match.storage.audit import Wanted
from zyz_match.storage.shortlists import Asked, hash_of
from zyz_match.storage.store import Store

TOWN = Town(
    "zezhou", "泽州铸造专业镇", city="晋城市", products=(Product("铸件", 2.5), Product("井盖")),
    chain=(ChainSegment("铸造", "core", "weak", ("砂型",)),), preferences={"远": [1, None, "x"]},
)  # fmt: skip


# towns -------------------------------------------------------------------------------------


def test_a_town_comes_back_as_it_was_put(store: Store) -> None:
    assert store.put_town(TOWN) == "created"
    assert store.put_town(TOWN) == "unchanged"
    assert store.town("zezhou") == TOWN
    changed = replace(TOWN, sector="制造")
    assert store.put_town(changed) == "updated"
    assert store.towns() == [changed]


def test_towns_are_listed_by_id_and_removed(store: Store) -> None:
    for town_id in ("b", "B", "乙", "a"):
        store.put_town(replace(TOWN, id=town_id, name=f"合成镇{town_id}"))
    assert [t.id for t in store.towns()] == ["B", "a", "b", "乙"]
    assert (store.remove_town("a"), store.remove_town("a")) == (True, False)
    assert store.town("a") is None


def test_a_town_that_could_not_be_read_back_is_refused(store: Store) -> None:
    for wrong in (
        replace(TOWN, name="a\x00"),
        replace(TOWN, products=(Product("x", float("nan")),)),
        replace(TOWN, preferences={"x": float("inf")}),
        replace(TOWN, chain=(ChainSegment("x", "middle"),)),  # type: ignore[arg-type]
    ):
        with pytest.raises(ProfileError):
            store.put_town(wrong)
    assert store.towns() == []


def test_the_town_stamp_changes_exactly_with_the_towns(store: Store) -> None:
    stamps = [store.town_stamp()]
    store.put_town(TOWN)
    stamps.append(store.town_stamp())
    store.put_town(replace(TOWN, sector="x"))
    stamps.append(store.town_stamp())
    store.remove_town("zezhou")
    stamps.append(store.town_stamp())
    assert len(set(stamps)) == 4
    store.remove_town("zezhou")
    load(store, {"name": "甲"})
    assert store.town_stamp() == stamps[-1]


# firms -------------------------------------------------------------------------------------

FULL = {
    "firm_id": "F1", "name": "阳城陶瓷有限公司", "uscc": USCC_A, "stock_code": "600001",
    "standing": "active", "founded": "2015-06-30", "capital": 1234.5, "employees": 12.0,
    "former_names": "老陶瓷厂；阳城瓷厂", "marks": "高新技术企业", "province": "山西省",
}  # fmt: skip


def test_a_firm_comes_back_with_every_value(store: Store) -> None:
    load(store, FULL)
    expected = Firm(
        "F1", "阳城陶瓷有限公司", USCC_A, "600001", standing=Standing.ACTIVE, province="山西省",
        founded=date(2015, 6, 30), capital=1234.5, employees=12,
        former_names=("老陶瓷厂", "阳城瓷厂"), marks=("高新技术企业",),
    )  # fmt: skip
    assert store.firm("F1") == expected
    assert store.firm("F2") is None
    assert {f.name for f in fields(Firm)} == {c.value for c in Col}


def test_the_table_has_every_column_and_its_type(store: Store) -> None:
    load(store, {"name": "乙"}, FULL)
    table = store.firm_table()
    assert list(table.columns) == [c.value for c in Col]
    assert list(table["firm_id"]) == ["F1", "乙"]
    assert all(table[c].dtype == np.float64 for c in NUMBER_COLUMNS)
    assert all(type(v) is str for c in TEXT_COLUMNS for v in table[c].to_list())
    assert table.loc[1, "scope"] == ""
    assert np.isnan(table["capital"].to_numpy()[1])


@pytest.mark.parametrize(
    "text",
    ["F1", USCC_A, USCC_A.lower(), "600001", "阳城陶瓷有限公司", "阳城 陶瓷有限公司", "老陶瓷厂",
     "陶瓷有", " 阳城瓷厂 "],
)  # fmt: skip
def test_a_firm_is_found_by_whatever_names_it(store: Store, text: str) -> None:
    load(store, FULL, {"name": "别的有限公司"})
    assert [f.firm_id for f in store.find_firms(text)] == ["F1"]


def test_the_exact_name_comes_before_names_that_hold_it(store: Store) -> None:
    names = ["大陶瓷厂有限公司", "陶瓷厂", "小陶瓷厂"]
    load(store, *({"name": n} for n in names))
    assert [f.name for f in store.find_firms("陶瓷厂")] == [
        "陶瓷厂",
        "小陶瓷厂",
        "大陶瓷厂有限公司",
    ]
    assert len(store.find_firms("陶瓷厂", limit=2)) == 2


@pytest.mark.parametrize("text", ["", " ", "%", "_", "没有"])
def test_a_text_that_names_nobody_finds_nobody(store: Store, text: str) -> None:
    load(store, FULL)
    assert store.find_firms(text) == []


def test_pages_meet_without_gap_or_overlap(store: Store) -> None:
    load(store, *({"name": f"{i}号厂"} for i in range(25)))
    seen: list[str] = []
    while page := store.firm_page(seen[-1] if seen else None, 7):
        seen += [f.firm_id for f in page]
    assert seen == sorted(set(seen))
    assert len(seen) == store.firm_count() == 25


def test_text_that_no_database_holds_is_refused_when_asked_for(store: Store) -> None:
    for ask in (store.firm, store.find_firms, store.town, store.contacts, store.existing):
        with pytest.raises(InputError):
            ask("a\x00")
        with pytest.raises(InputError):
            ask("\udfff")


# events and the firms of a town --------------------------------------------------------------

EVENTS = pd.DataFrame(
    {
        "firm_id": ["b", "a", "a"],
        "date": pd.to_datetime(["2024-02-01", "2023-01-31", "2023-01-31"]),
        "region": ["晋城市", "", "杭州市"],
        "industry": ["", "3391", ""],
        "target": ["", "", ""],
        "kind": ["新设", "", ""],
        "amount": [np.nan, 3.5, np.nan],
    }
)


def test_events_come_back_once_and_by_date(store: Store) -> None:
    assert store.add_events(EVENTS) == 3
    assert store.add_events(pd.concat([EVENTS, EVENTS.iloc[:1]])) == 0
    found = store.events()
    assert list(found["firm_id"]) == ["a", "a", "b"]
    assert found["date"].dtype.kind == "M"
    given = EVENTS.sort_values(["date", "firm_id", "region"]).reset_index(drop=True)
    found = found.sort_values(["date", "firm_id", "region"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(found, given, check_dtype=False)


def test_no_events_are_an_empty_table_of_the_same_types(store: Store) -> None:
    empty = store.events()
    store.add_events(EVENTS)
    pd.testing.assert_series_equal(empty.dtypes, store.events().dtypes)
    assert len(empty) == 0


@pytest.mark.parametrize(
    ("column", "value"),
    [("date", None), ("date", "2024-13-01"), ("amount", np.inf), ("firm_id", ""), ("kind", "\x00")],
)
def test_a_wrong_event_is_refused_and_none_is_kept(
    store: Store, column: str, value: object
) -> None:
    frame = EVENTS.assign(**{column: pd.Series([*EVENTS[column][:2], value], dtype=object)})
    with pytest.raises(InputError):
        store.add_events(frame)
    assert store.events().empty


def test_the_firms_of_a_town_are_kept_once(store: Store) -> None:
    assert store.add_existing([("t", "a"), ("t", "b"), ("t", "a"), ("u", "c")]) == 3
    assert store.add_existing(iter([("t", "a")])) == 0
    assert store.existing("t") == {"a", "b"}
    with pytest.raises(InputError):
        store.add_existing([("t", "x"), ("", "a")])
    assert store.existing("t") == {"a", "b"}


def test_the_data_stamp_changes_exactly_with_the_data(store: Store) -> None:
    changing: list[Callable[[], object]] = [
        lambda: load(store, FULL, file="1"),
        lambda: store.add_existing([("t", "a")]),
        lambda: store.add_events(EVENTS),
        lambda: load(store, FULL | {"capital": 2.0}, file="2"),
        lambda: store.undo("2"),
    ]
    stamps = [store.data_stamp()]
    for change in changing:
        change()
        stamps.append(store.data_stamp())
    assert len(set(stamps)) == len(stamps)
    store.add_existing([("t", "a")])
    store.add_events(EVENTS)
    load(store, FULL, file="1")
    store.put_town(TOWN)
    assert store.data_stamp() == stamps[-1]


# receipts ----------------------------------------------------------------------------------


def shortlist(*scores: float, **filters: object) -> Shortlist:
    matches = tuple(
        Match(i, Firm(f"F{i}", "x"), s, s, 0.0, 1.0, "", "") for i, s in enumerate(scores, 1)
    )
    return Shortlist(TOWN, matches, 7, 9, Filters(**filters), "model-1", "data-1")  # type: ignore[arg-type]


def test_a_receipt_holds_who_was_shown_at_which_rank_and_what_was_asked(store: Store) -> None:
    given = shortlist(9.5, 0.1 + 0.2, provinces=("山西省",), listed=False, capital_min=0.0)
    asked = Asked(2, True, (0.1 + 0.7, "F9"), {"b", "a"})
    receipt = store.receipt(store.keep_shortlist(given, asked, by="张三", via="api"))
    assert receipt is not None
    assert datetime.now(UTC) >= datetime.fromisoformat(receipt.asked_at)
    expected = Receipt(
        receipt.id, "zezhou", TOWN, receipt.asked_at, "张三", "api", given.filters, "model-1",
        "data-1", 7, 9, 2, True, (0.1 + 0.7, "F9"), hash_of(["a", "b"]),
        (ReceiptItem(1, "F1", 9.5), ReceiptItem(2, "F2", 0.1 + 0.2)),
    )  # fmt: skip
    assert receipt == expected
    assert store.receipt("L0") is None


def test_a_receipt_without_what_was_asked_says_so(store: Store) -> None:
    receipt = store.receipt(store.keep_shortlist(shortlist(1.0)))
    assert receipt is not None
    assert (receipt.town, receipt.k, receipt.after, receipt.existing) == (None, None, None, "")


def test_the_hash_of_firms_knows_no_order_and_no_seams() -> None:
    assert hash_of(["a", "b"]) == hash_of({"b", "a"})
    assert len({hash_of(x) for x in ([], [""], ["ab"], ["a", "b"], ["a"])}) >= 4


def test_receipts_of_one_moment_have_ids_of_their_own(store: Store) -> None:
    receipts = {store.keep_shortlist(shortlist()) for _ in range(20)}
    assert len(receipts) == 20
    assert all(r[0] == "L" and len(r) == 20 for r in receipts)


def test_receipts_asked_for_at_once_are_kept_each_for_its_own_reader(store: Store) -> None:
    def see(i: int) -> str:
        with acting(Actor(f"reader-{i}", Role.TOWN, "api", request_id=f"r-{i}")):
            return store.keep_shortlist(shortlist(float(i), 0.5), Asked(i + 1), by=f"reader-{i}")

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(see, range(40)))
    for i, list_id in enumerate(ids):
        receipt = store.receipt(list_id)
        assert receipt is not None
        assert (receipt.by, receipt.k, receipt.items[0].score) == (f"reader-{i}", i + 1, float(i))
        [noted] = store.audit.find(Wanted(object=list_id), None, 9)
        assert (noted.actor, noted.request_id) == (f"reader-{i}", f"r-{i}")
        assert noted.detail == {"town": TOWN.id, "firms": 2}
    assert not store.audit.verify().fault


def test_a_list_that_cannot_be_stored_keeps_no_other_one_unwritten(store: Store) -> None:
    bad = replace(shortlist(1.0), town=replace(TOWN, sector="\ud800"))
    with ThreadPoolExecutor(8) as pool:
        asked = [
            pool.submit(store.keep_shortlist, bad if i % 2 else shortlist(1.0), Asked(1))
            for i in range(16)
        ]
    assert all(f.result() for f in asked[::2])
    assert all(isinstance(f.exception(), InputError) for f in asked[1::2])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_refused(store: Store, bad: float) -> None:
    with pytest.raises(InputError):
        store.keep_shortlist(shortlist(1.0, bad))
    with pytest.raises(InputError):
        store.keep_shortlist(shortlist(1.0, capital_min=bad))
