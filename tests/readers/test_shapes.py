"""Every shape in which the registries and offices hand out firm tables."""

import datetime
import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.readers import exports as make
from zyz_match.domain import NUMBER_COLUMNS, Col, Standing
from zyz_match.storage.readers import FirmFile, read_firms

FIRMS = [make.firm(1), make.firm(2, 注册资本="500万美元", 登记状态="注销", 经营状态="注销")]


def contacts_of(found: FirmFile, firm_id: str) -> set[tuple[str, str]]:
    rows = found.contacts[found.contacts["firm_id"] == firm_id]
    return set(zip(rows["kind"], rows["value"], strict=True))


def check_first(found: FirmFile) -> None:
    first = found.frame.iloc[0]
    assert list(found.frame.columns) == [c.value for c in Col]
    assert len(found.frame) == 2
    assert len(found.rejects) == 0
    assert first[Col.FIRM_ID] == first[Col.USCC] == make.make_uscc(1)
    assert first[Col.NAME] == "晋城合成示例1号机械有限公司"
    assert first[Col.STANDING] == Standing.ACTIVE
    assert (first[Col.PROVINCE], first[Col.CITY], first[Col.COUNTY]) == (
        "山西省",
        "晋城市",
        "泽州县",
    )
    assert first[Col.DIVISION] == "140525"
    assert first[Col.CAPITAL] == 1000
    assert first[Col.CAPITAL_TEXT] == "1,000万元"
    assert first[Col.FOUNDED] == "2010-05-06"
    assert first[Col.SCOPE] == "铸件制造；机械加工；金属制品销售"
    assert first[Col.ADDRESS] == "山西省晋城市泽州县示例路1号"


def test_qichacha_batch_query_xlsx(tmp_path: Path) -> None:
    rows = make.qcc_rows(
        [*FIRMS, {"原文件导入名称": "没这家", "系统匹配企业名称": "未匹配到相关企业"}]
    )
    found = read_firms(make.write_xlsx(tmp_path / "qcc.xlsx", {"批量查询-基础信息": rows}))
    assert found.header_row == 2
    assert found.rows == 3
    assert list(found.rejects["行号"]) == [5]
    assert "未匹配到" in found.rejects["原因"][0]
    assert found.rejects["原文件导入名称"][0] == "没这家"
    assert found.unknown == ()
    assert "没这家" not in set(found.frame[Col.NAME])
    assert found.frame[Col.EMPLOYEES][0] == 120
    assert found.frame[Col.INDUSTRY][0] == "3391"
    assert found.frame[Col.INDUSTRY_TEXT][0] == "黑色金属铸造"
    assert found.frame[Col.SIZE][0] == "小型"
    assert found.frame[Col.FORMER_NAMES][0] == "合成老厂；示例铸造厂"
    assert found.frame[Col.CAPITAL][1] == pytest.approx(3541.35)
    assert found.frame[Col.STANDING][1] == Standing.GONE
    assert contacts_of(found, make.make_uscc(1)) == {
        ("person", "合成人1"), ("phone", "0356-0000000"), ("phone", "0356-0000001"),
        ("phone", "0356-0000002"), ("mail", "a@example.com"),
    }  # fmt: skip
    check_first(replace(found, rejects=found.rejects.iloc[:0]))


def test_tianyancha_advanced_search_xlsx(tmp_path: Path) -> None:
    path = make.write_xlsx(
        tmp_path / "tyc.xlsx", {"说明": [["合成说明"]], "高级搜索": make.tyc_rows(FIRMS)}
    )
    found = read_firms(path)
    assert found.sheet == "高级搜索"
    assert found.header_row == 2
    assert found.frame[Col.INDUSTRY][0] == "33"
    assert found.unknown == ()
    check_first(found)


def test_aiqicha_xls_with_the_header_in_row_three(tmp_path: Path) -> None:
    found = read_firms(make.write_xls(tmp_path / "aqc.xls", {"企业信息": make.aqc_rows(FIRMS)}))
    assert found.header_row == 3
    assert found.charset == ""
    check_first(found)


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_in_every_charset_and_delimiter(tmp_path: Path, charset: str, delimiter: str) -> None:
    path = make.write_csv(tmp_path / "a.csv", make.tyc_rows(FIRMS), charset, delimiter)
    found = read_firms(path)
    check_first(found)
    assert found.charset == charset


def test_json_lines(tmp_path: Path) -> None:
    found = read_firms(
        make.write_jsonl(tmp_path / "a.jsonl", [{**FIRMS[0], "参保人数": 120, "高新技术企业": True,
                                                 "主营产品": ["合成铸件", "合成管件"]}, FIRMS[1]])
    )  # fmt: skip
    check_first(found)
    assert found.header_row == 0
    assert found.frame[Col.MARKS][0] == "高新技术企业"
    assert found.frame[Col.PRODUCTS][0] == "合成铸件；合成管件"


def zipped(path: Path, *inner: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("说明.doc", "合成")
        for member in inner:
            archive.write(member, member.name)
    return path


MAKERS: dict[str, Callable[[Path], Path]] = {
    "a.csv": lambda p: make.write_csv(p, make.tyc_rows(FIRMS), "gb18030"),
    "a.xlsx": lambda p: make.write_xlsx(p, {"a": make.tyc_rows(FIRMS)}),
    "a.xls": lambda p: make.write_xls(p, {"a": make.tyc_rows(FIRMS)}),
    "a.jsonl": lambda p: make.write_jsonl(p, FIRMS),
}


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_each_kind_inside_a_zip(tmp_path: Path, name: str) -> None:
    found = read_firms(zipped(tmp_path / "a.zip", MAKERS[name](tmp_path / name)))
    check_first(found)
    assert found.file_name == "a.zip"


@pytest.mark.parametrize(
    ("name", "pretended"), [("a.xlsx", "b.xls"), ("a.xls", "b.xlsx"), ("a.csv", "b.xls"),
                            ("a.csv", "b.xlsx"), ("a.jsonl", "b.csv")]
)  # fmt: skip
def test_the_content_decides_what_a_file_is(tmp_path: Path, name: str, pretended: str) -> None:
    path = MAKERS[name](tmp_path / name).rename(tmp_path / pretended)
    check_first(read_firms(path))


def test_the_sheet_with_the_best_header_is_read(tmp_path: Path) -> None:
    sheets = {"名单": [["企业名称"], ["合成甲"]], "明细": make.tyc_rows(FIRMS)}
    found = read_firms(make.write_xlsx(tmp_path / "a.xlsx", sheets))
    assert found.sheet == "明细"


def test_of_two_header_rows_the_better_counts(tmp_path: Path) -> None:
    group = ["基本信息", "", "", "区域", "", ""]
    header = ["企业名称", "注册资本（万元）", "成立日期", "所属省份", "所属城市", "所属区县"]
    row = ["合成甲有限公司", "12.5", "2001/2/3", "山西省", "晋城市", "泽州县"]
    found = read_firms(make.write_csv(tmp_path / "a.csv", [group, header, row]))
    assert found.header_row == 2
    assert found.frame[Col.CAPITAL][0] == 12.5


def test_headers_may_be_spaced_broken_and_full_width(tmp_path: Path) -> None:
    header = [" 企 业\n名 称 ", "统一社会信用代码＊", "注册资本（万元）", "ＦＯＵＮＤＥＤ",
    "企业(机构)类型",
              "专精特新“小巨人”企业"]  # fmt: skip
    row = ["合成甲有限公司", make.make_uscc(7), "100", "2001-02-03", "有限责任公司", "是"]
    found = read_firms(make.write_xlsx(tmp_path / "a.xlsx", {"a": [header, row]}))
    first = found.frame.iloc[0]
    assert first[Col.CAPITAL] == 100
    assert first[Col.FOUNDED] == "2001-02-03"
    assert first[Col.KIND] == "有限责任公司"
    assert first[Col.MARKS] == "专精特新小巨人"
    assert found.unknown == ()


def test_our_own_frame_can_be_read_back(tmp_path: Path) -> None:
    first = read_firms(make.write_csv(tmp_path / "a.csv", make.qcc_rows(FIRMS))).frame
    path = tmp_path / "own.csv"
    first.to_csv(path, index=False)
    again = read_firms(path)
    assert len(again.rejects) == 0
    assert again.warnings == ()
    texts = [c.value for c in Col if c not in NUMBER_COLUMNS]
    assert again.frame[texts].equals(first[texts])
    assert again.frame[Col.CAPITAL].tolist() == first[Col.CAPITAL].tolist()


def test_unknown_columns_are_kept_aside_and_reported(tmp_path: Path) -> None:
    path = make.write_csv(
        tmp_path / "a.csv", [["企业名称", "神秘列", "序号"], ["合成甲", "x", "1"]]
    )
    found = read_firms(path)
    assert found.unknown == ("神秘列",)
    assert found.ignored == ("序号",)
    assert [m.header for m in found.mapping] == ["企业名称", "神秘列", "序号"]
    assert found.mapping[0].target is Col.NAME
    assert found.mapping[0].samples == ("合成甲",)
    assert found.mapping[1].target is None


def test_no_sample_shows_a_contact(tmp_path: Path) -> None:
    found = read_firms(make.write_csv(tmp_path / "a.csv", make.qcc_rows(FIRMS)))
    for mapping in found.mapping:
        if mapping.target in ("phone", "mail", "person"):
            assert mapping.samples == ()
    everything = " ".join(map(str, found.frame.to_numpy().ravel()))
    assert "0356-0000001" not in everything
    assert "a@example.com" not in everything
    assert "合成人1" not in everything


def test_excel_dates_numbers_and_booleans(tmp_path: Path) -> None:
    header = ["企业名称", "成立日期", "注册资本", "参保人数", "高新技术企业", "证券代码"]
    row = ["合成甲", datetime.date(1997, 1, 28), 1234.5, 60.0, True, 1]
    found = read_firms(make.write_xlsx(tmp_path / "a.xlsx", {"a": [header, row]}))
    first = found.frame.iloc[0]
    assert first[Col.FOUNDED] == "1997-01-28"
    assert first[Col.CAPITAL] == 1234.5
    assert first[Col.EMPLOYEES] == 60
    assert first[Col.MARKS] == "高新技术企业"
    assert first[Col.FIRM_ID] == "000001"
    assert any("万元" in w for w in found.warnings)
    assert any("前导零" in w for w in found.warnings)


def test_progress_runs_from_nothing_to_all(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    read_firms(
        make.write_csv(tmp_path / "a.csv", make.qcc_rows(FIRMS)),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[0] == (0, 100)
    assert seen[-1] == (100, 100)
    assert seen == sorted(seen)


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = make.write_csv(tmp_path / "a.csv", make.qcc_rows(FIRMS))
    assert read_firms(path).file_hash == hashlib.sha256(path.read_bytes()).hexdigest()
