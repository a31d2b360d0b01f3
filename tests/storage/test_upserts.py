"""Upserts in the store: identity, one effect, bad items apart, all or none, on both databases."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tests.storage.world import USCC_A, USCC_B, load
from zyz_match.acting import Actor, Role, acting
from zyz_match.domain import Col, Event, ExternalId, Filters, Shortlist, Stage
from zyz_match.errors import InputError
from zyz_match.profiles import town_from
from zyz_match.storage.lead_upserts import LeadContent
from zyz_match.storage.listing import Listing
from zyz_match.storage.store import Store
from zyz_match.storage.upsert_items import Item, ItemError, Refused, Upserted

A = ExternalId("crm", "Account", "1")
B = ExternalId("crm", "Account", "2")


def firm(external: ExternalId | None = None, **cells: str) -> Item[Any]:
    return Item({Col(name): text for name, text in cells.items()}, external)


def put(store: Store, *items: Item[Any] | Refused, all_or_none: bool = False) -> Upserted:
    return store.upserts.firms(items, all_or_none=all_or_none)


def told(done: Upserted) -> list[tuple[str, str]]:
    return [(r.status, r.id) for r in done.results]


def code(done: Upserted, at: int = 0) -> str:
    error = done.results[at].error
    assert error is not None
    assert error.message.endswith("。")
    return error.code


# firms -------------------------------------------------------------------------------------


def test_what_is_sent_again_changes_nothing(store: Store) -> None:
    items = [
        firm(A, name="合成甲公司", capital="1200.5万元"),
        firm(name="合成乙公司", city="宁波市"),
    ]
    first = put(store, *items)
    stamp, audited = store.data_stamp(), store.audit.count()
    assert told(first) == [("created", "合成甲公司"), ("created", "合成乙公司")]
    again = put(store, *items)
    assert told(again) == [("unchanged", "合成甲公司"), ("unchanged", "合成乙公司")]
    assert (store.data_stamp(), store.audit.count(), len(store.batches())) == (stamp, audited, 1)
    assert again.batch == ""
    found = store.firm("合成乙公司")
    assert found is not None
    assert found.province == "浙江省"


def test_a_present_value_wins_and_a_missing_one_keeps_the_old(store: Store) -> None:
    put(store, firm(A, name="合成甲公司", employees="30", city="宁波市"))
    assert told(put(store, firm(A, employees="31", kind=""))) == [("updated", "合成甲公司")]
    found = store.firm("合成甲公司")
    assert found is not None
    assert (found.employees, found.city) == (31, "宁波市")


def test_the_external_id_decides_before_the_name(store: Store) -> None:
    put(store, firm(A, name="合成甲公司"), firm(B, name="合成乙公司"))
    assert told(put(store, firm(A, name="合成丙公司"))) == [("updated", "合成甲公司")]
    found = store.firm("合成甲公司")
    assert found is not None
    assert found.name == "合成丙公司"
    assert code(put(store, firm(A, name="合成乙公司"))) == "identity_conflict"
    put(store, firm(B, uscc=USCC_B))
    both = firm(A, name="合成乙公司", uscc=USCC_A)
    assert told(put(store, both)) == [("updated", "合成甲公司")]  # two firms may have one name


def test_a_firm_is_known_by_id_code_stock_code_and_name(store: Store) -> None:
    load(store, {"name": "合成甲公司", "uscc": USCC_A, "stock_code": "600001"})
    ways: tuple[dict[str, Any], ...] = (
        {"firm_id": USCC_A}, {"uscc": USCC_A}, {"stock_code": "600001.SH"}, {"name": "合成甲公司"},
    )  # fmt: skip
    done = put(store, *(firm(employees=str(i + 1), **way) for i, way in enumerate(ways)))
    assert told(done) == [("updated", USCC_A)] * 4
    found = store.firm(USCC_A)
    assert found is not None
    assert (found.employees, store.firm_count()) == (4, 1)


def test_items_that_name_the_same_firm_are_taken_in_order(store: Store) -> None:
    done = put(
        store, firm(A, name="合成甲公司", employees="1"), firm(A, employees="2"),
        firm(name="合成甲公司", employees="3"), firm(A, employees="3"),
    )  # fmt: skip
    assert [r.status for r in done.results] == ["created", "updated", "updated", "unchanged"]
    found = store.firm("合成甲公司")
    assert found is not None
    assert (found.employees, store.firm_count()) == (3, 1)


def test_a_bad_item_is_rejected_with_its_reason_and_the_others_go_on(store: Store) -> None:
    done = put(
        store, firm(uscc="123", name="合成甲公司"), firm(name="合成乙公司", founded="2999-01-01"),
        firm(A, employees="5"), Refused(ItemError("validation_failed", "不好。"), B),
        firm(name="合成丙公司"),
    )  # fmt: skip
    assert [r.status for r in done.results] == ["rejected"] * 4 + ["created"]
    assert [code(done, at) for at in range(4)] == [
        "invalid_field", "invalid_field", "missing_name", "validation_failed",
    ]  # fmt: skip
    error = done.results[0].error
    assert isinstance(error, ItemError)
    assert error.fields == ("uscc",)
    assert done.results[3].external == B
    assert store.firm_count() == 1


def test_all_or_none_writes_none_when_one_is_bad(store: Store) -> None:
    done = put(store, firm(A, name="合成甲公司"), firm(uscc="1"), all_or_none=True)
    assert not done.written
    assert (store.firm_count(), store.audit.count(), store.data_stamp()) == (0, 0, "0")
    assert put(store, firm(A, name="合成甲公司"), all_or_none=True).written
    assert store.firm_count() == 1


def test_a_firm_never_becomes_another_one(store: Store) -> None:
    put(store, firm(A, name="合成甲公司", uscc=USCC_A), firm(B, name="合成乙公司", uscc=USCC_B))
    assert code(put(store, firm(A, uscc=USCC_B))) == "identity_conflict"
    assert code(put(store, firm(A, firm_id=USCC_B))) == "identity_conflict"
    assert code(put(store, firm(firm_id=USCC_A, uscc=USCC_B))) == "identity_conflict"
    town = store.upserts.towns([Item({"id": "t", "name": "镇"}, A)])
    assert town.results[0].error is not None
    assert town.results[0].error.code == "external_conflict"


def test_an_upsert_is_a_batch_that_can_be_undone(store: Store) -> None:
    put(store, firm(A, name="合成甲公司", employees="1"))
    changed = put(store, firm(A, employees="2"), firm(B, name="合成乙公司"))
    assert store.undo(changed.batch).removed == 1
    found = store.firm("合成甲公司")
    assert found is not None
    assert (found.employees, store.firm_count()) == (1, 1)
    assert told(put(store, firm(B, name="合成乙公司"))) == [("created", "合成乙公司")]


def test_the_index_learns_firm_by_firm_what_an_upsert_changed(store: Store) -> None:
    put(store, firm(A, name="合成甲公司"), firm(B, name="合成乙公司"))
    before = store.data_stamp()
    put(store, firm(A, employees="7"), firm(B, name="合成乙公司"))
    changes = store.changes_since(before, 10)
    assert changes is not None
    assert list(changes.firms[Col.FIRM_ID]) == ["合成甲公司"]


def test_formulas_and_markup_are_text(store: Store) -> None:
    texts = ("=1+1", "<script>", "'; DROP TABLE firm; --", "@cmd", "+86")
    assert put(store, *(firm(name=t, scope=t) for t in texts)).count("created") == len(texts)
    assert {f.scope for f in store.firm_page(None, 10)} == set(texts)


def test_two_hundred_items_are_one_transaction_of_one_audit_row(store: Store) -> None:
    items = [firm(ExternalId("crm", "A", str(i)), name=f"合成{i:03d}公司") for i in range(200)]
    assert put(store, *items).count("created") == 200
    assert store.audit.count() == 1
    assert store.audit.verify().fault == ""


# towns -------------------------------------------------------------------------------------


def test_towns_are_replaced_and_known_by_external_id(store: Store) -> None:
    key = ExternalId("crm", "Town", "7")
    first: Item[Any] = Item({"id": "t1", "name": "镇一", "city": "晋城市"}, key)
    items = [first, Item({"name": "镇二"}, key)]
    assert told(store.upserts.towns(items)) == [("created", "t1"), ("updated", "t1")]
    town = store.town("t1")
    assert town is not None
    assert (town.name, town.city) == ("镇二", "")
    bad = store.upserts.towns([Item({"name": "无号"}), Item({"id": "a b", "name": "x"})])
    assert (code(bad), code(bad, 1)) == ("missing_id", "invalid_profile")


def test_what_is_outside_ones_towns_is_not_there(store: Store) -> None:
    prepare(store)
    with acting(Actor("team", Role.TOWN, "api", frozenset({"t2"}))):
        assert code(store.upserts.towns([Item({"id": "t1", "name": "别名"})])) == "not_found"
        assert code(store.upserts.towns([Item({"id": "t3", "name": "新镇"})])) == "not_found"
        assert code(store.upserts.leads([lead(None)])) == "not_found"
        assert store.lists.towns(Listing(10)) == []
    store.upserts.leads([lead(LEAD)])
    with acting(Actor("team", Role.TOWN, "api", frozenset({"t2"}))):
        assert code(store.upserts.leads([lead(LEAD)])) == "external_conflict"
        assert store.lists.leads(Listing(10)) == []
        assert store.lists.lead(1) is None


# leads and events --------------------------------------------------------------------------

LEAD = ExternalId("crm", "Lead", "9")


def prepare(store: Store) -> None:
    store.put_town(town_from({"id": "t1", "name": "镇一"}))
    put(store, firm(name="合成甲公司"), firm(name="合成乙公司"))


def lead(external: ExternalId | None, stage: Stage = Stage.CONTACTED, **more: Any) -> Item[Any]:
    on = date(2025, 3, 1)
    return Item(LeadContent("t1", "合成甲公司", stage, **{"on": on} | more), external)


def test_a_lead_is_written_once_and_corrected_when_it_says_otherwise(store: Store) -> None:
    prepare(store)
    said = [
        lead(LEAD), lead(LEAD), lead(LEAD, Stage.VISITED), lead(LEAD), lead(LEAD, owner=" 甲 "),
        lead(LEAD, owner="甲", on=None),
    ]  # fmt: skip
    done = [store.upserts.leads([item]).results[0] for item in said]
    assert [r.status for r in done] == [
        "created", "unchanged", "updated", "updated", "updated", "unchanged",
    ]  # fmt: skip
    entries = store.lead_entries(limit=10)
    effective = [e for e in entries if e.effective]
    assert [(e.stage, e.owner) for e in effective] == [(Stage.CONTACTED, "甲")]
    assert len(entries) == 4


def test_a_correction_by_hand_stands_until_the_other_system_says_something_new(
    store: Store,
) -> None:
    prepare(store)
    store.upserts.leads([lead(LEAD)])
    (entry,) = store.lead_entries()
    store.record_lead(replace(entry, stage=Stage.VISITED, corrects=entry.id))
    assert store.upserts.leads([lead(LEAD)]).results[0].status == "unchanged"
    assert store.upserts.leads([lead(LEAD, note="新")]).results[0].status == "updated"
    assert [e.note for e in store.lead_entries() if e.effective] == ["新"]


def test_records_that_say_the_same_go_their_own_ways(store: Store) -> None:
    """Two records of another system are one entry here until one of them changes."""
    prepare(store)
    other = replace(LEAD, id="another")

    def say(external: ExternalId, day: int) -> tuple[str, str]:
        (found,) = told(store.upserts.leads([lead(external, on=date(2025, 3, day))]))
        return found

    one = say(LEAD, 1)
    assert say(other, 1) == ("unchanged", one[1])
    apart = say(other, 2)
    assert (apart[0], apart[1] != one[1]) == ("updated", True)
    assert say(LEAD, 1) == ("unchanged", one[1])
    assert say(other, 2) == ("unchanged", apart[1])
    assert say(LEAD, 3)[0] == "updated"
    assert say(other, 2) == ("unchanged", apart[1])
    days = [e.date.day for e in store.lead_entries(limit=10) if e.effective]
    assert sorted(days) == [2, 3]


def test_what_names_a_town_out_of_sight_is_told_nothing_of_it(store: Store) -> None:
    prepare(store)
    store.put_town(town_from({"id": "t2", "name": "镇二"}))
    store.upserts.leads([lead(LEAD)])
    town = town_from({"id": "t1", "name": "镇一"})
    shown = store.keep_shortlist(Shortlist(town, (), 0, 0, Filters(), "prior-1", "d"))
    with acting(Actor("二", Role.TOWN, "api", frozenset({"t2"}))):
        there = LeadContent("t2", "合成甲公司", Stage.CONTACTED, on=date(2025, 3, 1))
        taken = store.upserts.leads([Item(there, LEAD)])
        assert code(taken) == "external_conflict"
        assert "1" not in str(taken.results[0].error)
        for named in (shown, "L0"):
            (found,) = store.upserts.leads([Item(replace(there, list_id=named), None)]).results
            assert str(found.error).startswith(f"没有名单“{named}”")


def test_no_town_takes_anothers_name(store: Store) -> None:
    prepare(store)
    with pytest.raises(InputError, match="已有别的专业镇叫“镇一”"):
        store.put_town(town_from({"id": "t2", "name": "镇一"}))
    assert store.town("t2") is None
    taken = store.upserts.towns([Item({"id": "t2", "name": "镇一"})])
    assert taken.results[0].status == "rejected"


def test_leads_without_an_external_id_are_recognised_by_what_they_say(store: Store) -> None:
    prepare(store)
    late = lead(None, Stage.RECOMMENDED, on=date(2025, 4, 1))
    done = store.upserts.leads([lead(None), lead(None), late])
    assert [r.status for r in done.results] == ["created", "unchanged", "rejected"]
    assert "先后矛盾" in str(done.results[2].error)
    assert len(store.lead_entries()) == 1


def event(external: ExternalId | None = None, **more: Any) -> Item[Any]:
    given: dict[str, Any] = {"firm_id": "合成甲公司", "date": date(2025, 3, 1), "kind": "扩产"}
    return Item(Event(**given | more), external)


def test_an_event_that_says_something_else_replaces_the_old_one(store: Store) -> None:
    prepare(store)
    key, other = ExternalId("crm", "Event", "1"), ExternalId("crm", "Event", "2")
    done = [
        store.upserts.events([item]).results[0].status
        for item in (
            event(key), event(key), event(key, amount=3.0), event(other, amount=3.0),
            event(key, amount=4.0), event(other, amount=4.0),
        )
    ]  # fmt: skip
    assert done == ["created", "unchanged", "updated", "unchanged", "updated", "updated"]
    assert store.events()["amount"].tolist() == [4.0]
    late = store.upserts.events([event(date=date(2999, 1, 1)), event(firm_id="没有这家")])
    assert (code(late), code(late, 1)) == ("invalid_input", "not_found")


# lists -------------------------------------------------------------------------------------


@pytest.fixture
def many(store: Store) -> Store:
    for i in range(7):
        put(store, firm(ExternalId("crm", "A", str(i)), name=f"合成{i}公司", city="宁波市"))
    put(store, firm(ExternalId("crm", "A", "2"), employees="9"))
    return store


@pytest.mark.parametrize("sort", ["id", "updated_at"])
def test_pages_together_are_the_whole_list(many: Store, sort: Any) -> None:
    whole = many.lists.firms(Listing(100, sort))
    found: list[Any] = []
    while part := many.lists.firms(
        Listing(2, sort, after=(found[-1].updated_at, found[-1].id) if found else None)
    ):
        found += part
    assert found == whole
    assert len(whole) == 7
    if sort == "updated_at":
        assert whole[-1].id == "合成2公司"


def test_who_asks_since_the_last_moment_seen_misses_nothing(many: Store) -> None:
    seen = max(s.updated_at for s in many.lists.firms(Listing(100)))
    put(many, firm(name="合成新公司"))
    assert "合成新公司" in [s.id for s in many.lists.firms(Listing(100, "updated_at", seen))]


def test_a_record_is_found_by_external_id_and_shows_it(many: Store) -> None:
    key = ExternalId("crm", "A", "3")
    (found,) = many.lists.firms(Listing(10, external=key))
    assert (found.id, found.external) == ("合成3公司", (key,))
    assert many.lists.firms(Listing(10, external=A)) == []
    assert many.lists.leads(Listing(10, external=key)) == []
    assert many.lists.firms(Listing(10, where={"city": ["苏州市"]})) == []


def test_a_number_that_a_database_cannot_hold_is_refused(store: Store) -> None:
    done = put(store, firm(name="甲", capital=f"{10**400}万元"), firm(name="乙", employees="1e400"))
    assert [r.status for r in done.results] == ["rejected", "rejected"]
    with pytest.raises(InputError):
        store.upserts.firms([firm(name="甲" * 400)])
