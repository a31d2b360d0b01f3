"""The rule of each kind of cell, one by one."""

import math

import pytest

from tests.readers.exports import make_uscc
from zyz_match.domain import Standing
from zyz_match.storage.columns import find_field, is_ignored, score_header
from zyz_match.storage.values import (
    BadValue,
    NumberCell,
    UnknownCurrency,
    header_unit,
    is_missing,
    parse_count,
    parse_date,
    parse_money,
)
from zyz_match.storage.words import (
    find_marks,
    parse_status,
    parse_stock_code,
    parse_uscc,
    says_yes,
    split_list,
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("13,400万元", 13400), ("1.5亿元人民币", 15000), ("1000万元人民币", 1000),
        ("1000万人民币", 1000), ("１０００万元", 1000), ("1000万元（人民币）", 1000),
        ("人民币1000万元", 1000), ("50000元", 5), ("0万元", 0), ("1000万元整", 1000),
        ("12.5万 RMB", 12.5), ("3千万元", 3000), ("500万美元", 3541.35), ("100万(美元)", 708.27),
        ("USD 500万", 3541.35), ("100万欧元", 785.92), ("5000万日元", 251.065),
        ("100万港元", 90.622), ("100万港币", 90.622), ("100万英镑", 904.11),
    ],
)  # fmt: skip
def test_money_with_a_unit(text: str, wanted: float) -> None:
    value, guessed = parse_money(text)
    assert value == pytest.approx(wanted)
    assert not guessed


def test_money_without_a_unit_is_ten_thousands_and_says_so() -> None:
    assert parse_money("1,234.5") == (1234.5, True)
    assert parse_money("50000", unit=1.0) == (5, False)
    assert parse_money("100", 1e4, "USD") == (708.27, False)
    assert parse_money("100万元", unit=1.0) == (100, False)


@pytest.mark.parametrize(
    "text", ["200万新加坡元", "100万韩元", "5万瑞士法郎", "100万新台币", "9万aud"]
)
def test_a_currency_without_a_rate_is_unknown_not_wrong(text: str) -> None:
    with pytest.raises(UnknownCurrency):
        parse_money(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "有限"), ("Infinity", "有限"), ("-inf", "有限"), ("1e400", "过大"), ("-5万元",
        "负数"),
        ("1e17万元", "过大"), ("99999999999999亿元", "过大"), ("壹佰万", "不是"), ("很多", "不是"),
    ],
)  # fmt: skip
def test_money_that_cannot_be_believed(text: str, reason: str) -> None:
    with pytest.raises(BadValue, match=reason):
        parse_money(text)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("万元", (1e4, "CNY")), ("元", (1.0, "CNY")), ("单位：万元", (1e4, "CNY")),
        ("亿元", (1e8, "CNY")), ("万美元", (1e4, "USD")), ("人民币万元", (1e4, "CNY")),
        ("2022年报", (None, "CNY")), ("", (None, "CNY")),
    ],
)  # fmt: skip
def test_the_unit_in_a_header(header: str, wanted: tuple[float | None, str]) -> None:
    assert header_unit(header) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "1997-01-28", "1997/1/28", "1997.1.28", "1997年1月28日", "1997 年 1 月 28 日", "19970128",
        "1997-01-28 至 无固定期限", "1997-01-28至2027-01-27", "自1997-01-28", "1997-01-28 00:00:00",
        "1997-01-28T08:30:00", "１９９７－０１－２８", NumberCell("19970128"),
    ],
)  # fmt: skip
def test_dates_in_every_writing(text: str) -> None:
    assert parse_date(text) == ("1997-01-28", "")


def test_dates_that_need_a_remark() -> None:
    assert parse_date("1997")[0] == "1997-01-01"
    assert parse_date("1997年5月")[0] == "1997-05-01"
    assert parse_date(NumberCell("35458"))[0] == "1997-01-28"
    assert all(parse_date(t)[1] for t in ("1997", "1997年5月", NumberCell("35458")))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2023-02-30", "没有这一天"), ("2023-13-01", "没有这一天"), ("2098-06-02", "晚于今天"),
        ("1799-12-31", "早于"), ("35458", "不是日期"), ("abc", "不是日期"), ("2099年", "晚于"),
        ("0000-00-00", "没有这一天"), ("一九九七年", "不是日期"),
    ],
)  # fmt: skip
def test_dates_that_cannot_be(text: str, reason: str) -> None:
    with pytest.raises(BadValue, match=reason):
        parse_date(text)


@pytest.mark.parametrize(("text", "wanted"), [("1,234人", 1234), ("0", 0), ("12.0", 12), ("５", 5)])
def test_counts(text: str, wanted: float) -> None:
    assert parse_count(text) == wanted


@pytest.mark.parametrize(
    "text", ["-3", "1.5", "NaN", "1e400", "少于50人", "50-99人", "9223372036854775808"]
)
def test_counts_that_cannot_be(text: str) -> None:
    with pytest.raises(BadValue):
        parse_count(text)


def test_a_valid_code_in_every_writing() -> None:
    code = make_uscc(1)
    wide = code.translate({ord(c): ord(c) + 0xFEE0 for c in code})
    for text in (code, code.lower(), wide, f" {code[:6]} {code[6:]}", f'="{code}"', f"\t{code}"):
        assert parse_uscc(text) == code


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("9114050000000", "应为 18 位，现为 13 位"), ("9.11402E+17", "Excel"),
        (NumberCell("911405000000001000"), "Excel"), ("911402000000000000", "Excel"),
        ("91140500000000001O", "字符"), ("合" * 18, "字符"), ("", "18 位"),
    ],
)  # fmt: skip
def test_codes_that_are_refused_with_the_cure(text: str, reason: str) -> None:
    with pytest.raises(BadValue, match=reason):
        parse_uscc(text)


def test_a_wrong_check_digit_names_the_right_one() -> None:
    good = make_uscc(12345)
    wrong = good[:17] + ("A" if good[17] != "A" else "B")
    with pytest.raises(BadValue, match=f"末位应为 {good[17]}"):
        parse_uscc(wrong)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("000001", "000001"), ("000001.SZ", "000001"), ("SZ000001", "000001"), ("sh600000",
        "600000"),
        ("SH.600000", "600000"), ("830799.BJ", "830799"), ("00700.HK", "00700.HK"), ("BABA",
        "BABA"),
        (NumberCell("600000"), "600000"),
    ],
)  # fmt: skip
def test_stock_codes(text: str, wanted: str) -> None:
    assert parse_stock_code(text) == (wanted, "")


def test_zeros_that_excel_dropped_come_back_only_where_nothing_is_lost() -> None:
    code, remark = parse_stock_code(NumberCell("1"))
    assert code == "000001"
    assert remark
    for text in (NumberCell("12345"), NumberCell("1.5"), NumberCell("0"), "1234567"):
        with pytest.raises(BadValue):
            parse_stock_code(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("存续", Standing.ACTIVE), ("在业", Standing.ACTIVE), ("开业", Standing.ACTIVE),
        ("迁入", Standing.ACTIVE), ("迁出", Standing.ACTIVE),
        ("存续（在营、开业、在册）", Standing.ACTIVE), ("在营（开业）企业", Standing.ACTIVE),
        ("注销", Standing.GONE), ("吊销", Standing.GONE), ("吊销，未注销", Standing.GONE),
        ("吊销,已注销", Standing.GONE), ("撤销", Standing.GONE), ("已注销", Standing.GONE),
        ("清算", Standing.ABNORMAL), ("停业", Standing.ABNORMAL), ("歇业", Standing.ABNORMAL),
        ("经营异常", Standing.ABNORMAL), ("存续（经营异常）", Standing.ABNORMAL),
        ("火星", Standing.UNKNOWN),
    ],
)  # fmt: skip
def test_registry_status(text: str, wanted: Standing) -> None:
    assert parse_status(text) is wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("国家级专精特新“小巨人”企业、高新技术企业", ("专精特新小巨人", "高新技术企业")),
        ("省级专精特新中小企业", ("专精特新中小企业",)), ("专精特新", ("专精特新中小企业",)),
        ("科技型中小企业;创新型中小企业", ("创新型中小企业", "科技型中小企业")),
        ("非高新技术企业", ()), ("高新技术企业：否", ()), ("瞪羚企业", ()), ("", ()),
    ],
)  # fmt: skip
def test_marks_in_free_text(text: str, wanted: tuple[str, ...]) -> None:
    assert find_marks(text) == wanted


def test_yes_and_no_of_a_qualification_column() -> None:
    assert all(map(says_yes, ["是", "√", "有", "2021", "2021年第三批", "Y", "1"]))
    assert not any(map(says_yes, ["否", "-", "", "无", "0", "×", "N", "已过期", " "]))


def test_what_is_missing() -> None:
    assert all(
        map(is_missing, ["", " ", "-", "--", "—", "－", "空", "无", "null", "N/A", "\u3000"])
    )
    assert not any(map(is_missing, ["0", "否", "合成", "-1"]))


def test_lists_are_split_once_and_without_repeats() -> None:
    assert split_list("a;b；a;;-; c ") == ("a", "b", "c")


def test_a_number_cell_is_never_taken_for_text() -> None:
    assert NumberCell("1") != "1"
    assert NumberCell("1") == NumberCell("1")
    assert len({NumberCell("1"), "1"}) == 2
    assert math.isclose(float(NumberCell("1.5")), 1.5)


def test_the_imported_name_is_never_the_legal_name() -> None:
    assert find_field("原文件导入名称") is None
    assert is_ignored("原文件导入名称")


def test_a_header_scores_above_a_notice_and_above_data() -> None:
    assert score_header(["企业名称", "登记状态"]) > score_header(["合成有限公司", "存续"])
    assert score_header(["以下数据由程序生成"]) == 0
