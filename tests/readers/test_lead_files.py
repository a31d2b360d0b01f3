"""Files of leads and events: every column name, every wrong cell, every empty file."""

import json
import zipfile
from datetime import date, timedelta
from pathlib import Path

import pytest
import xlsxwriter

from zyz_match.days import today
from zyz_match.domain import REASONS, STAGE_NAMES, Stage
from zyz_match.errors import FileError, InputError
from zyz_match.stages import reason_of, stage_of
from zyz_match.storage.readers import read_firms, write_rejects
from zyz_match.storage.row_files import RowFile, read_rows

HEADER = "town_id,firm_id,date,outcome"
GOOD = "casting,甲厂,2024-03-01,contacted"


def written(folder: Path, *lines: str, name: str = "a.csv", charset: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(("\n".join(lines) + "\n").encode(charset))
    return path


def leads(folder: Path, *lines: str, head: str = HEADER) -> RowFile:
    return read_rows(written(folder, head, *lines), "leads")


def events(folder: Path, *lines: str, head: str) -> RowFile:
    return read_rows(written(folder, head, *lines), "events")


# words -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", Stage)
def test_a_stage_is_known_by_its_english_and_its_chinese_name(stage: Stage) -> None:
    name = STAGE_NAMES[stage]
    for word in (stage, stage.upper(), name, f" {name} ", name.removeprefix("已")):
        assert stage_of(word) is stage


@pytest.mark.parametrize("word", ["", "已", "飞了", "sign"])
def test_an_unknown_stage_is_refused_with_those_there_are(word: str) -> None:
    with pytest.raises(InputError, match=r"可用：已推荐（recommended）"):
        stage_of(word)


def test_a_reason_is_known_by_code_and_name_and_may_be_missing() -> None:
    assert [reason_of(c) for c in REASONS] == [reason_of(n) for n in REASONS.values()]
    assert reason_of("") == ""
    with pytest.raises(InputError, match="写在备注里"):
        reason_of("路太远")


# shapes ------------------------------------------------------------------------------------


def test_english_and_chinese_columns_say_the_same(tmp_path: Path) -> None:
    english = leads(
        tmp_path, "casting,甲厂,2024-03-01,lost,land,张三,电话里说的",
        head="town_id,firm_id,date,outcome,reason,owner,note",
    )  # fmt: skip
    chinese = leads(
        tmp_path, "casting,甲厂,2024年3月1日,流失,用地,张三,电话里说的",
        head="专业镇,企业名称,日期,结果/阶段,原因,跟进人,备注",
    )  # fmt: skip
    assert english.columns == chinese.columns
    assert english.columns["stages"] == [(Stage.LOST,)]
    assert not english.faults
    assert not chinese.faults


@pytest.mark.parametrize("charset", ["utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_any_charset_and_separator_is_read(tmp_path: Path, charset: str, separator: str) -> None:
    lines = [
        x.replace(",", separator) for x in ("专业镇,企业,日期,结果", "铸造,甲厂,2024-03-01,签约")
    ]
    found = read_rows(written(tmp_path, *lines, charset=charset), "leads")
    assert found.columns["stages"] == [(Stage.SIGNED,)]


def test_json_lines_a_zip_and_a_workbook_say_the_same(tmp_path: Path) -> None:
    row = {"town_id": "casting", "firm_id": "甲厂", "date": "2024-03-01", "outcome": "contacted"}
    lines = written(tmp_path, json.dumps(row, ensure_ascii=False), name="a.jsonl")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(written(tmp_path, HEADER, GOOD), "里面.csv")
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        book.add_worksheet("说明").write(0, 0, "跟进情况汇总")
        sheet = book.add_worksheet("跟进")
        sheet.write_row(0, 0, ["某某局跟进表"])
        sheet.write_row(1, 0, list(row))
        sheet.write_row(2, 0, ["casting", "甲厂"])
        sheet.write_datetime(2, 2, date(2024, 3, 1), book.add_format({"num_format": "yyyy-mm-dd"}))
        sheet.write(2, 3, "contacted")
    paths = (lines, tmp_path / "a.zip", tmp_path / "a.xlsx")
    found = [read_rows(p, "leads") for p in paths]
    assert all(f.columns == found[0].columns and not f.faults for f in found)
    assert found[2].sheet == "跟进"


def test_a_row_with_what_is_no_value_of_json_is_refused(tmp_path: Path) -> None:
    row = {"town_id": "casting", "firm_id": "甲厂", "date": "2024-03-01", "outcome": "contacted"}
    lines = [json.dumps(r, ensure_ascii=False) for r in (row, row | {"note": float("nan")})]
    found = read_rows(written(tmp_path, *lines, name="a.jsonl"), "leads")
    assert list(found.faults) == [1]
    assert "NaN 不是 JSON 的值" in found.faults[1]


def test_columns_we_do_not_know_are_named_and_nothing_worse(tmp_path: Path) -> None:
    found = leads(tmp_path, f"{GOOD},x", head=f"{HEADER},自定义")
    assert [h for h, target in found.targets if not target] == ["自定义"]
    assert not found.faults


# whole files that are none -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((), "空表|空文件"),
        ((HEADER,), "只有表头"),
        (("企业名称,经营范围", "甲厂,铸造"), "缺少列 专业镇 town_id、日期 date、结果 outcome"),
        (("firm_id,date,outcome", "甲厂,2024-03-01,signed"), "缺少列 专业镇"),
    ],
)
def test_a_file_that_holds_no_leads_is_refused_in_words(
    tmp_path: Path, lines: tuple[str, ...], said: str
) -> None:
    with pytest.raises(FileError, match=said):
        read_rows(written(tmp_path, *lines), "leads")


def test_leads_are_not_taken_for_firms_nor_for_events(tmp_path: Path) -> None:
    path = written(tmp_path, "专业镇,企业名称,日期,结果", "铸造,甲厂,2024-03-01,签约")
    with pytest.raises(FileError, match="import leads"):
        read_firms(path)
    with pytest.raises(FileError, match="不像投资事件"):
        read_rows(path, "events")


# rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("casting,甲厂,2024-13-01,signed", "日期：“2024-13-01”没有这一天"),
        ("casting,甲厂,明天,signed", "日期：“明天”不是日期"),
        ("casting,甲厂,,signed", "没有写日期"),
        (f"casting,甲厂,{today() + timedelta(days=2)},signed", "晚于今天"),
        ("casting,甲厂,2024-03-01,飞了", "结果：“飞了”不是可用的结果；可用：已推荐"),
        ("casting,甲厂,2024-03-01,", "没有写结果"),
        ("casting,,2024-03-01,signed", "没有写企业"),
        (",甲厂,2024-03-01,signed", "没有写专业镇"),
        ("casting,甲\x00厂,2024-03-01,signed", "NUL"),
        (f"{GOOD},多出,一格", "多于表头"),
    ],
)
def test_a_row_that_cannot_be_believed_is_refused_with_its_reason(
    tmp_path: Path, line: str, said: str
) -> None:
    found = leads(tmp_path, GOOD, line)
    assert list(found.faults) == [1]
    assert said in found.faults[1]


def test_an_overlong_note_is_refused(tmp_path: Path) -> None:
    found = leads(tmp_path, f"{GOOD},{'长' * 2001}", head=f"{HEADER},note")
    assert "最多 2000 个字" in found.faults[0]


def test_a_reason_nobody_lists_is_kept_in_the_note(tmp_path: Path) -> None:
    found = leads(tmp_path, f"{GOOD},路太远,再约", head=f"{HEADER},reason,note")
    assert (found.columns["reason"], found.columns["note"]) == (["other"], ["路太远；再约"])
    assert "1 行的原因不在原因表中" in found.warnings[0]


def test_rejects_keep_every_column_and_can_be_mended_and_sent_again(tmp_path: Path) -> None:
    head = "专业镇,企业名称,日期,结果,原因,备注"
    found = leads(
        tmp_path, "铸造,甲厂,2024-03-01,签约,,", "铸造,乙厂,2024-3-99,签约,用地,=1+1", head=head
    )
    write_rejects(found.rejects(found.faults), tmp_path / "r.csv")
    text = (tmp_path / "r.csv").read_text("utf-8-sig")
    assert text.startswith("行号,退回原因,专业镇,企业名称,日期,结果,原因,备注")
    assert "'=1+1" in text
    (tmp_path / "r.csv").write_text(text.replace("2024-3-99", "2024-3-9"), "utf-8")
    again = read_rows(tmp_path / "r.csv", "leads")
    assert not again.faults
    assert (again.columns["reason"], again.columns["note"]) == (["land"], ["=1+1"])


# events ------------------------------------------------------------------------------------


def test_events_are_read_under_english_and_chinese_names(tmp_path: Path) -> None:
    english = events(
        tmp_path, "甲厂,2024-03-01,晋城市,3391,合成乙,对外投资,300",
        head="firm_id,date,region,industry,target,kind,amount",
    )  # fmt: skip
    chinese = events(
        tmp_path, "甲厂,2024/3/1,晋城市,3391,合成乙,对外投资,300",
        head="企业,日期,地区,行业,标的/被投企业,类型,金额(万元)",
    )  # fmt: skip
    assert english.columns == chinese.columns
    assert english.columns["amount"] == [300.0]


@pytest.mark.parametrize(
    ("header", "cell", "value"),
    [("金额", "1.5亿元", 15000.0), ("金额(元)", "30000", 3.0), ("金额", "100万美元", 708.27)],
)
def test_an_amount_is_in_ten_thousand_yuan(
    tmp_path: Path, header: str, cell: str, value: float
) -> None:
    found = events(tmp_path, f"甲厂,2024-03-01,晋城市,{cell}", head=f"企业,日期,地区,{header}")
    assert found.columns["amount"] == [value]


@pytest.mark.parametrize("cell", ["-5", "很多", "1e400"])
def test_an_amount_that_is_none_refuses_its_row(tmp_path: Path, cell: str) -> None:
    found = events(tmp_path, f"甲厂,2024-03-01,晋城市,{cell}", head="企业,日期,地区,金额")
    assert list(found.faults) == [0]
