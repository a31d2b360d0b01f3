"""What became of a list, from the command line: outcome, leads, list, files of leads and events."""

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from zyz_match.days import today

TOWN, FIRM, OTHER = "合成铸造", "合成苏州铸造01有限公司", "合成潍坊铸造02有限公司"
HEADER = "专业镇,企业名称,日期,结果,原因,跟进人,备注"


def file(home: Path, *lines: str, name: str = "跟进.csv") -> Path:
    path = home.parent / name
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


# outcome and leads -------------------------------------------------------------------------


def test_an_outcome_is_written_down_once_and_listed(run_cli: Cli) -> None:
    words = ("outcome", TOWN, FIRM, "洽谈", "--owner", "张三", "--note", "来过一次")
    done = run_cli(*words)
    assert done.code == 0, done.err
    assert "已记下" in done.out
    assert "洽谈中（第 1 条）" in done.out
    assert "未重复" in run_cli(*words).out
    listed = run_cli("leads")
    for text in ("合成铸造专业镇", FIRM, "洽谈中", "张三", "来过一次", "共列出 1 条"):
        assert text in listed.out


def test_an_outcome_has_today_and_the_user_unless_told_otherwise(run_cli: Cli) -> None:
    entry = run_cli("outcome", TOWN, FIRM, "contacted", "--json").json["entry"]
    assert (entry["date"], entry["via"]) == (today().isoformat(), "cli")
    assert entry["owner"]
    words = ("outcome", TOWN, OTHER, "no_interest", "--date", "2024-03-01", "--reason", "用工")
    entry = run_cli(*words, "--owner", "-", "--json").json["entry"]
    assert (entry["date"], entry["owner"], entry["reason"]) == ("2024-03-01", "", "labour")


def test_a_correction_leaves_both_entries_to_be_seen(run_cli: Cli) -> None:
    run_cli("outcome", TOWN, FIRM, "已签约", "--date", "2024-03-01")
    refused = run_cli("outcome", TOWN, FIRM, "已接触", "--date", "2024-03-02")
    assert refused.code == 2
    assert "--corrects 1" in refused.err
    fixed = run_cli("outcome", TOWN, FIRM, "接触", "--date", "2024-03-01", "--corrects", "1")
    assert fixed.code == 0, fixed.err
    told = {e["id"]: e["effective"] for e in run_cli("leads", TOWN, "--json").json}
    assert told == {1: False, 2: True}
    assert "已被更正" in run_cli("leads", "--firm", FIRM).out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("合成", FIRM, "签约"), 3, "对应多个专业镇"),
        ((TOWN, "合成苏州铸造", "签约"), 3, "对应多家企业"),
        ((TOWN, "没有的公司", "签约"), 3, "没有找到企业"),
        ((TOWN, FIRM, "飞了"), 2, "不是可用的阶段；可用：已推荐（recommended）"),
        ((TOWN, FIRM, "签约", "--reason", "路远"), 2, "不是可用的原因"),
        ((TOWN, FIRM, "签约", "--date", "昨天"), 2, "--date 应为日期"),
        ((TOWN, FIRM, "签约", "--date", str(today() + timedelta(9))), 2, "晚于今天"),
        ((TOWN, FIRM, "签约", "--list", "L0"), 2, "没有名单“L0”"),
        ((TOWN, FIRM, "签约", "--corrects", "7"), 3, "没有第 7 条"),
    ],
)
def test_a_wrong_outcome_is_refused_with_the_cure(
    run_cli: Cli, words: tuple[str, ...], code: int, said: str
) -> None:
    done = run_cli("outcome", *words)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert run_cli("leads", "--json").json == []


def test_no_leads_yet_says_how_to_begin(run_cli: Cli) -> None:
    assert "outcome" in run_cli("leads").err
    assert run_cli("leads", "-k", "0").code == 2


# lists -------------------------------------------------------------------------------------


def test_a_list_says_who_takes_care_of_a_firm(run_cli: Cli, home: Path) -> None:
    assert "跟进" not in run_cli("rank", TOWN).out
    run_cli("outcome", TOWN, FIRM, "洽谈", "--owner", "张三")
    assert "洽谈中 张三" in run_cli("rank", TOWN).out
    matches = run_cli("rank", TOWN, "--json").json["matches"]
    cared = {m["firm"]["name"]: m["care_stage"] for m in matches if m["care_stage"]}
    assert cared == {FIRM: "negotiating"}
    path = home.parent / "清单.csv"
    run_cli("rank", TOWN, "--csv", path)
    line = next(x for x in path.read_text("utf-8-sig").splitlines() if FIRM in x)
    assert line.endswith("洽谈中,张三")


def test_a_receipt_is_found_by_its_number_and_comes_out_the_same(run_cli: Cli) -> None:
    shown = run_cli("rank", TOWN, "-k", "3", "--province", "江苏", "--diversify", "--json").json
    done = run_cli("list", shown["id"])
    for text in (shown["id"], "省份：江苏", "分环节", shown["matches"][0]["firm"]["name"]):
        assert text in done.out
    assert done.out.rstrip().endswith("可以重现")
    told = run_cli("list", shown["id"], "--json").json
    assert told["reproduction"] == {"same": True, "remarks": []}
    assert [i["score"] for i in told["items"]] == [m["score"] for m in shown["matches"]]
    outcome = ("outcome", TOWN, shown["matches"][0]["firm"]["firm_id"], "接触")
    assert run_cli(*outcome, "--list", shown["id"]).code == 0


def test_a_receipt_names_the_inputs_that_are_gone(run_cli: Cli, home: Path) -> None:
    number = run_cli("rank", TOWN, "--json").json["id"]
    events = file(home, "企业,日期,地区", f"{FIRM},2024-03-01,晋城市", name="事件.csv")
    assert run_cli("import", "events", events).code == 0
    done = run_cli("list", number)
    assert "不能重现" in done.out
    assert "企业数据已更新" in done.out


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE shortlist SET model = 'prior-0'", "prior-0"),
        ("UPDATE shortlist_item SET score = score + 1 WHERE rank = 1", "输入都在，但结果不同"),
        ("UPDATE shortlist SET existing = 'x'", "已在镇内的企业名单已变化"),
        ("UPDATE shortlist SET k = NULL", "由旧版本给出"),
    ],
)
def test_a_list_that_cannot_be_made_again_says_why(
    run_cli: Cli, home: Path, change: str, said: str
) -> None:
    number = run_cli("rank", TOWN, "--json").json["id"]
    with closing(sqlite3.connect(home / "zyz.db")) as connection, connection:
        connection.execute(change)
    done = run_cli("list", number)
    assert done.code == 0, done.err
    assert "不能重现" in done.out
    assert said in done.out


def test_a_list_nobody_was_shown_is_not_found(run_cli: Cli) -> None:
    done = run_cli("list", "L2020")
    assert done.code == 3
    assert "没有名单“L2020”" in done.err


# files -------------------------------------------------------------------------------------


def test_a_file_of_leads_is_previewed_imported_repeated_and_undone(
    run_cli: Cli, home: Path
) -> None:
    path = file(home, HEADER, f"{TOWN},{FIRM},2024-03-01,推荐,,张三,",
                f"{TOWN},{FIRM},2024-03-09,没兴趣,产业配套,张三,")  # fmt: skip
    assert "没有写入任何数据" in run_cli("import", "leads", path, "--dry-run").out
    assert run_cli("leads", "--json").json == []
    done = run_cli("import", "leads", path, "--json").json
    assert (done["created"], done["rejected"], done["kind"]) == (2, 0, "leads")
    assert "库中未变" in run_cli("import", "leads", path).out
    assert "跟进记录" in run_cli("batches").out
    assert "删除 2 条" in run_cli("undo", done["batch"]["batch_id"]).out
    assert run_cli("leads", "--json").json == []


def test_wrong_rows_stand_beside_their_reasons_and_need_a_yes(run_cli: Cli, home: Path) -> None:
    day = "2024-03-01,推荐,,,"
    path = file(home, HEADER, f"{TOWN},{FIRM},{day}", f"{TOWN},丁厂,{day}", f"哪里,{FIRM},{day}")
    refused = run_cli("import", "leads", path)
    assert refused.code == 4
    assert "--yes" in refused.err
    assert run_cli("leads", "--json").json == []
    rejects = path.with_name("跟进.rejects.csv")
    text = rejects.read_text("utf-8-sig")
    assert "企业库中没有“丁厂”" in text
    assert "没有找到专业镇“哪里”。相近的有" in text
    done = run_cli("import", "leads", path, "--yes")
    assert done.code == 0
    assert "有问题的行（共 2 行" in done.out
    assert len(run_cli("leads", "--json").json) == 1


def test_the_rejects_go_where_they_are_told_to(run_cli: Cli, home: Path) -> None:
    path = file(home, HEADER, f"{TOWN},丁厂,2024-03-01,推荐,,,")
    run_cli("import", "leads", path, "--rejects", home.parent / "问题.csv")
    assert (home.parent / "问题.csv").exists()
    assert not path.with_name("跟进.rejects.csv").exists()


def test_a_name_that_is_nearly_right_gets_the_right_one_offered(run_cli: Cli, home: Path) -> None:
    path = file(home, HEADER, f"{TOWN},苏州铸造01,2024-03-01,推荐,,,")
    run_cli("import", "leads", path)
    assert f"是否指：{FIRM}" in path.with_name("跟进.rejects.csv").read_text("utf-8-sig")


def test_a_code_and_a_name_of_two_firms_are_a_contradiction(run_cli: Cli, home: Path) -> None:
    path = file(home, "专业镇,证券代码,企业名称,日期,结果", f"{TOWN},600004,{FIRM},2024-03-01,推荐",
                f"{TOWN},600004,,2024-03-01,推荐")  # fmt: skip
    done = run_cli("import", "leads", path, "--yes", "--json").json
    assert (done["created"], done["rejected"]) == (1, 1)
    assert "指不同的企业" in path.with_name("跟进.rejects.csv").read_text("utf-8-sig")


def test_every_kind_of_file_is_imported_by_its_name(run_cli: Cli, home: Path) -> None:
    towns = file(home, json.dumps({"id": "t9", "name": "合成第九专业镇"}), name="镇.jsonl")
    firms = file(home, "企业名称,主营产品", "合成新厂有限公司,铸件", name="企业.csv")
    for kind, path, code in (("towns", towns, 0), ("firms", firms, 0), ("leads", firms, 2),
                             ("events", firms, 2)):  # fmt: skip
        assert run_cli("import", kind, path).code == code, (kind, path)
    assert run_cli("firm", "合成新厂有限公司", "-k", "1").code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("leads",), "没有文件“leads”"),
        (("foo", "跟进.csv"), "不是可导入的种类；可用：firms、towns、leads、events"),
        (("leads", "a.csv", "b.csv"), "一次导入一个文件"),
        (("leads", "没有.csv"), "没有文件"),
    ],
)
def test_a_wrong_way_to_name_a_file_is_told(
    run_cli: Cli, words: tuple[str, ...], said: str
) -> None:
    done = run_cli("import", *words)
    assert done.code == 2
    assert said in done.err


def test_rejects_that_cannot_be_written_stop_the_import(run_cli: Cli, home: Path) -> None:
    good = [f"{TOWN},{FIRM},2024-03-{d:02d},接触,,," for d in range(1, 9)]
    path = file(home, HEADER, *good, f"{TOWN},丁厂,2024-03-01,推荐,,,")
    done = run_cli("import", "leads", path, "--rejects", home)
    assert done.code == 2
    assert run_cli("leads", "--json").json == []
