"""What becomes of single rows: rejected with a reason, mended, cleaned, merged."""

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from tests.readers import exports as make
from zyz_match.domain import Col, Standing
from zyz_match.errors import InputError
from zyz_match.storage.readers import FirmFile, read_firms, write_rejects
from zyz_match.storage.rejects import escape, unescape


def read(tmp_path: Path, *rows: Sequence[object], name: str = "a.csv") -> FirmFile:
    path = tmp_path / name
    if name.endswith(".csv"):
        return read_firms(make.write_csv(path, rows))
    return read_firms(make.write_xlsx(path, {"a": rows}))


def reason_of(tmp_path: Path, header: str, value: object, name: str = "a.csv") -> str:
    found = read(tmp_path, ["企业名称", header], ["合成好", ""], ["合成甲", value], name=name)
    assert len(found.frame) == 1
    assert list(found.rejects["行号"]) == [3]
    return str(found.rejects["原因"][0])


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("注册资本", "NaN"), ("注册资本", "Infinity"), ("注册资本", "1e400"), ("注册资本",
        "-1万元"),
        ("注册资本", "1e20"), ("实缴资本", "很多"), ("成立日期", "2023-02-30"),
        ("成立日期", "2999-01-01"), ("成立日期", "1700-01-01"), ("参保人数", "-3"),
        ("年营业收入", "inf"), ("专利数", "1.5"), ("统一社会信用代码", "123"), ("证券代码",
        "12-34"),
    ],
)  # fmt: skip
def test_a_fact_that_cannot_be_believed_rejects_its_row(
    tmp_path: Path, header: str, value: str
) -> None:
    reason = reason_of(tmp_path, header, value)
    assert header in reason
    assert value in reason


def test_a_code_that_excel_rounded_is_rejected_with_the_cure(tmp_path: Path) -> None:
    code = 911402000000000123
    reason = reason_of(tmp_path, "统一社会信用代码", code, name="a.xlsx")
    assert "Excel" in reason
    assert "文本" in reason


@pytest.mark.parametrize("value", ["坏\0值", "x" * 32_768])
def test_text_that_cannot_be_stored_rejects_its_row(tmp_path: Path, value: str) -> None:
    assert "经营范围" in reason_of(tmp_path, "经营范围", value)
    assert value not in reason_of(tmp_path, "电话", value)


def test_a_lone_surrogate_rejects_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"企业名称": "合成\\ud800甲"}\n{"企业名称": "合成乙"}\n', encoding="utf-8")
    found = read_firms(path)
    assert list(found.rejects["行号"]) == [1]
    write_rejects(found.rejects, tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_text("utf-8-sig").startswith("行号,原因,企业名称")


@pytest.mark.parametrize(
    "line",
    [
        '{"企业名称": NaN}', '{"企业名称": "合成甲", "参保人数": Infinity}',
        '{"企业名称": "合成甲", "主营产品": ["铸件", -Infinity]}',
        '{"企业名称": "合成甲", "别的": {"x": [NaN]}}',
    ],
)  # fmt: skip
def test_what_is_no_value_of_json_rejects_its_row(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"企业名称": "合成乙"}}\n\n{line}\n{{"企业名称": "NaN电子"}}\n', "utf-8")
    found = read_firms(path)
    assert list(found.frame[Col.NAME]) == ["合成乙", "NaN电子"]
    assert list(found.rejects["行号"]) == [3]
    assert "不是 JSON 的值" in found.rejects["原因"][0]


def test_other_controls_are_removed_and_counted(tmp_path: Path) -> None:
    found = read(tmp_path, ["企业名称"], ["合成\u200b甲\x07"])
    assert found.frame[Col.NAME][0] == "合成甲"
    assert any("控制字符" in w for w in found.warnings)


def test_a_row_that_names_no_firm_is_rejected(tmp_path: Path) -> None:
    found = read(tmp_path, ["企业名称", "注册资本"], ["-", "5万元"], ["合成甲", "5万元"])
    assert "无法识别" in found.rejects["原因"][0]


def test_a_code_alone_is_enough(tmp_path: Path) -> None:
    found = read(tmp_path, ["企业名称", "统一社会信用代码"], ["", make.make_uscc(3)])
    assert found.frame[Col.FIRM_ID][0] == make.make_uscc(3)


def test_a_row_with_more_cells_than_the_header_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("企业名称,成立日期\n合成甲,2001-01-01,x\n合成乙,,\n", "utf-8")
    found = read_firms(tmp_path / "a.csv")
    assert list(found.rejects["行号"]) == [2]
    assert "多于表头" in found.rejects["原因"][0]
    assert list(found.frame[Col.NAME]) == ["合成乙"]


def test_all_reasons_of_a_row_stand_together(tmp_path: Path) -> None:
    found = read(tmp_path, ["企业名称", "参保人数", "成立日期"], ["合成甲", "-1", "2023-02-30"])
    assert "参保人数" in found.rejects["原因"][0]
    assert "成立日期" in found.rejects["原因"][0]
    assert found.reject_share == 1
    assert len(found.frame) == 0
    assert list(found.frame.columns) == [c.value for c in Col]


def test_missing_is_missing_never_zero(tmp_path: Path) -> None:
    header = ["企业名称", "注册资本", "参保人数", "成立日期", "登记状态", "高新技术企业"]
    found = read(tmp_path, header, ["合成甲", "-", "", "—", "空", "否"])
    first = found.frame.iloc[0]
    assert math.isnan(first[Col.CAPITAL])
    assert math.isnan(first[Col.EMPLOYEES])
    assert first[Col.FOUNDED] == first[Col.STATUS] == first[Col.MARKS] == ""
    assert first[Col.STANDING] == Standing.UNKNOWN
    assert found.warnings == ()


def test_an_unknown_currency_keeps_the_text_and_warns(tmp_path: Path) -> None:
    found = read(tmp_path, ["企业名称", "注册资本"], ["合成甲", "200万新加坡元"])
    assert math.isnan(found.frame[Col.CAPITAL][0])
    assert found.frame[Col.CAPITAL_TEXT][0] == "200万新加坡元"
    assert any("200万新加坡元" in w for w in found.warnings)


def test_an_unknown_status_warns_with_the_word(tmp_path: Path) -> None:
    found = read(tmp_path, ["企业名称", "登记状态"], ["合成甲", "火星"], ["合成乙", "火星"])
    assert any("2 行" in w and "火星" in w for w in found.warnings)


def test_formulas_are_text(tmp_path: Path) -> None:
    found = read(tmp_path, ["企业名称", "经营范围"], ["合成甲", "=1+1"], ["合成乙", "@SUM(A1)"])
    assert list(found.frame[Col.SCOPE]) == ["=1+1", "@SUM(A1)"]


def test_products_get_one_separator(tmp_path: Path) -> None:
    found = read(tmp_path, ["企业名称", "主营产品"], ["合成甲", "铸件；管件;阀门、法兰|轴承\n齿轮"])
    assert found.frame[Col.PRODUCTS][0] == "铸件；管件；阀门；法兰；轴承；齿轮"


def test_former_names_keep_latin_commas(tmp_path: Path) -> None:
    found = read(tmp_path, ["企业名称", "曾用名"], ["合成甲", "Example Co., Ltd;合成旧,合成老"])
    assert found.frame[Col.FORMER_NAMES][0] == "Example Co., Ltd；合成旧；合成老"


def test_the_first_non_empty_of_two_columns_wins(tmp_path: Path) -> None:
    header = ["企业名称", "公司名称", "企业名称"]
    found = read(tmp_path, header, ["合成甲", "合成乙", "x"], ["", "合成丙", "y"])
    assert list(found.frame[Col.NAME]) == ["合成甲", "合成丙"]
    assert any("含义相同" in w for w in found.warnings)
    assert any("重复" in w for w in found.warnings)


def test_industry_is_the_deepest_that_is_known(tmp_path: Path) -> None:
    header = ["企业名称", "国标行业小类", "国标行业中类", "国标行业大类", "所属行业"]
    found = read(
        tmp_path,
        header,
        ["合成甲", "不存在的小类", "-", "金属制品业", ""],
        ["合成乙", "", "", "", "魔法业"],
    )
    assert list(found.frame[Col.INDUSTRY]) == ["33", ""]
    assert list(found.frame[Col.INDUSTRY_TEXT]) == ["不存在的小类", "魔法业"]


def test_places_get_official_names_and_unknown_ones_survive(tmp_path: Path) -> None:
    header = ["企业名称", "所属省份", "所属城市", "所属区县", "注册地址"]
    found = read(
        tmp_path, header,
        ["合成甲", "浙江", "杭州", "", ""], ["合成乙", "", "", "", "山西省晋城市泽州县合成路1号"],
        ["合成丙", "SF Bay", "", "", ""], ["合成丁", "浙江省", "晋城市", "", ""],
    )  # fmt: skip
    rows = found.frame[[Col.PROVINCE, Col.CITY, Col.COUNTY, Col.DIVISION]].to_numpy().tolist()
    assert rows[0] == ["浙江省", "杭州市", "", "330100"]
    assert rows[1] == ["山西省", "晋城市", "泽州县", "140525"]
    assert rows[2] == ["SF Bay", "", "", ""]
    assert rows[3][0::3] == ["浙江省", "330000"]
    assert any("矛盾" in w and "晋城市" in w for w in found.warnings)


# the same firm twice ----------------------------------------------------------------------------


def test_identical_and_complementary_rows_are_merged(tmp_path: Path) -> None:
    code = make.make_uscc(5)
    header = [
        "企业名称",
        "统一社会信用代码",
        "注册资本",
        "参保人数",
        "电话",
        "高新技术企业",
        "曾用名",
    ]
    found = read(
        tmp_path, header,
        ["合成甲", code, "5万元", "", "000-1", "是", "合成旧"], ["合成甲", code, "5万元", "",
        "000-1", "是", "合成旧"],
        ["合成甲", code, "", "8", "000-2", "", "合成老"], ["合成乙", "", "", "", "", "", ""],
    )  # fmt: skip
    assert found.duplicates == 2
    assert len(found.frame) == 2
    first = found.frame.iloc[0]
    assert (first[Col.CAPITAL], first[Col.EMPLOYEES]) == (5, 8)
    assert first[Col.CAPITAL_TEXT] == "5万元"
    assert first[Col.FORMER_NAMES] == "合成旧；合成老"
    assert sorted(found.contacts["value"]) == ["000-1", "000-2"]


def test_contradicting_rows_keep_the_first_and_name_the_columns(tmp_path: Path) -> None:
    code = make.make_uscc(5)
    header = ["企业名称", "统一社会信用代码", "注册资本", "参保人数"]
    found = read(tmp_path, header, ["合成甲", code, "5万元", "1"], ["合成甲", code, "6万元", "2"])
    assert found.duplicates == 0
    assert found.frame[Col.CAPITAL][0] == 5
    assert list(found.rejects["行号"]) == [3]
    for word in ("第 2 行", "注册资本", "参保人数"):
        assert word in found.rejects["原因"][0]


def test_a_coarser_industry_is_no_contradiction(tmp_path: Path) -> None:
    code = make.make_uscc(5)
    header = ["企业名称", "统一社会信用代码", "所属行业"]
    found = read(tmp_path, header, ["合成甲", code, "黑色金属铸造"], ["合成甲", code, "制造业"])
    assert found.duplicates == 1
    assert found.frame[Col.INDUSTRY][0] == "3391"


def test_names_that_differ_only_by_case_stay_two_firms(tmp_path: Path) -> None:
    found = read(
        tmp_path, ["企业名称"], ["Example One"], ["EXAMPLE One"], ["ExampleOne"], ["Other"]
    )
    assert len(found.frame) == 4
    assert set(found.written_ids.values()) <= set(found.frame[Col.NAME])
    same = read(tmp_path, ["企业名称"], ["合成（甲）公司"], ["合成(甲) 公司"])
    assert len(same.frame) == 1


# rejects: out, mended, in again -----------------------------------------------------------------


def test_rejects_can_be_mended_and_sent_again(tmp_path: Path) -> None:
    first = read(
        tmp_path, ["企业名称", "注册资本", "参保人数", "经营范围", "官网"],
        ["合成甲", "-1万元", "-", "=HYPERLINK(1)", "＝1"], ["合成乙", "1万元", "-2", "-", "'=x"],
    )  # fmt: skip
    assert len(first.rejects) == 2
    path = tmp_path / "rejects.csv"
    write_rejects(first.rejects, path)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    text = path.read_text("utf-8-sig")
    for risky in (",=", ",-", ",+", ",@", ",＝"):
        assert risky not in text
    path.write_text(
        text.replace("'-1万元", "1万元").replace("'-2", "2"), encoding="utf-8-sig", newline=""
    )
    again = read_firms(path)
    assert len(again.rejects) == 0
    assert again.unknown == ()
    assert list(again.frame[Col.SCOPE]) == ["=HYPERLINK(1)", ""]
    assert list(again.frame[Col.WEBSITE]) == ["＝1", "'=x"]


def test_rejects_of_rejects_do_not_pile_up_columns(tmp_path: Path) -> None:
    first = read(tmp_path, ["企业名称", "参保人数"], ["合成甲", "-1"])
    write_rejects(first.rejects, tmp_path / "r.csv")
    again = read_firms(tmp_path / "r.csv")
    assert list(again.rejects.columns) == ["行号", "原因", "企业名称", "参保人数"]
    assert again.rejects["参保人数"][0] == "-1"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx", "＝1", "＋", "'=1", "''-1"])
def test_risky_text_is_escaped_and_comes_back(text: str) -> None:
    assert escape(text).startswith("'")
    assert unescape(escape(text)) == text


def test_a_place_that_cannot_be_written_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "r.csv").mkdir()
    with pytest.raises(InputError, match="文件夹"):
        write_rejects(pd.DataFrame({"行号": [1], "原因": ["合成"]}), tmp_path / "r.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["r.csv"]


def test_a_row_that_sums_up_is_no_firm(tmp_path: Path) -> None:
    rows = [["序号", "企业名称", "注册资本"], ["1", "合成甲", "5万元"], ["合计", "1家", "5万元"]]
    found = read(tmp_path, *rows)
    assert found.frame[Col.NAME].tolist() == ["合成甲"]
    assert "合计" in found.rejects["原因"][0]
    assert read(tmp_path, ["企业名称"], ["合计机械厂"]).frame[Col.NAME].tolist() == ["合计机械厂"]


def test_a_row_without_a_name_is_told(tmp_path: Path) -> None:
    rows = [["企业名称", "统一社会信用代码"], ["", "91140500MA0GT8H458"], ["合成甲", ""]]
    assert any("1 行没有企业名称" in w for w in read(tmp_path, *rows).warnings)
