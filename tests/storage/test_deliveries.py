"""What happened and who is told of it, on both databases: nothing lost, nothing out of order."""

import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.storage.test_leads import SILK, TOWN, prepare
from tests.storage.world import load
from zyz_match.domain import ExternalId, Filters, LeadEntry, Shortlist, Stage
from zyz_match.errors import CursorTooOld, InputError, NotFoundError
from zyz_match.storage import outbox, tables, webhooks
from zyz_match.storage.deliveries import TRIES_KEPT, Due, Tried
from zyz_match.storage.inbound import Wanted
from zyz_match.storage.jobs import JobState, Outcome
from zyz_match.storage.outbox import KEPT, Change, Place
from zyz_match.storage.row_files import read_rows
from zyz_match.storage.rows import utc_text
from zyz_match.storage.serving import Change as ModelChange
from zyz_match.storage.store import Store
from zyz_match.storage.webhooks import MOST_SECRETS, Salt, Webhook

LEASE = 60.0
TAKEN = Tried(204, 5, "")
SALT = Salt("salt", "check")


def tell(store: Store, *subjects: str, kind: str = "lead.changed", town: str | None = None) -> None:
    """One change a subject, in this order, each in a transaction of its own."""
    for subject in subjects:
        with store._database.write() as connection:
            outbox.add(connection, kind, subject, town, {"n": 1})


def add(store: Store, types: Collection[str] = (), towns: Collection[str] | None = None) -> str:
    """The id of a new webhook."""
    seen = None if towns is None else tuple(towns)
    made = Webhook(webhooks.new_id(), "https://a.example/", tuple(types), seen, (SALT,), "", "", "")
    return store.webhooks.add(made).id


def claim(
    store: Store, most: int = 10, lease: float = LEASE, busy: Collection[str] = ()
) -> list[Due]:
    store.deliveries.expand()
    return store.deliveries.claim(most, lease, busy)


def later(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def failed(next_at: str | None = None, **more: Any) -> Tried:
    return Tried(500, 5, "对方返回 500", next_at, **more)


def everything(store: Store, after: Place | None = None) -> list[Change]:
    return list(store.outbox.read(after or Place(), (), None, 1000).changes)


def subjects(found: list[Due]) -> list[str]:
    return [due.change.subject for due in found]


# what happens ------------------------------------------------------------------------------


def test_an_entry_is_told_once_and_with_its_pair_as_subject(store: Store) -> None:
    prepare(store)
    entry = LeadEntry(0, TOWN.id, "甲厂", date(2024, 3, 1), Stage.VISITED, owner="合成甲")
    _, kept = store.record_lead(entry)
    store.record_lead(entry)
    [told] = [c for c in everything(store) if c.type == "lead.changed"]
    assert (told.subject, told.town_id) == ("lead:casting:甲厂", "casting")
    assert told.data["lead_id"] == kept.id
    assert (told.data["stage"], told.data["owner"]) == ("visited", "合成甲")
    assert told.uid.startswith("evt_")


def test_an_entry_that_is_refused_is_not_told(store: Store) -> None:
    prepare(store)
    before = len(everything(store))
    with pytest.raises(InputError):
        store.record_lead(LeadEntry(0, TOWN.id, "无此厂", date(2024, 3, 1), Stage.VISITED))
    assert len(everything(store)) == before


def test_a_file_of_leads_is_told_step_by_step_and_taken_back_alike(
    store: Store, tmp_path: Path
) -> None:
    prepare(store)
    path = tmp_path / "leads.csv"
    path.write_text(
        "专业镇,企业名称,日期,阶段\ncasting,甲厂,2024-03-02,已考察\ncasting,甲厂,2024-03-01,已接触\n",
        "utf-8",
    )
    start = store.outbox.read(Place(), (), None, 1000).place
    _, batch = store.import_rows(read_rows(path, "leads"), lambda plan: None)
    told = everything(store, start)
    assert [c.type for c in told] == ["lead.changed", "lead.changed", "import.finished"]
    assert [c.data["stage"] for c in told[:2]] == ["contacted", "visited"]
    assert told[2].data == {
        "batch_id": batch.batch_id, "kind": "leads", "rows": 2, "created": 2, "updated": 0,
        "unchanged": 0,
    }  # fmt: skip
    start = store.outbox.read(start, (), None, 1000).place
    store.undo(batch.batch_id)
    assert [c.data["change"] for c in everything(store, start)] == ["removed", "removed"]


def test_an_import_of_firms_is_told_once(store: Store) -> None:
    for _ in range(2):
        load(store, {"name": "甲厂"}, file="a.csv")
    [told] = everything(store)
    assert (told.type, told.data["created"]) == ("import.finished", 1)


def test_models_are_told_when_they_come_go_and_fail(store: Store) -> None:
    store.serving.promote("v1", by="我", note="更好", check=lambda: None)
    store.serving.promote("v1", by="我", note="", check=lambda: None)
    store.serving.rollback(by="我")
    job, _ = store.jobs.enqueue("retrain", {})
    store.jobs.claim("retrain", "a", LEASE)
    change = ModelChange("reject", "", "我", "没有更好")
    store.jobs.finish(job.id, "a", Outcome(JobState.DONE, {}, change=change))
    told = [(c.type, dict(c.data)) for c in everything(store)]
    assert told == [
        ("model.promoted",
         {"version": "v1", "previous": None, "action": "promote", "note": "更好"}),
        ("model.promoted",
         {"version": None, "previous": "v1", "action": "rollback", "note": None}),
        ("model.rejected", {"serving": None, "note": "没有更好"}),
    ]  # fmt: skip
    assert {c.subject for c in everything(store)} == {"model"}


def test_a_list_is_published_once(store: Store) -> None:
    list_id = store.keep_shortlist(Shortlist(TOWN, (), 0, 0, Filters(), "prior-1", "d"))
    first = store.publish_shortlist(list_id)
    assert first[0]
    assert store.publish_shortlist(list_id) == (False, first[1])
    [told] = everything(store)
    assert (told.type, told.subject, told.town_id) == ("list.published", f"list:{list_id}", TOWN.id)
    with pytest.raises(NotFoundError, match="没有名单"):
        store.publish_shortlist("L0")


# the feed ----------------------------------------------------------------------------------


def test_a_reader_goes_on_where_it_stopped(store: Store) -> None:
    tell(store, "a", "b", "c")
    first = store.outbox.read(Place(), (), None, 2)
    assert ([c.subject for c in first.changes], first.more) == (["a", "b"], True)
    second = store.outbox.read(first.place, (), None, 2)
    assert ([c.subject for c in second.changes], second.more) == (["c"], False)
    assert store.outbox.read(second.place, (), None, 2) == outbox.Told((), second.place, False)
    tell(store, "d")
    assert [c.subject for c in everything(store, second.place)] == ["d"]


def test_a_reader_sees_its_towns_and_types_and_still_moves_on(store: Store) -> None:
    tell(store, "a", town="casting")
    tell(store, "b", town="silk")
    tell(store, "model", kind="model.promoted")
    seen = store.outbox.read(Place(), (), ["casting"], 10)
    assert [c.subject for c in seen.changes] == ["a"]
    assert seen.place.id == everything(store)[-1].id
    assert store.outbox.read(Place(), ("model.promoted",), ["casting"], 10).changes == ()
    only = store.outbox.read(Place(), ("model.promoted",), None, 10)
    assert [c.subject for c in only.changes] == ["model"]


def make_old(store: Store, count: int) -> None:
    """The oldest changes happened so long ago that they need not be kept."""
    old = (datetime.now(UTC) - KEPT - timedelta(days=1)).isoformat(timespec="milliseconds")
    ids = [c.id for c in everything(store)][:count]
    with store._database.write() as connection:
        some = tables.change.c.id.in_(ids)
        connection.execute(sa.update(tables.change).where(some).values(at=old))


def test_a_place_that_was_swept_is_refused_and_the_end_is_kept(store: Store) -> None:
    tell(store, "a", "b", "c", "d")
    add(store)
    places = [Place(c.id, c.uid) for c in everything(store)]
    make_old(store, 3)
    assert store.outbox.sweep() == 2
    assert store.outbox.sweep() == 0
    for gone in places[:2]:
        with pytest.raises(CursorTooOld, match="90 天"):
            store.outbox.read(gone, (), None, 10)
    assert [c.subject for c in everything(store, places[2])] == ["d"]
    assert [c.subject for c in everything(store)] == ["c", "d"]


def test_a_place_of_another_store_is_refused(store: Store) -> None:
    tell(store, "a")
    for place in (Place(1, "evt_other"), Place(99, "evt_other")):
        with pytest.raises(CursorTooOld, match="恢复"):
            store.outbox.read(place, (), None, 10)


def test_changes_are_swept_with_their_deliveries(store: Store) -> None:
    webhook = add(store)
    tell(store, "a", "b", "c")
    store.deliveries.expand()
    make_old(store, 3)
    assert store.outbox.sweep() == 2
    assert [d.change.subject for d in store.deliveries.of(webhook, None, 9)] == ["c"]


# webhooks ----------------------------------------------------------------------------------


def test_a_webhook_is_told_what_happens_from_then_on(store: Store) -> None:
    tell(store, "before")
    add(store)
    tell(store, "after")
    assert subjects(claim(store)) == ["after"]


def test_a_webhook_is_told_its_types_and_towns_only(store: Store) -> None:
    add(store, types=["lead.changed"], towns=["casting"])
    tell(store, "a", town="casting")
    tell(store, "b", town="silk")
    tell(store, "c", kind="list.published", town="casting")
    tell(store, "d", kind="lead.changed")
    assert subjects(claim(store)) == ["a"]


def test_changes_become_deliveries_once_however_many_look(store: Store) -> None:
    webhook = add(store)
    tell(store, *"abcdefgh")
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: store.deliveries.expand(), range(8)))
    assert sum(made) == 8
    assert store.webhooks.get(webhook).waiting == 8


def test_two_senders_never_hold_the_same_delivery(store: Store) -> None:
    add(store)
    tell(store, *(f"s{i}" for i in range(40)))
    store.deliveries.expand()
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda _: store.deliveries.claim(5, LEASE), range(12)))
    ids = [due.id for part in got for due in part]
    assert len(ids) == len(set(ids)) == 40


def test_a_later_change_of_a_subject_waits_for_the_earlier_one(store: Store) -> None:
    add(store)
    tell(store, "a", "b", "a")
    first = claim(store)
    assert subjects(first) == ["a", "b"]
    assert claim(store) == []
    store.deliveries.record(first[0], failed(later(-1)))
    [again] = claim(store)
    assert (again.change.uid, again.attempts) == (first[0].change.uid, 2)
    assert store.deliveries.record(again, TAKEN)
    [second] = claim(store)
    assert (second.change.subject, second.attempts) == ("a", 1)
    assert second.change.uid != again.change.uid


def test_what_failed_for_good_holds_nobody_up(store: Store) -> None:
    webhook = add(store)
    tell(store, "a", "a")
    store.deliveries.record(claim(store)[0], failed())
    assert subjects(claim(store)) == ["a"]
    assert [d.state for d in store.deliveries.of(webhook, None, 9)] == ["waiting", "failed"]


def test_one_webhook_does_not_hold_up_another(store: Store) -> None:
    slow, quick = add(store), add(store)
    tell(store, "a")
    found = claim(store, busy=[slow])
    assert [due.webhook_id for due in found] == [quick]


def test_a_killed_senders_delivery_is_sent_again_with_the_same_id(store: Store) -> None:
    add(store)
    tell(store, "a")
    [dead] = claim(store, lease=0.0)
    time.sleep(0.01)
    [taken] = claim(store)
    assert (taken.change, taken.attempts) == (dead.change, 2)
    assert not store.deliveries.record(dead, failed())
    assert store.deliveries.get(dead.id).state == "waiting"
    assert store.deliveries.record(taken, TAKEN)
    assert [t.status for t in store.deliveries.get(dead.id).tries] == [500, 204]


def test_a_delivery_waits_until_its_time(store: Store) -> None:
    add(store)
    tell(store, "a")
    store.deliveries.record(claim(store)[0], failed(later(0.3)))
    assert claim(store) == []
    time.sleep(0.35)
    assert len(claim(store)) == 1


def test_health_is_shown_until_the_first_success(store: Store) -> None:
    webhook = add(store)
    tell(store, "a")
    store.deliveries.record(claim(store)[0], failed(later(-1)))
    since = store.webhooks.get(webhook).failing_since
    assert since
    store.deliveries.record(claim(store)[0], failed(later(-1)))
    assert store.webhooks.get(webhook).failing_since == since
    store.deliveries.record(claim(store)[0], TAKEN)
    assert store.webhooks.get(webhook).failing_since is None


def test_410_stops_a_webhook_and_enabling_makes_up_for_it(store: Store) -> None:
    webhook = add(store)
    tell(store, "a")
    store.deliveries.record(claim(store)[0], failed(later(900), gone=True))
    stopped = store.webhooks.get(webhook)
    assert stopped.disabled_at
    assert "410" in stopped.disabled_because
    tell(store, "b")
    assert claim(store) == []
    store.webhooks.enable(webhook)
    assert subjects(claim(store)) == ["a", "b"]


def test_a_webhook_that_is_removed_takes_its_deliveries_along(store: Store) -> None:
    webhook = add(store)
    tell(store, "a")
    [due] = claim(store)
    store.webhooks.remove(webhook)
    assert not store.deliveries.record(due, TAKEN)
    assert store.webhooks.every() == []
    for ask in (store.webhooks.get, store.webhooks.remove, store.webhooks.enable):
        with pytest.raises(NotFoundError, match="没有推送"):
            ask(webhook)


def test_a_delivery_is_made_once_more_on_request(store: Store) -> None:
    add(store)
    tell(store, "a", "b")
    first, second = claim(store)
    store.deliveries.record(first, TAKEN)
    store.deliveries.record(second, failed())
    assert claim(store) == []
    for due in (first, second):
        again = store.deliveries.redeliver(due.id)
        assert (again.state, again.attempts, again.delivered_at) == ("waiting", 0, None)
    assert [d.change.uid for d in claim(store)] == [first.change.uid, second.change.uid]
    with pytest.raises(NotFoundError, match="没有投递"):
        store.deliveries.redeliver(10**12)


def test_deliveries_are_paged_from_the_newest_change(store: Store) -> None:
    webhook = add(store)
    tell(store, *"abc")
    store.deliveries.expand()
    first = store.deliveries.of(webhook, None, 2)
    rest = store.deliveries.of(webhook, first[-1].change.id, 2)
    assert [d.change.subject for d in (*first, *rest)] == ["c", "b", "a"]


def test_old_tries_are_swept(store: Store) -> None:
    add(store)
    tell(store, "a")
    [due] = claim(store)
    store.deliveries.record(due, TAKEN)
    old = (datetime.now(UTC) - TRIES_KEPT - timedelta(days=1)).isoformat(timespec="milliseconds")
    assert store.deliveries.sweep() == 0
    with store._database.write() as connection:
        connection.execute(sa.update(tables.delivery_try).values(at=old))
    assert store.deliveries.sweep() == 1
    assert store.deliveries.get(due.id).tries == ()


def test_a_rotation_keeps_the_secret_before_for_a_while(store: Store) -> None:
    webhook, soon = add(store), datetime.now(UTC) + timedelta(hours=24)
    turned = store.webhooks.rotate(webhook, Salt("new", "c"), soon)
    assert [(s.salt, s.until is None) for s in turned.salts] == [("new", True), ("salt", False)]
    later = soon + timedelta(hours=1)
    again = store.webhooks.rotate(webhook, Salt("newest", "c"), later)
    assert [s.salt for s in again.salts] == ["newest", "new", "salt"]
    assert [s.until for s in again.salts] == [None, utc_text(later), utc_text(soon)]
    assert again.rotating_until == utc_text(later)


def test_a_rotation_drops_the_secrets_whose_time_is_over_and_the_oldest(store: Store) -> None:
    webhook, now = add(store), datetime.now(UTC)
    store.webhooks.rotate(webhook, Salt("b", "c"), now - timedelta(seconds=1))
    turned = store.webhooks.rotate(webhook, Salt("c", "c"), now + timedelta(hours=24))
    assert [s.salt for s in turned.salts] == ["c", "b"]
    for salt in "def":
        turned = store.webhooks.rotate(webhook, Salt(salt, "c"), now + timedelta(hours=24))
    assert [s.salt for s in turned.salts] == ["f", "e", "d", "c"]
    assert len(turned.salts) == MOST_SECRETS


# messages of others ------------------------------------------------------------------------


def step(stage: Stage, external: str = "7") -> Wanted:
    entry = LeadEntry(0, TOWN.id, "甲厂", date(2024, 3, 1), stage)
    return Wanted(entry, ExternalId("crm", "Lead", external))


def test_a_message_is_kept_and_applied_once(store: Store) -> None:
    prepare(store)
    assert store.inbox.keep("crm", "m1", "[]")
    assert not store.inbox.keep("crm", "m1", "[]")
    assert store.inbox.keep("other", "m1", "[]")
    [message, _] = store.inbox.waiting(10)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: store.inbox.apply(message, [step(Stage.VISITED)]), range(4)))
    assert {d.state for d in done} == {"done"}
    assert len(store.lead_entries()) == 1
    assert store.inbox.get("crm", "m1").body == ""
    assert store.inbox.pair_of(ExternalId("crm", "Lead", "7")) == (TOWN.id, "甲厂")
    assert store.inbox.pair_of(ExternalId("crm", "Lead", "8")) is None


def test_one_bad_record_leaves_the_others_and_can_be_tried_again(store: Store) -> None:
    prepare(store)
    store.inbox.keep("crm", "m1", "[1, 2]")
    bad = Wanted(LeadEntry(0, SILK.id, "丁厂", date(2024, 3, 1), Stage.VISITED))
    wanted = [step(Stage.VISITED), bad, Wanted(refused="不认识"), Wanted()]
    done = store.inbox.apply(store.inbox.get("crm", "m1"), wanted)
    assert done.state == "refused"
    assert [r["change"] for r in done.records] == ["created", "refused", "refused", "ignored"]
    assert "没有企业“丁厂”" in done.records[1]["reason"]
    assert store.inbox.waiting(10) == []
    load(store, {"name": "丁厂"})
    again = store.inbox.apply(store.inbox.retry("crm", "m1"), wanted[:2])
    assert (again.state, again.body) == ("done", "")
    assert [r["change"] for r in again.records] == ["unchanged", "created"]
    with pytest.raises(InputError, match="只有被退回"):
        store.inbox.retry("crm", "m1")
    with pytest.raises(NotFoundError, match="没有消息"):
        store.inbox.retry("crm", "m2")


def test_messages_are_paged_and_old_refused_bodies_forgotten(store: Store) -> None:
    prepare(store)
    for name in "abc":
        store.inbox.keep("crm", name, "[1]")
        store.inbox.apply(store.inbox.get("crm", name), [Wanted(refused="不认识")])
    first = store.inbox.of("crm", None, None, 2)
    last = (first[-1].received_at, first[-1].id)
    assert [m.id for m in (*first, *store.inbox.of("crm", "refused", last, 2))] == ["c", "b", "a"]
    assert store.inbox.of("crm", "done", None, 9) == []
    assert store.inbox.sweep() == 0
    with store._database.write() as connection:
        connection.execute(sa.update(tables.inbound).values(received_at="2020-01-01T00:00:00"))
    assert store.inbox.sweep() == 3
    assert store.inbox.get("crm", "a").body == ""
