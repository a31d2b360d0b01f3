"""What became of a list: entries that stand, their order, corrections, rounds, files."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.storage.world import load
from zyz_match.days import today
from zyz_match.domain import CLOSING_STAGES, LeadEntry, Stage, Town
from zyz_match.errors import InputError, NotFoundError
from zyz_match.service import Service
from zyz_match.settings import load_settings
from zyz_match.stages import may_follow
from zyz_match.storage.database import parse_url
from zyz_match.storage.lead_order import Step, contradictions, in_order
from zyz_match.storage.migrations import FOLDER
from zyz_match.storage.row_files import read_rows
from zyz_match.storage.row_imports import Plan
from zyz_match.storage.shortlists import Asked
from zyz_match.storage.store import Store

SPAWN = multiprocessing.get_context("spawn")
TOWN = Town("casting", "合成铸造专业镇")
SILK = Town("silk", "合成丝绸专业镇")
DAY = date(2024, 3, 1)


@pytest.fixture
def office(store: Store) -> Store:
    """Two towns and three firms, the second of them founded in 2024."""
    prepare(store)
    return store


def prepare(store: Store) -> None:
    store.put_town(TOWN)
    store.put_town(SILK)
    load(store, {"name": "甲厂"}, {"name": "乙厂", "founded": "2024-02-01"}, {"name": "丙厂"})


def entry(stage: Stage, day: int = 0, firm: str = "甲厂", **more: object) -> LeadEntry:
    """An entry so many days after DAY."""
    made = LeadEntry(0, TOWN.id, firm, DAY + timedelta(days=day), stage)
    return replace(made, **more)  # type: ignore[arg-type]


def record(store: Store, *stages: Stage, firm: str = "甲厂") -> list[LeadEntry]:
    """Entries of one firm, one a day."""
    return [store.record_lead(entry(s, i, firm))[1] for i, s in enumerate(stages)]


def stages_of(store: Store) -> list[Stage]:
    return [e.stage for e in store.lead_entries() if e.effective]


# one entry ---------------------------------------------------------------------------------


def test_an_entry_comes_back_as_it_was_recorded(office: Store) -> None:
    given = entry(Stage.NO_INTEREST, reason="land", owner="张三", note="电话", via="api")
    change, kept = office.record_lead(given)
    assert change == "created"
    assert office.lead_entries() == [kept]
    assert replace(kept, id=0, recorded_at="") == given


def test_the_same_entry_again_changes_nothing_and_another_one_does(office: Store) -> None:
    stamps = [office.lead_stamp()]
    first = office.record_lead(entry(Stage.CONTACTED))[1]
    stamps.append(office.lead_stamp())
    assert office.record_lead(entry(Stage.CONTACTED, via="api")) == ("unchanged", first)
    assert office.lead_stamp() == stamps[-1]
    assert office.record_lead(entry(Stage.CONTACTED, note="又打了一次"))[0] == "created"
    stamps.append(office.lead_stamp())
    assert len(set(stamps)) == 3


def test_a_lead_leaves_the_data_of_the_firms_alone(office: Store) -> None:
    before = (office.data_stamp(), office.town_stamp())
    record(office, Stage.CONTACTED)
    assert (office.data_stamp(), office.town_stamp()) == before


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (entry(Stage.SIGNED, town_id="nowhere"), "没有专业镇“nowhere”"),
        (entry(Stage.SIGNED, firm="丁厂"), "没有企业“丁厂”"),
        (entry(Stage.SIGNED, firm="乙厂", date=date(2024, 1, 31)), "早于企业成立日期 2024-02-01"),
        (entry(Stage.SIGNED, list_id="L0"), "没有名单“L0”"),
        (entry(Stage.SIGNED, note="\x00"), "不能保存的字符"),
        (entry(Stage.SIGNED, owner="长" * 301), "跟进人过长"),
    ],
)
def test_what_cannot_be_true_is_refused_and_leaves_nothing(
    office: Store, wrong: LeadEntry, said: str
) -> None:
    check_refused(office, wrong, said)


def test_tomorrow_is_refused(office: Store) -> None:
    tomorrow = today() + timedelta(days=1)  # now: midnight may pass while tests run
    check_refused(office, entry(Stage.SIGNED, date=tomorrow), "晚于今天")


def check_refused(office: Store, wrong: LeadEntry, said: str) -> None:
    before = office.lead_stamp()
    with pytest.raises(InputError, match=said):
        office.record_lead(wrong)
    assert (office.lead_entries(), office.lead_stamp()) == ([], before)


def test_the_day_a_firm_was_founded_and_today_are_good_days(office: Store) -> None:
    for good in (date(2024, 2, 1), today()):
        made = entry(Stage.CONTACTED, firm="乙厂", date=good)
        assert office.record_lead(made)[0] == "created"


def test_an_entry_may_name_the_list_that_named_the_firm_and_no_other(office: Store) -> None:
    from tests.storage.test_store import shortlist

    shown = shortlist(1.0)
    firm = replace(shown.matches[0].firm, firm_id="甲厂")
    shown = replace(shown, town=TOWN, matches=(replace(shown.matches[0], firm=firm),))
    kept = office.keep_shortlist(shown, Asked(1))
    assert office.record_lead(entry(Stage.CONTACTED, list_id=kept))[0] == "created"
    with pytest.raises(InputError, match="中没有企业“丙厂”"):
        office.record_lead(entry(Stage.CONTACTED, firm="丙厂", list_id=kept))
    with pytest.raises(InputError, match="是专业镇“casting”的"):
        office.record_lead(entry(Stage.CONTACTED, town_id=SILK.id, list_id=kept))


# the order of stages -----------------------------------------------------------------------


def test_a_stage_that_goes_backwards_is_refused_by_date_not_by_arrival(office: Store) -> None:
    office.record_lead(entry(Stage.NEGOTIATING, 10))
    with pytest.raises(InputError, match=r"先后矛盾.*--corrects 1"):
        office.record_lead(entry(Stage.CONTACTED, 20))
    assert office.record_lead(entry(Stage.CONTACTED, 5))[0] == "created"
    with pytest.raises(InputError, match="先后矛盾"):
        office.record_lead(entry(Stage.SIGNED, 7))
    assert stages_of(office) == [Stage.NEGOTIATING, Stage.CONTACTED]


def test_stages_may_be_skipped_and_repeated(office: Store) -> None:
    record(office, Stage.RECOMMENDED, Stage.VISITED, Stage.VISITED, Stage.SIGNED, Stage.LANDED)
    assert len(office.lead_rounds()) == 1


def test_after_an_end_a_new_round_may_begin(office: Store) -> None:
    record(office, Stage.NEGOTIATING, Stage.LOST, Stage.CONTACTED, Stage.SIGNED)
    rounds = office.lead_rounds()
    assert list(rounds["stage"]) == ["lost", "signed"]
    assert list(rounds["best"]) == ["negotiating", "signed"]


@pytest.mark.parametrize("then", [s for s in Stage if s is not Stage.LOST])
def test_what_has_landed_can_only_be_lost(office: Store, then: Stage) -> None:
    record(office, Stage.LANDED)
    with pytest.raises(InputError, match="“已落地”之后只能是“已流失”"):
        office.record_lead(entry(then, 5))
    office.record_lead(entry(Stage.LOST, 5))
    assert office.lead_rounds()["best"].tolist() == ["landed"]


def test_steps_of_one_day_are_taken_in_the_order_of_the_way(office: Store) -> None:
    for stage in (Stage.UNFIT, Stage.VISITED, Stage.CONTACTED):
        office.record_lead(entry(stage))
    assert office.lead_rounds()[["stage", "best", "entries"]].values.tolist() == [
        ["unfit", "visited", 3]
    ]


def test_another_town_and_another_firm_have_a_history_of_their_own(office: Store) -> None:
    record(office, Stage.SIGNED)
    record(office, Stage.CONTACTED, firm="丙厂")
    office.record_lead(entry(Stage.CONTACTED, 9, town_id=SILK.id))
    assert len(office.lead_rounds()) == 3


steps = st.lists(
    st.builds(
        Step,
        date=st.integers(1, 9).map(lambda d: f"2024-01-0{d}"),
        stage=st.sampled_from(Stage),
        key=st.text("ab", max_size=2),
    ),
    max_size=9,
)


def _told_apart(made: Sequence[Step]) -> list[Step]:
    """The steps with keys and places of their own."""
    return [replace(s, key=f"{s.key}{i}", at=i) for i, s in enumerate(made)]


def _is_history(kept: Sequence[Step]) -> bool:
    return all(may_follow(a.stage, b.stage) for a, b in pairwise(in_order(kept)))


@given(made=steps, split=st.integers(0, 9))
def test_what_is_accepted_is_a_history_whatever_was_stored_before(
    made: list[Step], split: int
) -> None:
    told = _told_apart(made)
    early, late = told[:split], told[split:]
    refused = contradictions(early)
    stored = [replace(s, id=s.at + 1, at=-1) for s in early if s.at not in refused]
    assert _is_history(stored)
    refused = contradictions([*stored, *late])
    new = [s for s in late if s.at not in refused]
    assert _is_history([*stored, *new])
    again = contradictions([*stored, *(replace(s, id=s.at + 1) for s in new),
                            *(s for s in late if s.at in refused)])  # fmt: skip
    assert set(again) == set(refused), "what was refused once is refused again"


@given(made=steps, seed=st.randoms(use_true_random=False))
def test_the_order_of_arrival_decides_nothing(made: list[Step], seed: object) -> None:
    told = _told_apart(made)
    shuffled = list(told)
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    assert contradictions(told).keys() == contradictions(shuffled).keys()


# corrections -------------------------------------------------------------------------------


def test_a_correction_takes_the_place_of_the_entry_and_both_are_told(office: Store) -> None:
    first, second = record(office, Stage.CONTACTED, Stage.SIGNED)
    fixed = office.record_lead(entry(Stage.VISITED, 1, corrects=second.id))[1]
    assert stages_of(office) == [Stage.VISITED, Stage.CONTACTED]
    told = {e.id: e.effective for e in office.lead_entries()}
    assert told == {first.id: True, second.id: False, fixed.id: True}
    assert office.lead_rounds()["best"].tolist() == ["visited"]


def test_a_correction_is_judged_without_the_entry_that_it_corrects(office: Store) -> None:
    (wrong,) = record(office, Stage.SIGNED)
    office.record_lead(entry(Stage.CONTACTED, 0, corrects=wrong.id))
    office.record_lead(entry(Stage.VISITED, 3))
    assert stages_of(office) == [Stage.VISITED, Stage.CONTACTED]


def test_an_entry_is_corrected_once_and_the_correction_can_be_corrected(office: Store) -> None:
    (wrong,) = record(office, Stage.SIGNED)
    right = office.record_lead(entry(Stage.VISITED, corrects=wrong.id))[1]
    with pytest.raises(InputError, match="已被更正过"):
        office.record_lead(entry(Stage.CONTACTED, corrects=wrong.id))
    back = office.record_lead(entry(Stage.SIGNED, corrects=right.id))[1]
    assert [e.id for e in office.lead_entries() if e.effective] == [back.id]


def test_recording_a_corrected_entry_anew_is_refused_with_the_cure(office: Store) -> None:
    (wrong,) = record(office, Stage.SIGNED)
    right = office.record_lead(entry(Stage.VISITED, corrects=wrong.id))[1]
    with pytest.raises(InputError, match=f"--corrects {right.id}"):
        record(office, Stage.SIGNED)


def test_a_correction_may_move_an_entry_to_the_firm_that_was_meant(office: Store) -> None:
    (wrong,) = record(office, Stage.SIGNED)
    office.record_lead(entry(Stage.SIGNED, firm="丙厂", corrects=wrong.id))
    assert office.lead_rounds()["firm_id"].tolist() == ["丙厂"]


@pytest.mark.parametrize("number", [0, 99, -1, 2**40])
def test_correcting_what_is_not_there_is_refused(office: Store, number: int) -> None:
    with pytest.raises(NotFoundError, match="没有第"):
        office.record_lead(entry(Stage.SIGNED, corrects=number))


# rounds, care, pages -----------------------------------------------------------------------


def test_a_round_tells_first_and_last_day_and_who_took_care(office: Store) -> None:
    office.record_lead(entry(Stage.CONTACTED, 0, owner="张三"))
    office.record_lead(entry(Stage.VISITED, 30, owner="李四"))
    office.record_lead(entry(Stage.NO_INTEREST, 60, reason="labour"))
    (row,) = office.lead_rounds().to_dict("records")
    assert (row["date"].date(), row["closed"].date()) == (DAY, DAY + timedelta(days=60))
    assert (row["stage"], row["best"], row["reason"]) == ("no_interest", "visited", "labour")
    assert (row["owner"], row["entries"]) == ("李四", 3)


def test_rounds_are_sorted_by_their_end_and_keep_their_types(office: Store) -> None:
    empty = office.lead_rounds()
    record(office, Stage.RECOMMENDED, Stage.VISITED, Stage.LOST)
    record(office, Stage.UNFIT, firm="丙厂")
    rounds = office.lead_rounds()
    assert list(rounds["firm_id"]) == ["丙厂", "甲厂"]
    assert list(rounds["best"]) == ["", "visited"]
    pd.testing.assert_series_equal(empty.dtypes, rounds.dtypes)
    assert empty.empty


def test_care_tells_the_newest_entry_by_date(office: Store) -> None:
    office.record_lead(entry(Stage.NEGOTIATING, 10, owner="李四"))
    office.record_lead(entry(Stage.CONTACTED, 1, owner="张三"))
    assert office.care(TOWN.id, ["甲厂", "丙厂"]) == {
        "甲厂": ("negotiating", "李四", DAY + timedelta(days=10))
    }
    assert office.care(SILK.id, ["甲厂"]) == {}


def test_pages_of_entries_together_are_all_entries(office: Store) -> None:
    for i in range(7):
        office.record_lead(entry(Stage.CONTACTED, i // 2, note=str(i)))
    every = office.lead_entries()
    assert [e.date for e in every] == sorted((e.date for e in every), reverse=True)
    found: list[LeadEntry] = []
    while page := office.lead_entries(
        after=(found[-1].date, found[-1].id) if found else None, limit=3
    ):
        found += page
    assert found == every
    assert office.lead_entries(firm_id="丙厂") == office.lead_entries(town_id=SILK.id) == []


# files -------------------------------------------------------------------------------------

HEADER = "town_id,firm_id,date,outcome,owner"
FULL = (
    "casting,甲厂,2024-03-01,recommended,张三",
    "casting,甲厂,2024-04-01,contacted,张三",
    "casting,甲厂,2024-06-01,lost,李四",
    "casting,甲厂,2024-07-01,contacted,李四",
    "silk,乙厂,2024-05-01,signed,王五",
    "casting,丙厂,2024-05-02,unfit,",
)


def take(store: Store, path: Path, *lines: str, kind: str = "leads", head: str = HEADER) -> Plan:
    """Import lines as one file."""
    path.write_text("\n".join((head, *lines)) + "\n", "utf-8")
    file = read_rows(path, "leads" if kind == "leads" else "events")
    return store.import_rows(file, lambda plan: None)[0]


def content(store: Store) -> list[object]:
    return [store.lead_rounds().values.tolist(), store.lead_stamp(), len(store.lead_entries())]


def test_a_file_brings_its_whole_history_and_the_same_again_changes_nothing(
    office: Store, tmp_path: Path
) -> None:
    assert len(take(office, tmp_path / "a.csv", *FULL).new) == 6
    assert len(office.lead_rounds()) == 4
    before, batches = content(office), office.batches()
    assert not take(office, tmp_path / "a.csv", *FULL).new
    assert (content(office), office.batches()) == (before, batches)
    assert take(office, tmp_path / "b.csv", *reversed(FULL)).unchanged == 6
    assert content(office) == before


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(order=st.permutations([*FULL, "casting,甲厂,2024-06-05,negotiating,赵六", FULL[0]]))
def test_a_shuffled_file_makes_the_same_rounds(
    tmp_path_factory: pytest.TempPathFactory, order: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("shuffled")
    with Store.open(f"sqlite:///{folder / 'zyz.db'}") as store:
        prepare(store)
        plan = take(store, folder / "a.csv", *order)
        assert (len(plan.new), plan.repeated, len(plan.faults)) == (6, 1, 1)
        rounds = store.lead_rounds()[["firm_id", "stage", "best", "entries"]]
        assert rounds.values.tolist() == [
            ["乙厂", "signed", "signed", 1], ["丙厂", "unfit", "", 1],
            ["甲厂", "lost", "contacted", 3], ["甲厂", "negotiating", "negotiating", 1],
        ]  # fmt: skip


def test_a_contradiction_in_a_file_refuses_the_later_row_and_keeps_the_rest(
    office: Store, tmp_path: Path
) -> None:
    wrong = "casting,甲厂,2024-08-01,recommended,"
    plan = take(office, tmp_path / "a.csv", *FULL, wrong)
    assert list(plan.faults) == [6]
    assert "先后矛盾" in plan.faults[6]
    assert len(plan.new) == 6


def test_a_row_with_stage_and_outcome_is_two_steps_or_none(office: Store, tmp_path: Path) -> None:
    head = "town_id,firm_id,date,outcome,stage"
    plan = take(
        office, tmp_path / "a.csv", "casting,甲厂,2024-03-01,lost,negotiating",
        "casting,丙厂,2024-03-01,signed,contacted", head=head,
    )  # fmt: skip
    assert list(plan.faults) == [1]
    assert "阶段与结果不一致" in plan.faults[1]
    assert office.lead_rounds()[["stage", "best"]].values.tolist() == [["lost", "negotiating"]]


def test_what_accept_refuses_leaves_nothing(office: Store, tmp_path: Path) -> None:
    def refuse(plan: Plan) -> None:
        raise InputError("不")

    (tmp_path / "a.csv").write_text("\n".join((HEADER, *FULL)), "utf-8")
    before = (content(office), office.batches())
    with pytest.raises(InputError, match="不"):
        office.import_rows(read_rows(tmp_path / "a.csv", "leads"), refuse)
    assert (content(office), office.batches()) == before


def test_an_import_of_leads_is_undone_but_for_what_others_said_too(
    office: Store, tmp_path: Path
) -> None:
    office.record_lead(entry(Stage.RECOMMENDED, owner="张三"))  # FULL[0], by hand
    take(office, tmp_path / "a.csv", *FULL)
    take(office, tmp_path / "b.csv", FULL[1])
    last = office.lead_entries(firm_id="丙厂")[0]
    office.record_lead(replace(last, id=0, note="核实过", corrects=last.id))
    batch = next(b for b in office.batches() if b.file_name == "a.csv")
    done = office.undo(batch.batch_id)
    assert (done.kind, done.removed, done.kept) == ("leads", 3, 3)
    assert [e.stage for e in office.lead_entries(firm_id="甲厂")] == ["contacted", "recommended"]
    take(office, tmp_path / "a.csv", *FULL)
    assert len(office.lead_entries()) == 7


def test_undoing_the_last_file_that_spoke_of_an_entry_takes_it_away(
    office: Store, tmp_path: Path
) -> None:
    take(office, tmp_path / "a.csv", *FULL)
    take(office, tmp_path / "b.csv", *FULL, "casting,丙厂,2024-09-01,contacted,")
    first, second = (b.batch_id for b in reversed(office.batches()[:2]))
    assert office.undo(first).removed == 0
    assert office.undo(second).removed == 7
    with pytest.raises(InputError, match="撤销过"):
        office.undo(second)
    assert office.lead_entries() == []


# events ------------------------------------------------------------------------------------

EVENT_HEADER = "firm_id,date,region,industry,target,amount"


def test_a_file_of_events_is_imported_once_and_undone(office: Store, tmp_path: Path) -> None:
    lines = ("甲厂,2023-01-01,晋城市,3391,合成乙,1.5亿元", "丙厂,2023-02-01,,,,")
    before = office.data_stamp()
    plan = take(office, tmp_path / "e.csv", *lines, kind="events", head=EVENT_HEADER)
    assert (len(plan.new), office.events()["amount"].tolist()[0]) == (2, 15000.0)
    stamp = office.data_stamp()
    assert stamp != before
    again = take(office, tmp_path / "e.csv", *lines, kind="events", head=EVENT_HEADER)
    assert (again.unchanged, office.data_stamp()) == (2, stamp)
    office.add_events(office.events().iloc[:1])  # said by a person too: stays
    assert office.undo(office.batches()[0].batch_id).removed == 1
    assert list(office.events()["firm_id"]) == ["甲厂"]


# stores of the first version ---------------------------------------------------------------

_OLD_ROWS = (
    "INSERT INTO batch (file_name, file_hash, rows, created_at) VALUES "
    "('老.csv', 'h', 1, '2024-01-01T00:00:00+00:00')",
    "INSERT INTO event (key, firm_id, date) VALUES ('k', '甲厂', '2023-01-01')",
    "INSERT INTO shortlist (id, town_id, asked_at, filters, model, data, pool, total) VALUES "
    "('L1', 'casting', '2024-01-01T00:00:00+00:00', '{}', 'm', 'd', 1, 1)",
    "INSERT INTO shortlist_item (shortlist_id, rank, firm_id, score) VALUES ('L1', 1, '甲厂', 2.5)",
)


def _make_first_version(url: str) -> None:
    if url.startswith("sqlite"):
        Path(str(parse_url(url).database)).parent.mkdir(parents=True)
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    engine = sa.create_engine(parse_url(url))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in _OLD_ROWS:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_a_store_of_the_first_version_keeps_what_it_holds(
    empty_database_url: str, tmp_path: Path
) -> None:
    _make_first_version(empty_database_url)
    with Store.open(empty_database_url) as store:
        assert [b.kind for b in store.batches()] == ["firms"]
        assert list(store.events()["firm_id"]) == ["甲厂"]
        receipt = store.receipt("L1")
        assert receipt is not None
        assert [(i.rank, i.firm_id, i.score) for i in receipt.items] == [(1, "甲厂", 2.5)]
        service = Service(load_settings({"ZYZ_HOME": str(tmp_path)}), store)
        verdict = service.reproduce("L1")
        assert verdict.same is None
        assert "当时没有留存" in verdict.remarks[0]


# faults ------------------------------------------------------------------------------------


def _import_and_wait(url: str, path: str, reached: str) -> None:
    def stop(done: int, _total: int) -> None:
        Path(reached).write_text(str(done))
        time.sleep(600)

    with Store.open(url) as store:
        store.import_rows(read_rows(Path(path), "leads"), lambda plan: None, progress=stop)


@pytest.mark.slow
def test_an_import_killed_in_the_middle_leaves_the_store_as_it_was(
    database_url: str, tmp_path: Path
) -> None:
    path, reached = tmp_path / "a.csv", tmp_path / "reached"
    with Store.open(database_url) as store:
        prepare(store)
        record(store, Stage.CONTACTED)
        before = (content(store), store.batches())
    lines = [f"casting,丙厂,2024-03-01,contacted,第{i}次" for i in range(4500)]
    path.write_text("\n".join((HEADER, *lines)), "utf-8")
    worker = SPAWN.Process(target=_import_and_wait, args=(database_url, str(path), str(reached)))
    worker.start()
    _wait_for(reached.exists, worker.is_alive)
    os.kill(worker.pid or 0, signal.SIGKILL)
    worker.join()
    with Store.open(database_url) as store:
        assert (content(store), store.batches()) == before
        assert len(store.import_rows(read_rows(path, "leads"), lambda plan: None)[0].new) == 4500


def _wait_for(reached: Callable[[], bool], alive: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        assert alive()
        time.sleep(0.02)


def test_every_stage_either_leads_on_or_ends(office: Store) -> None:
    assert set(CLOSING_STAGES) < set(Stage)
    assert all(may_follow(Stage.RECOMMENDED, s) for s in Stage)
