import csv
import io
import json
import re
from pathlib import Path

import openpyxl
import pytest
from python_calamine import CalamineWorkbook

from tests.cli.conftest import DANGEROUS, Cli, Done


def names(done: Done) -> list[str]:
    assert done.code == 0, done.err
    return [m["firm"]["name"] for m in done.json["matches"]]


def test_a_list_shows_rank_firm_score_and_reason(run_cli: Cli) -> None:
    done = run_cli("rank", "合成铸造", "-k", 3)
    assert done.code == 0
    heading = next(line for line in done.out.splitlines() if line.startswith("名次"))
    assert heading.split() == ["名次", "企业", "地区", "得分", "适配", "意愿", "可信度", "理由"]
    assert re.search(r"^ +1 +\S*合成.*铸.* \d+\.\d ", done.out, re.MULTILINE)
    assert "候选企业 35 家（企业库共 36 家）" in done.out
    assert re.search(r"清单编号 \S{5,}", done.out)
    assert not any(line != line.rstrip() for line in done.out.splitlines())


def test_a_narrow_terminal_loses_no_text(run_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = run_cli("rank", "合成铸造", "-k", 1, "--json").json["matches"][0]
    monkeypatch.setenv("COLUMNS", "60")
    done = run_cli("rank", "合成铸造", "-k", 1)
    assert "…" not in done.out
    shown = set(re.sub(r"\s", "", done.out))
    assert set(wide["firm"]["name"] + wide["reason"]) - {" ", "。"} <= shown


def test_json_is_pure_and_its_contributions_sum_to_the_score(run_cli: Cli) -> None:
    done = run_cli("rank", "syn-casting", "--json")
    found = done.json
    assert found["town"] == {"id": "syn-casting", "name": "合成铸造专业镇"}
    assert found["id"]
    assert [m["rank"] for m in found["matches"]] == list(range(1, len(found["matches"]) + 1))
    for match in found["matches"]:
        total = sum(c["points"] for c in match["contributions"])
        assert total == pytest.approx(match["score"], abs=1e-9)
    assert "1380" not in done.out
    assert "1390" not in done.out


@pytest.mark.parametrize(
    "command",
    [
        ("towns",), ("town", "合成丝绸"), ("firm", "600004"), ("explain", "合成铸造", "600004"),
        ("similar", "600004"), ("batches",), ("settings",), ("init",), ("undo", "1"),
        ("rank", "合成丝绸", "-k", "2"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_json_of_every_reading_command_is_one_json_value(
    run_cli: Cli, command: tuple[str, ...]
) -> None:
    done = run_cli(*command, "--json")
    assert done.code == 0, done.err
    assert isinstance(json.loads(done.out), dict | list)
    assert "\x1b" not in done.out


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        (["--province", "浙江省"], lambda f: f["province"] == "浙江省"),
        (
            ["--province", "浙江", "--province", "江苏"],
            lambda f: f["province"] in ("浙江省", "江苏省"),
        ),
        (["--city", "潍坊市"], lambda f: f["city"] == "潍坊市"),
        (["--industry", "3391"], lambda f: f["industry"] == "3391"),
        (
            ["--capital-min", "1000", "--capital-max", "2000"],
            lambda f: 1000 <= f["capital"] <= 2000,
        ),
        (["--employees-min", "100"], lambda f: f["employees"] >= 100),
        (["--employees-max", "100"], lambda f: f["employees"] <= 100),
        (["--mark", "高新"], lambda f: "高新技术企业" in f["marks"]),
        (["--listed"], lambda f: f["stock_code"]),
        (["--unlisted"], lambda f: not f["stock_code"]),
        (["--status", "存续"], lambda f: f["status"] == "存续"),
        (["--text", "蚕丝被"], lambda f: "蚕丝被" in f["products"]),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_a_filter_keeps_exactly_the_firms_that_fit(run_cli: Cli, options, fits) -> None:  # type: ignore[no-untyped-def]
    every = run_cli("rank", "合成铸造", "-k", 100, "--json").json["matches"]
    done = run_cli("rank", "合成铸造", "-k", 100, "--json", *options)
    expected = {m["firm"]["name"] for m in every if fits_known(m["firm"], fits)}
    assert set(names(done)) == expected
    assert 0 < len(expected) < len(every) or options == ["--status", "存续"]


def fits_known(firm, fits) -> bool:  # type: ignore[no-untyped-def]
    try:
        return bool(fits(firm))
    except TypeError:  # the number is not known
        return False


def test_a_filter_nobody_passes_gives_an_empty_list_and_says_so(run_cli: Cli) -> None:
    done = run_cli("rank", "合成铸造", "--text", "没有这样的词")
    assert done.code == 0
    assert "放宽筛选条件" in done.err
    empty = run_cli(
        "rank", "合成铸造", "--text", "没有这样的词", "--xlsx", "空.xlsx", "--csv", "空.csv"
    )
    assert empty.code == 0
    assert (
        len(CalamineWorkbook.from_path("空.xlsx").get_sheet_by_name("目标企业清单").to_python())
        == 5
    )


def test_a_diversified_list_holds_the_same_number_of_firms(run_cli: Cli) -> None:
    assert len(names(run_cli("rank", "合成铸造", "--diversify", "-k", 6, "--json"))) == 6


def test_csv_goes_to_stdout_with_bom_and_disarmed_formulas(run_cli: Cli) -> None:
    done = run_cli("rank", "合成铸造", "--csv", "-k", 40)
    assert done.code == 0
    assert done.out.startswith("\ufefffirm_id,名次,企业名称,")
    rows = list(csv.DictReader(io.StringIO(done.out.removeprefix("\ufeff"), newline="")))
    assert len(rows) == 35
    assert f"'{DANGEROUS}" in [r["企业名称"] for r in rows]
    assert not [v for r in rows for v in r.values() if v[:1] in tuple("=+-@")]


def test_a_csv_list_can_be_imported_again(run_cli: Cli) -> None:
    assert run_cli("rank", "合成铸造", "-k", 40, "--csv", "名单.csv").code == 0
    raw = Path("名单.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    assert b"\r\n" in raw
    again = run_cli("import", "名单.csv", "--json").json
    assert (again["rejected"], again["batch"]["created"]) == (0, 0)
    assert again["accepted"] == 35


@pytest.mark.filterwarnings("ignore:.*extension is not supported:UserWarning")  # the solid data bar
def test_an_excel_list_reads_back_as_it_was_shown(run_cli: Cli) -> None:
    shown = run_cli("rank", "合成铸造", "-k", 40, "--json").json["matches"]
    done = run_cli("rank", "合成铸造", "-k", 40, "--xlsx", "出/目标 清单.xlsx")
    assert done.code == 0
    assert "已写入" in done.err
    assert done.out == ""
    book = openpyxl.load_workbook("出/目标 清单.xlsx")
    sheet = book["目标企业清单"]
    header = next(i for i, r in enumerate(sheet.iter_rows(values_only=True), 1) if r[0] == "名次")
    rows = list(sheet.iter_rows(min_row=header + 1, values_only=True))
    assert [r[1] for r in rows] == [m["firm"]["name"] for m in shown]
    assert [r[9] for r in rows] == pytest.approx([m["score"] for m in shown])
    assert not [c for s in book for r in s.iter_rows() for c in r if c.data_type == "f"]


def test_explain_adds_up_and_says_what_holds_the_firm_back(run_cli: Cli) -> None:
    found = run_cli("explain", "合成铸造", "600004", "--json").json
    assert found["rank"] > 1
    assert sum(c["points"] for c in found["match"]["contributions"]) == pytest.approx(
        found["match"]["score"]
    )
    shown = run_cli("explain", "合成铸造", "600004").out
    assert f"第 {found['rank']} 名" in shown
    assert "合计" in shown
    assert "差在哪里" in shown
    assert found["holds_back"][0][:10] in shown


def test_explain_says_why_a_firm_can_never_be_listed(run_cli: Cli) -> None:
    done = run_cli("explain", "合成铸造", "合成潍坊陶瓷35有限公司")
    assert done.code == 0
    assert "不列入名单" in done.out
    assert "注销" in done.out


def test_firm_town_towns_and_similar_speak_chinese(run_cli: Cli) -> None:
    assert "最匹配的专业镇" in run_cli("firm", "600004").out
    town = run_cli("town", "合成铸造").out
    assert "铸造成型" in town
    assert "薄弱" in town
    assert "共 2 个专业镇" in run_cli("towns").out
    alike = run_cli("similar", "600004", "-k", 2).out
    assert len([x for x in alike.splitlines() if re.match(r" +\d ", x)]) == 2


def test_contacts_are_never_shown(run_cli: Cli) -> None:
    for command in (
        ("firm", "600004"),
        ("firm", "600004", "--json"),
        ("explain", "合成铸造", "600004"),
    ):
        done = run_cli(*command)
        assert "13800" not in done.out + done.err


def test_run_writes_one_workbook_a_town_and_names_the_next_steps(run_cli: Cli) -> None:
    done = run_cli("run", "--out", "名单 输出")
    assert done.code == 0, done.err
    files = sorted(p.name for p in Path("名单 输出").iterdir())
    assert files == ["合成丝绸_专业镇-目标企业清单.xlsx", "合成铸造专业镇-目标企业清单.xlsx"]
    for town in ("合成铸造专业镇", "合成丝绸/专业镇"):
        assert f"■ {town}" in done.out
    assert len([x for x in done.out.splitlines() if re.match(r" +\d +\S*合成", x)]) == 10
    steps = [x for x in done.out.splitlines() if re.match(r"  (\S*|'.*)zyz-match'? ", x)]
    assert len(steps) == 3


def test_bare_csv_may_stand_before_other_options(run_cli: Cli) -> None:
    done = run_cli("rank", "--csv", "-k", 1, "合成铸造")
    assert done.code == 0
    assert done.out.count("\r\n") == 2 or done.out.count("\n") == 2
