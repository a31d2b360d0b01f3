import csv
import io
import json
import zipfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from zyz_match import outputs, reports, workbook
from zyz_match.domain import (
    ChainSegment,
    Contribution,
    Filters,
    Firm,
    Match,
    Product,
    Shortlist,
    Similar,
    Standing,
    Town,
)
from zyz_match.errors import InputError, StorageError

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*extension is not supported:UserWarning"
)  # the solid data bar

ON = date(2026, 11, 24)
DANGEROUS = (
    "=HYPERLINK(\"http://x\",\"合成\")", "+1+1", "-2", "@SUM(A1)", "＝1＋1", "＋1", "－1", "＠x",
    "\t=1", "\r=1", " =1", "'=1", "http://example.com", "mailto:a@example.com", "000123", "1e5",
    "{=1}", "internal:说明!A1",
)  # fmt: skip


def town(name: str = "合成铸造专业镇") -> Town:
    return Town(
        id="syn", name=name, province="山西省", city="晋城市", products=(Product("铸件", 2.0),),
        industries=("3391",),
        chain=(
            ChainSegment("铸造", "core", "weak", ("精密铸件",), ("3391",)),
            ChainSegment("装备", "support", None, ("电炉",)),
        ),
    )  # fmt: skip


def match(rank: int, name: str = "合成企业", **facts: Any) -> Match:
    parts = (
        Contribution("words", "主营词匹配", "fit", 40.0 / rank, 50.0, 0.8, ("合成依据",), ""),
        Contribution("marks", "资质", "propensity", 0.0, 50.0, None, (), "缺资质"),
    )
    firm = Firm(
        firm_id=name, name=name, standing=Standing.ACTIVE, province="浙江省", city="宁波市",
        industry="3391", source="合成数据", **facts,
    )  # fmt: skip
    return Match(
        rank,
        firm,
        40.0 / rank,
        40.0 / rank,
        0.0,
        0.5,
        f"{name}的理由。",
        "铸造",
        ("合成提示",),
        parts,
    )


def shortlist(*matches: Match, **facts: Any) -> Shortlist:
    given_facts: dict[str, Any] = {
        "town": town(), "pool": 90, "total": 100, "model": "m-1", "data": "d-1", "id": "L1",
        "filters": Filters(provinces=("浙江省",), capital_min=500.0, listed=False),
        "notes": ("合成备注",),
    }  # fmt: skip
    return Shortlist(matches=matches, **given_facts | facts)


def write(found: Shortlist, path: Path) -> Any:
    reports.write_shortlist(found, path, on=ON)
    return openpyxl.load_workbook(path)


def header_row(sheet: Any) -> int:
    return next(i for i, r in enumerate(sheet.iter_rows(values_only=True), 1) if r[0] == "名次")


def test_the_first_sheet_says_what_it_is_and_what_it_was_made_from(tmp_path: Path) -> None:
    cared = replace(
        match(2, capital=1234.5, employees=7), care_stage="negotiating", care_owner="张三"
    )
    book = write(shortlist(match(1), cared), tmp_path / "单.xlsx")
    sheet = book["目标企业清单"]
    assert sheet["A1"].value == "合成铸造专业镇 目标企业清单"
    above = "".join(str(sheet.cell(i, 1).value) for i in range(1, header_row(sheet)))
    for text in ("2026年11月24日", "90 家", "100 家", "L1", "m-1", "d-1", "合成备注"):
        assert text in above
    assert "省份：浙江省；注册资本不低于 500 万元；只看未上市企业" in above
    row = [c.value for c in sheet[header_row(sheet)]]
    assert row == [
        "名次", "企业名称", "统一社会信用代码/证券代码", "省", "市", "行业", "注册资本(万元)",
        "参保人数", "资质", "得分", "适配", "意愿", "可信度", "成功可能性", "主要理由", "匹配环节",
        "提示", "跟进阶段", "跟进人", "跟进情况",
    ]  # fmt: skip
    second = [c.value for c in sheet[header_row(sheet) + 2]]
    assert (second[0], second[5], second[6], second[7]) == (2, "黑色金属铸造（3391）", 1234.5, 7)
    assert second[17:] == ["洽谈中", "张三", None]


def test_the_first_sheet_is_ready_to_print(tmp_path: Path) -> None:
    sheet = write(shortlist(match(1), match(2)), tmp_path / "单.xlsx")["目标企业清单"]
    top = header_row(sheet)
    assert sheet.page_setup.orientation == "landscape"
    assert sheet.page_setup.paperSize == 9
    assert sheet.sheet_properties.pageSetUpPr.fitToPage
    assert sheet.page_setup.fitToWidth in (None, 1)  # 1 is what a missing value means
    assert sheet.page_setup.fitToHeight == 0
    assert sheet.print_title_rows == f"${top}:${top}"
    assert sheet.freeze_panes == f"C{top + 1}"
    assert sheet.auto_filter.ref == f"A{top}:T{top + 2}"
    assert "&P" in sheet.oddFooter.right.text
    (bars,) = sheet.conditional_formatting
    assert str(bars.sqref) == f"J{top + 1}:J{top + 2}"
    assert sheet.cell(top + 1, 15).alignment.wrap_text
    widths = [sheet.column_dimensions[c].width for c in "ABO"]
    assert widths[0] < widths[1] < widths[2]


def test_the_detail_sheet_adds_up_firm_by_firm(tmp_path: Path) -> None:
    sheet = write(shortlist(match(1), match(2)), tmp_path / "单.xlsx")["得分明细"]
    rows = list(sheet.iter_rows(min_row=2, values_only=True))
    assert len(rows) == 6
    for first in (0, 3):
        assert sum(r[4] for r in rows[first : first + 2]) == pytest.approx(rows[first + 2][4])
        assert rows[first + 2][2] == "合计"
    assert rows[1][6:] == (None, None, "缺资质")


def test_the_town_and_the_way_to_read_the_list_are_in_the_workbook(tmp_path: Path) -> None:
    book = write(shortlist(match(1)), tmp_path / "单.xlsx")
    assert book.sheetnames == list(workbook.SHEETS)
    profile = [c for r in book["专业镇画像"].iter_rows(values_only=True) for c in r if c]
    for text in (
        "合成铸造专业镇",
        "铸件（权重 2）",
        "薄弱",
        "待填",
        "黑色金属铸造（3391）",
        "核心",
    ):
        assert text in profile
    notes = "".join(str(r[0]) for r in book["说明"].iter_rows(values_only=True))
    for text in ("得分是各项贡献之和", "决策辅助", "合成数据（1 家）", "L1", "不使用税收"):
        assert text in notes


def test_text_stays_text_in_excel(tmp_path: Path) -> None:
    matches = [replace(match(i, name), reason=name) for i, name in enumerate(DANGEROUS, 1)]
    path = tmp_path / "险.xlsx"
    book = write(shortlist(*matches, town=town("=合成镇"), notes=DANGEROUS), path)
    cells = [c for s in book for r in s.iter_rows() for c in r]
    assert not [c for c in cells if c.data_type == "f" or c.hyperlink]
    sheet = book["目标企业清单"]
    first = header_row(sheet) + 1
    for i, name in enumerate(DANGEROUS):
        cell = sheet.cell(first + i, 2)
        assert cell.data_type == "s"
        assert cell.value.replace("_x000D_", "\r") == name
        assert cell.quotePrefix == reports.is_risky(name)
    read = CalamineWorkbook.from_path(path).get_sheet_by_name("目标企业清单").to_python()
    assert [str(r[1]).replace("_x000D_", "\r") for r in read[first - 1 :]] == list(DANGEROUS)
    with zipfile.ZipFile(path) as parts:
        assert not [n for n in parts.namelist() if "externalLink" in n or "vba" in n.lower()]
        assert b"<f>" not in parts.read("xl/worksheets/sheet1.xml")


def test_odd_characters_and_endless_text_make_a_sound_workbook(tmp_path: Path) -> None:
    odd = "合成\x00\x0b\ud800\uffff企业" + "长" * 40_000
    book = write(shortlist(replace(match(1, odd), reason=odd)), tmp_path / "怪.xlsx")
    sheet = book["目标企业清单"]
    shown = sheet.cell(header_row(sheet) + 1, 2).value
    assert shown.startswith("合成企业长")
    assert len(shown) <= 32_767


def test_an_empty_list_is_still_a_workbook(tmp_path: Path) -> None:
    book = write(shortlist(filters=Filters(), notes=()), tmp_path / "空.xlsx")
    assert book["目标企业清单"]["A3"].value == "筛选条件：无"


def test_the_newest_workbook_replaces_the_old_one_or_leaves_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "单.xlsx"
    reports.write_shortlist(shortlist(match(1)), path, on=ON)
    before = path.read_bytes()
    reports.write_shortlist(shortlist(match(1), match(2)), path, on=ON)
    after = path.read_bytes()
    assert after != before

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zyz_match.outputs.os.fsync", full)
    with pytest.raises(StorageError, match="磁盘已满"):
        reports.write_shortlist(shortlist(match(1)), path, on=ON)
    assert path.read_bytes() == after
    assert [p.name for p in tmp_path.iterdir()] == ["单.xlsx"]


def test_what_cannot_be_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="文件夹"):
        outputs.write_bytes(tmp_path, b"")
    with pytest.raises(StorageError):
        outputs.write_bytes(Path("/dev/full"), b"x")
    with pytest.raises(StorageError, match="太长"):
        outputs.write_bytes(tmp_path / ("长" * 300), b"x")


def test_csv_disarms_every_text_that_looks_like_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "险.csv"
    names = [n for n in DANGEROUS if "\r" not in n]
    reports.write_csv(shortlist(*(match(i, n) for i, n in enumerate(names, 1))), path)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row, name in zip(rows, names, strict=True):
        assert row["企业名称"] == (f"'{name}" if reports.is_risky(name) else name)
        assert row["firm_id"].lstrip("'") == name.lstrip("'")
        assert row["企业名称"][0] not in "=+-@＝＋－＠\t\r"


def test_csv_on_a_stream_is_the_same_text_as_in_a_file(tmp_path: Path) -> None:
    found = shortlist(match(1, '合成，“引号”"企业'), match(2, capital=5000.0))
    reports.write_csv(found, tmp_path / "一.csv")
    stream = io.BytesIO()
    reports.write_csv(found, stream)
    assert stream.getvalue() == (tmp_path / "一.csv").read_bytes()
    assert b",5000," in stream.getvalue()


def test_json_holds_no_value_that_json_does_not_know() -> None:
    odd = match(1, capital=float("nan"), revenue=float("inf"), founded=date(2020, 1, 2))
    values = reports.shortlist_json(shortlist(odd))
    text = json.dumps(values, allow_nan=False, ensure_ascii=False)
    firm = json.loads(text)["matches"][0]["firm"]
    assert (firm["capital"], firm["revenue"], firm["founded"]) == (None, None, "2020-01-02")
    assert firm["standing"] == "active"
    assert values["town"] == {"id": "syn", "name": "合成铸造专业镇"}
    assert reports.as_json(Similar(1, odd.firm, 0.5, ("词",), ""))["shared"] == ["词"]
    assert reports.as_json(replace(town(), preferences={"a": (1, None)}))["preferences"] == {
        "a": [1, None]
    }


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        (Filters(), "无"),
        (Filters(capital_min=100.0, capital_max=2000.0), "注册资本 100—2,000 万元"),
        (Filters(employees_max=50.0), "参保人数不高于 50 人"),
        (Filters(capital_max=1234567890.0), "注册资本不高于 1,234,567,890 万元"),
        (Filters(cities=("宁波市", "苏州市")), "城市：宁波市、苏州市"),
        (Filters(marks=("高新技术企业",), text="铸"), "资质：高新技术企业；文字含“铸”"),
        (Filters(listed=True, statuses=("存续",)), "只看上市企业；登记状态：存续"),
    ],
)  # fmt: skip
def test_filters_are_said_in_words(filters: Filters, words: str) -> None:
    assert reports.filters_in_words(filters) == words


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("阳城陶瓷琉璃", "阳城陶瓷琉璃"), ("a/b\\c:d*?\"<>|e", "a_b_c_d______e"), ("..", "未命名"),
        ("", "未命名"), ("CON", "_CON"), ("nul.txt", "_nul.txt"), ("../../etc", "etc"),
        ("镇\n\x00", "镇"), (" 镇. ", "镇"),
    ],
)  # fmt: skip
def test_file_names_are_safe_and_readable(name: str, safe: str) -> None:
    assert outputs.safe_name(name) == safe


@given(st.text())
def test_any_name_makes_one_path_component(name: str) -> None:
    safe = outputs.safe_name(name)
    assert Path(safe).name == safe
    assert 0 < len(safe.encode()) <= 190
    assert safe not in (".", "..")
    assert outputs.safe_name(safe) == safe or safe.startswith("_")


@given(st.text(max_size=30))
def test_no_csv_cell_begins_like_a_formula(text: str) -> None:
    cell = str(reports.csv_cell(text))
    assert cell[:1] not in set("=+-@＝＋－＠\t\r") - {""}
