from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.storage.world import USCC_A, USCC_B, frame, load, people
from zyz_match.domain import Col, LeadEntry, Stage, Town
from zyz_match.errors import InputError, NotFoundError
from zyz_match.storage import audit
from zyz_match.storage.database import Database
from zyz_match.storage.row_files import read_rows
from zyz_match.storage.store import Store, UndoResult
from zyz_match.storage.tables import firm as firm_table

A = {"name": "泽州甲铸造有限公司", "uscc": USCC_A, "city": "晋城市", "capital": 500.0}
B = {"name": "高平乙丝绸有限公司", "products": "潞绸"}


def counts(result: Any) -> tuple[int, int, int]:
    return result.created, result.updated, result.unchanged


# in ----------------------------------------------------------------------------------------


def test_the_same_file_again_does_nothing(store: Store) -> None:
    first = load(store, A, B, file="f.csv")
    stamp = store.data_stamp()
    again = load(store, A, B, file="f.csv")
    assert counts(first) == (2, 0, 0)
    assert (again.batch_id, again.repeated) == (first.batch_id, True)
    assert store.data_stamp() == stamp
    assert len(store.batches()) == 1


def test_the_same_rows_in_another_file_change_nothing(store: Store) -> None:
    load(store, A, B)
    stamp, table = store.data_stamp(), store.firm_table()
    assert counts(load(store, B, A | {"source": "另一个文件"})) == (0, 0, 2)
    assert store.data_stamp() == stamp
    pd.testing.assert_frame_equal(store.firm_table(), table)


def test_a_new_value_wins_and_a_missing_one_keeps_the_old(store: Store) -> None:
    load(store, A | {"employees": 30.0, "scope": "铸件"})
    assert counts(load(store, A | {"capital": 800.0, "city": ""})) == (0, 1, 0)
    firm = store.firm(USCC_A)
    assert firm is not None
    assert (firm.capital, firm.city, firm.employees, firm.scope) == (800.0, "晋城市", 30, "铸件")


def test_an_unknown_standing_does_not_erase_a_known_one(store: Store) -> None:
    load(store, A | {"status": "注销", "standing": "gone"})
    load(store, A | {"capital": 1.0})
    firm = store.firm(USCC_A)
    assert firm is not None
    assert (firm.status, firm.standing) == ("注销", "gone")


def test_a_place_is_never_half_old_and_half_new(store: Store) -> None:
    old = {"province": "山西省", "city": "晋城市", "county": "泽州县", "division": "140525"}
    load(store, A | old)
    load(store, A | {"province": "山西省", "city": "", "division": "140000"})
    firm = store.firm(USCC_A)
    assert firm is not None
    assert (firm.county, firm.division) == ("泽州县", "140525")
    load(store, A | {"province": "浙江省", "city": "", "division": "330000"})
    firm = store.firm(USCC_A)
    assert firm is not None
    assert (firm.province, firm.city, firm.county, firm.division) == ("浙江省", "", "", "330000")


def test_a_coarser_industry_takes_nothing_away(store: Store) -> None:
    load(store, A | {"industry": "3391", "industry_text": "黑色金属铸造"})
    load(store, A | {"industry": "33", "industry_text": "金属制品业", "capital": 7.0})
    firm = store.firm(USCC_A)
    assert firm is not None
    assert (firm.industry, firm.industry_text, firm.capital) == ("3391", "黑色金属铸造", 7.0)


def test_a_firm_known_by_name_is_the_same_once_its_code_is_known(store: Store) -> None:
    load(store, {"name": A["name"], "scope": "铸件"})
    assert counts(load(store, A)) == (0, 1, 0)
    assert counts(load(store, {"name": "泽州甲铸造 有限公司", "capital": 9.0})) == (0, 1, 0)
    assert store.firm_count() == 1
    [firm] = store.find_firms(USCC_A)
    assert (firm.scope, firm.capital) == ("铸件", 9.0)
    assert firm.firm_id == store.firm_table()[Col.FIRM_ID][0] != USCC_A  # keeps its first id


def test_a_listed_firm_is_the_same_by_its_stock_code(store: Store) -> None:
    load(store, {"name": "旧名股份有限公司", "stock_code": "600000"})
    load(store, {"name": "新名股份有限公司", "stock_code": "600000", "uscc": USCC_A})
    assert [f.name for f in store.firm_page(None, 9)] == ["新名股份有限公司"]


def test_two_codes_are_two_firms_whatever_their_name(store: Store) -> None:
    load(store, A)
    assert counts(load(store, A | {"uscc": USCC_B})) == (1, 0, 0)
    assert {f.firm_id for f in store.find_firms(str(A["name"]))} == {USCC_A, USCC_B}
    assert counts(load(store, A | {"uscc": USCC_B}, file="again")) == (0, 0, 1)


def test_a_given_id_with_another_code_is_another_firm(store: Store) -> None:
    load(store, A | {"firm_id": "F1"})
    other = {"firm_id": "F1", "uscc": USCC_B, "name": "别家有限公司"}
    assert counts(load(store, other)) == (1, 0, 0)
    assert counts(load(store, other, file="again")) == (0, 0, 1)
    assert {f.firm_id for f in store.firm_page(None, 9)} == {"F1", USCC_B}


def test_ids_that_a_file_gives_tell_firms_of_one_name_apart(store: Store) -> None:
    twins = [{"firm_id": f"F{i}", "name": "同名有限公司"} for i in (1, 2)]
    assert counts(load(store, *twins)) == (2, 0, 0)
    assert counts(load(store, *reversed(twins))) == (0, 0, 2)
    assert counts(load(store, {"firm_id": "别的编号", "name": "同名有限公司"})) == (1, 0, 0)


def test_names_that_differ_by_case_alone_stay_apart(store: Store) -> None:
    twins = [{"firm_id": n, "name": n} for n in ("ABC Co", "abc co")]
    assert counts(load(store, *twins)) == (2, 0, 0)
    assert counts(load(store, *twins, file="again")) == (0, 0, 2)


def test_a_name_that_a_crowd_shares_tells_nothing(store: Store) -> None:
    crowd = [{"firm_id": f"F{i}", "name": "个体户"} for i in range(3000)]
    assert counts(load(store, *crowd)) == (3000, 0, 0)
    assert counts(load(store, *crowd, {"name": "个体户", "city": "晋城市"})) == (1, 0, 3000)


def test_rows_of_one_firm_in_one_file_become_one(store: Store) -> None:
    rows = [A | {"firm_id": "x", "capital": float(n)} for n in range(3)]
    assert counts(load(store, *rows, B)) == (2, 0, 0)
    firm = store.firm("x")
    assert firm is not None
    assert firm.capital == 2.0
    assert store.batches()[0].rows == 4


@pytest.mark.parametrize("bad", ["a\x00b", "a\ud800"])
@pytest.mark.parametrize("column", ["name", "scope", "firm_id"])
def test_text_that_not_every_database_holds_is_refused(store: Store, bad: str, column: str) -> None:
    table = frame(A, B).astype({column: object})
    table.loc[1, column] = bad
    with pytest.raises(InputError, match="不能保存的字符"):
        store.import_firms(table, file_name="f", file_hash="h")
    assert (store.firm_count(), store.batches()) == (0, [])


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_an_infinite_number_is_refused(store: Store, bad: float) -> None:
    with pytest.raises(InputError, match="无穷大"):
        load(store, A | {"revenue": bad})


def test_a_table_without_a_column_or_an_id_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="缺少列：scope"):
        store.import_firms(frame(A).drop(columns="scope"), file_name="f", file_hash="h")
    with pytest.raises(InputError, match="空值"):
        load(store, A | {"firm_id": ""})
    with pytest.raises(InputError, match="300 字"):
        load(store, A | {"firm_id": "长" * 301})


def test_an_empty_file_is_a_batch_of_nothing(store: Store) -> None:
    assert counts(store.import_firms(frame(), file_name="f", file_hash="h")) == (0, 0, 0)
    assert store.data_stamp() == "0"
    assert store.firm_table().empty


def test_a_failure_in_the_middle_leaves_nothing(store: Store) -> None:
    def fail(done: int, total: int) -> None:
        raise KeyboardInterrupt

    rows = [{"name": f"第{i}有限公司"} for i in range(5000)]
    with pytest.raises(KeyboardInterrupt):
        store.import_firms(frame(*rows), file_name="f", file_hash="h", progress=fail)
    assert (store.firm_count(), store.batches(), store.data_stamp()) == (0, [], "0")
    assert counts(load(store, A)) == (1, 0, 0)


def test_progress_ends_at_the_number_of_rows(store: Store) -> None:
    seen: list[tuple[int, int]] = []
    rows = [{"name": f"第{i}有限公司"} for i in range(4001)]
    store.import_firms(
        frame(*rows), file_name="f", file_hash="h", progress=lambda d, n: seen.append((d, n))
    )
    assert seen[-1] == (4001, 4001)
    assert len(seen) == 3


# contacts ----------------------------------------------------------------------------------


def test_contacts_are_kept_apart_and_by_the_stored_id(store: Store) -> None:
    load(store, {"name": A["name"]})
    stored = store.firm_page(None, 1)[0].firm_id
    given = people((USCC_A, "phone", "13800000000"), (USCC_A, "mail", "a@b.cn"))
    store.import_firms(frame(A), given, file_name="f", file_hash="h")
    assert store.contacts(stored) == [("phone", "13800000000"), ("mail", "a@b.cn")]
    assert not store.firm_table().isin(["13800000000", "a@b.cn"]).to_numpy().any()


def test_contacts_go_with_the_batch_that_brought_them(store: Store) -> None:
    phone = people((USCC_A, "phone", "1"))
    store.import_firms(frame(A), phone, file_name="f", file_hash="1")
    both = people((USCC_A, "phone", "1"), (USCC_A, "person", "张三"))
    store.import_firms(frame(A), both, file_name="f", file_hash="2")
    store.undo("2")
    assert store.contacts(USCC_A) == [("phone", "1")]
    store.undo("1")
    assert store.contacts(USCC_A) == []


@pytest.mark.parametrize("bad", [("fax", "1"), ("phone", "a\x00"), ("phone", "1" * 301)])
def test_a_wrong_contact_is_refused_without_being_shown(store: Store, bad: tuple[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        store.import_firms(frame(A), people((USCC_A, *bad)), file_name="f", file_hash="h")
    assert bad[1] not in caught.value.message.replace("01", "")
    assert store.firm_count() == 0


# out ---------------------------------------------------------------------------------------


def test_a_batch_is_undone_to_the_last_cell(store: Store) -> None:
    load(store, A, B)
    before = store.firm_table()
    load(store, A | {"capital": 1.0, "scope": "新"}, {"name": "丙有限公司"})
    assert store.undo("2") == UndoResult(removed=1, restored=1, kept=0)
    pd.testing.assert_frame_equal(store.firm_table(), before)
    assert store.undo("1") == UndoResult(removed=2, restored=0, kept=0)
    assert store.firm_table().empty


def test_a_firm_that_a_later_batch_changed_is_kept_and_counted(store: Store) -> None:
    load(store, A, B)
    load(store, A | {"capital": 1.0})
    assert store.undo("1") == UndoResult(removed=1, restored=0, kept=1)
    assert [f.firm_id for f in store.firm_page(None, 9)] == [USCC_A]
    assert store.undo("2") == UndoResult(removed=1, restored=1, kept=0)
    assert store.firm_count() == 0


def test_a_firm_that_a_later_batch_confirmed_is_kept(store: Store) -> None:
    load(store, A)
    load(store, A, B)
    assert store.undo("1").kept == 1
    assert store.firm_count() == 2


def lead_of(store: Store) -> None:
    store.put_town(Town("casting", "合成铸造专业镇"))
    store.record_lead(LeadEntry(0, "casting", USCC_A, date(2024, 3, 1), Stage.CONTACTED))


def event_of(store: Store) -> None:
    told = {"firm_id": USCC_A, "date": "2024-03-01", "region": "晋城市", "industry": "",
            "target": ""}  # fmt: skip
    store.add_events(pd.DataFrame([told]))


def place_of(store: Store) -> None:
    store.add_existing([("casting", USCC_A)])


@pytest.mark.parametrize("refer", [lead_of, event_of, place_of])
def test_a_new_firm_that_others_refer_to_is_kept_and_counted(
    store: Store, refer: Callable[[Store], None]
) -> None:
    load(store, A, B)
    refer(store)
    assert store.undo("1") == UndoResult(removed=1, restored=0, kept=1)
    assert [f.firm_id for f in store.firm_page(None, 9)] == [USCC_A]
    assert [f.fault for f in store.check()] == [""] * len(store.check())
    load(store, {"name": "丙有限公司"})
    assert store.undo("2") == UndoResult(removed=1, restored=0, kept=0)
    assert store.firm(USCC_A) is not None


@pytest.mark.parametrize("refer", [lead_of, event_of, place_of])
def test_a_change_of_a_firm_that_others_refer_to_is_taken_back_all_the_same(
    store: Store, refer: Callable[[Store], None]
) -> None:
    load(store, A)
    before = store.firm_table()
    load(store, A | {"capital": 1.0})
    refer(store)
    assert store.undo("1") == UndoResult(removed=0, restored=0, kept=1)
    assert store.undo("2") == UndoResult(removed=0, restored=1, kept=0)
    pd.testing.assert_frame_equal(store.firm_table(), before)


def test_a_firm_goes_with_the_next_undo_once_nothing_refers_to_it(
    store: Store, tmp_path: Path
) -> None:
    store.put_town(Town("casting", "合成铸造专业镇"))
    load(store, A)
    path = tmp_path / "leads.csv"
    path.write_text(f"town_id,firm_id,date,outcome\ncasting,{USCC_A},2024-03-01,contacted\n")
    store.import_rows(read_rows(path, "leads"), lambda _plan: None)
    assert store.undo("1") == UndoResult(removed=0, restored=0, kept=1)
    assert store.undo("2") == UndoResult(removed=1, restored=0, kept=0, kind="leads")
    load(store, B)
    assert store.undo("3") == UndoResult(removed=2, restored=0, kept=0)


def test_leads_and_events_of_no_firm_are_found(store: Store, database_url: str) -> None:
    load(store, A)
    lead_of(store)
    event_of(store)
    database = Database.open(database_url)
    with database.write() as connection:
        connection.execute(firm_table.delete())
        audit.note(connection, "test")
    database.close()
    (found,) = [f for f in store.check() if f.what == "表间引用"]
    assert found.fault == "引用的行不存在：lead.firm_id 有 1 行、event.firm_id 有 1 行。"


def test_an_undone_file_can_be_imported_again(store: Store) -> None:
    load(store, A, file="f.csv")
    store.undo("1")
    again = load(store, A, file="f.csv")
    assert (again.batch_id, counts(again), again.repeated) == ("2", (1, 0, 0), False)
    newest, oldest = store.batches()
    assert newest.undone_at is None
    assert oldest.undone_at is not None
    assert oldest.undone_at >= oldest.created_at


def test_a_batch_is_undone_once(store: Store) -> None:
    load(store, A)
    store.undo("1")
    with pytest.raises(InputError, match="撤销过"):
        store.undo("1")


@pytest.mark.parametrize("wrong", ["7", "x", "", "-1", "１", "9" * 30, "1\x00"])
def test_no_such_batch_is_told_with_those_there_are(store: Store, wrong: str) -> None:
    load(store, A)
    with pytest.raises(NotFoundError) as caught:
        store.undo(wrong)
    assert caught.value.details == ("1",)


firms_strategy = st.dictionaries(
    st.sampled_from(["甲", "乙", "丙", "丁"]), st.integers(0, 3), min_size=1
)


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(files=st.lists(firms_strategy, min_size=1, max_size=4), data=st.data())
def test_undoing_every_batch_in_any_order_leaves_what_was_there(
    store: Store, files: list[dict[str, int]], data: st.DataObject
) -> None:
    before = store.firm_table()
    ids = []
    for content in files:
        rows = [{"name": n, "capital": float(c) if c else np.nan} for n, c in content.items()]
        name = f"{len(store.batches())}.csv"
        ids.append(store.import_firms(frame(*rows), file_name=name, file_hash=name).batch_id)
    for batch_id in data.draw(st.permutations(ids)):
        store.undo(batch_id)
    pd.testing.assert_frame_equal(store.firm_table(), before)


def test_a_section_takes_nothing_from_the_class_below_it(store: Store) -> None:
    load(store, {"name": "甲", "industry": "3391", "industry_text": "黑色金属铸造"})
    for code, text in (("C", "制造业"), ("33", "金属制品业")):
        load(store, {"name": "甲", "industry": code, "industry_text": text})
        assert store.firm_table()["industry"].tolist() == ["3391"]
    load(store, {"name": "甲", "industry": "3392", "industry_text": "有色金属铸造"})
    assert store.firm_table()["industry"].tolist() == ["3392"]


def test_contacts_that_were_erased_do_not_come_back_by_another_key(store: Store) -> None:
    people_of = people(("甲", "phone", "13800000001"))
    first = store.import_firms(frame({"name": "甲"}), people_of, file_name="1", file_hash="1")
    assert store.people.erase("甲") == 1
    store.undo(first.batch_id)
    again = frame({"name": "甲", "uscc": USCC_A})
    store.import_firms(
        again, people((USCC_A, "phone", "13800000001")), file_name="2", file_hash="2"
    )
    (firm_id,) = store.firm_table()["firm_id"]
    assert store.people.look(firm_id, masked=False) == []


def test_a_new_firm_without_a_name_goes_by_its_code_until_it_has_one(store: Store) -> None:
    load(store, {"uscc": USCC_A})
    assert store.firm_table()["name"].tolist() == [USCC_A]
    load(store, {"uscc": USCC_A, "name": "合成甲公司"})
    load(store, {"uscc": USCC_A})
    assert store.firm_table()["name"].tolist() == ["合成甲公司"]
