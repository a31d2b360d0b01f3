"""Whatever a cell holds, reading never crashes: a value, a reason, nothing else."""

import csv
import datetime
import io
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zyz_match.domain import NUMBER_COLUMNS, Col
from zyz_match.errors import FileError
from zyz_match.storage import values, words
from zyz_match.storage.readers import read_firms, write_rejects

ANY = st.text(alphabet=st.characters(codec=None), max_size=40)
NEAR = st.text(alphabet="0123456789.,-+eE年月日万亿元美 至()（）%/:TZ=\t￥$", max_size=20)
HEADERS = ["企业名称", "统一社会信用代码", "证券代码", "登记状态", "注册资本", "成立日期",
"参保人数", "所属省份",
           "注册地址", "所属行业", "主营产品", "曾用名", "高新技术企业", "资质", "电话",
           "不认识"]  # fmt: skip

PARSERS: list[Callable[[str], Any]] = [
    values.parse_money, values.parse_date, values.parse_count, words.parse_uscc,
    words.parse_stock_code, words.parse_status, words.find_marks, words.says_yes,
    words.split_list, values.is_missing, values.header_unit,
]  # fmt: skip


@pytest.mark.parametrize("parse", PARSERS, ids=lambda p: p.__name__)
@given(text=ANY | NEAR | NEAR.map(values.NumberCell))
def test_every_parser_is_total(parse: Callable[[str], Any], text: str) -> None:
    with suppress(values.BadValue):
        parse(text)


@given(amount=st.floats(min_value=0, max_value=1e9, allow_nan=False).map(lambda x: round(x, 2)))
def test_money_written_is_money_read(amount: float) -> None:
    assert values.parse_money(f"{amount:,.2f}万元")[0] == pytest.approx(amount)


@given(day=st.dates(min_value=values.FIRST_DATE, max_value=datetime.date(2023, 1, 1)))
def test_dates_written_are_dates_read(day: datetime.date) -> None:
    for text in (day.isoformat(), f"{day.year:04d}年{day.month}月{day.day}日", f"{day:%Y%m%d}"):
        assert values.parse_date(text)[0] == day.isoformat()


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=30)
@given(rows=st.lists(st.lists(ANY | NEAR, min_size=16, max_size=16), min_size=1, max_size=5))
def test_any_table_is_read_or_refused_and_no_row_is_lost(rows: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        lines = (json.dumps(dict(zip(HEADERS, r, strict=True))) for r in rows)
        path.write_text("\n".join(lines), "ascii")
        try:
            found = read_firms(path)
        except FileError:
            return
        assert len(found.frame) + len(found.rejects) + found.duplicates == found.rows
        assert found.frame[Col.FIRM_ID].is_unique
        for column in Col:
            if column not in NUMBER_COLUMNS:
                assert found.frame[column].map(lambda v: type(v) is str).all()
        write_rejects(found.rejects, Path(folder) / "r.csv")


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=30)
@given(cells=st.lists(st.text(max_size=20), min_size=3, max_size=3))
def test_any_rejected_row_survives_the_round_trip(cells: list[str]) -> None:
    text = io.StringIO(newline="")
    header = ["企业名称", "经营范围", "官网", "企业类型", "参保人数"]
    csv.writer(text).writerows([header, ["合成甲", *cells, "-1"]])
    with tempfile.TemporaryDirectory() as folder:
        path, again = Path(folder) / "a.csv", Path(folder) / "r.csv"
        path.write_bytes(text.getvalue().encode("utf-8"))
        first = read_firms(path)
        write_rejects(first.rejects, again)
        second = read_firms(again)
    kept = [c.replace("\0", "�") for c in first.rejects.iloc[0].tolist()[2:] if isinstance(c, str)]
    assert second.rejects.iloc[0].tolist()[2:] == kept


@given(content=st.binary(max_size=300))
@settings(deadline=None, max_examples=60)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes("企业名称\n".encode() + content)
        with suppress(FileError):
            read_firms(path)
