"""A shortlist as an Excel workbook: the list, the score in detail, the town, how to read it."""

import io
import math
import unicodedata
from collections.abc import Sequence
from datetime import date
from typing import Any

import xlsxwriter

from zyz_match.domain import Shortlist
from zyz_match.reports import (
    LIST_COLUMNS,
    PART_NAMES,
    Value,
    filters_in_words,
    is_risky,
    pool_in_words,
    printable,
    segment_row,
    stamp_in_words,
    town_pairs,
)

SHEETS = ("目标企业清单", "得分明细", "专业镇画像", "说明")
TEAM_COLUMNS = (("跟进情况", 24),)  # left empty for the team
DETAIL_COLUMNS = (
    ("名次", 6), ("企业名称", 28), ("部分", 8), ("贡献项", 16), ("得分", 9), ("满分", 9),
    ("分项值", 9), ("依据", 60), ("缺失", 26),
)  # fmt: skip
CHAIN_COLUMNS = (("环节", 18), ("位置", 10), ("需求", 10), ("关键词", 60), ("行业", 46))
HOW_TO_READ = (
    "本清单是决策辅助材料，供招商人员初步筛选目标企业。"
    "是否接触、如何洽谈由招商人员判断，请以企业最新登记信息和实地了解为准。",
    "得分是各项贡献之和，满分 100 分。"
    "“得分明细”页逐项列出每家企业的得分、满分、依据和缺失的信息；各项相加等于总分。",
    "适配：企业的产品、经营范围、行业和规模与专业镇的产品、产业链有多贴近。",
    "意愿：企业近期在外投资、设点等行为所反映的扩张倾向。",
    "可信度：评分所需的信息中，这家企业已有的比例。可信度低的企业，补录信息后名次可能明显变化。",
    "“满分”随专业镇和企业库而定：某项在该镇或全库无从比较时，对所有企业一律不计，其余各项按比例放大。",
    "不同专业镇的得分不宜直接比较；同一清单内的名次可以比较。",
    "缺失的信息按缺失处理，不当作零，也不据此推断企业不好。",
    "评分不使用税收、补贴等优惠条件，也不含企业联系人、电话、邮箱等个人信息。",
)

_TEXT_LIMIT = 32_000  # Excel refuses cells above 32,767 characters
_MAX_LINES = 12  # a row is never higher than this many lines
_LINE_HEIGHT = 15.0
_FONT = "微软雅黑"


def shortlist_workbook(shortlist: Shortlist, on: date) -> bytes:
    """The whole workbook as bytes; no text in it is a formula, a link or a number by accident."""
    buffer = io.BytesIO()
    options = {
        "in_memory": True, "strings_to_formulas": False, "strings_to_urls": False,
        "strings_to_numbers": False,
    }  # fmt: skip
    with xlsxwriter.Workbook(buffer, options) as book:
        book.set_properties({"title": f"{printable(shortlist.town.name)}目标企业清单"})
        _list_sheet(_Sheet(book, SHEETS[0]), shortlist, on)
        _detail_sheet(_Sheet(book, SHEETS[1]), shortlist)
        _town_sheet(_Sheet(book, SHEETS[2]), shortlist)
        _notes_sheet(_Sheet(book, SHEETS[3]), shortlist, on)
    return buffer.getvalue()


class _Sheet:
    """A worksheet with A4 print settings and cells that stay what they are."""

    def __init__(self, book: Any, name: str) -> None:
        self.book = book
        self.sheet = book.add_worksheet(name)
        self._formats: dict[tuple[tuple[str, object], ...], Any] = {}
        self.sheet.set_paper(9)
        self.sheet.fit_to_pages(1, 0)
        self.sheet.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.6)
        self.sheet.set_footer("&L&8&A&R&8第 &P 页，共 &N 页")

    def style(self, **properties: object) -> Any:
        key = tuple(sorted(properties.items()))
        if key not in self._formats:
            base: dict[str, object] = {"font_name": _FONT, "font_size": 10, "valign": "vcenter"}
            self._formats[key] = self.book.add_format(base | properties)
        return self._formats[key]

    def put(self, row: int, column: int, value: Value, **properties: object) -> None:
        """Write one cell: numbers as numbers, everything else as text."""
        if isinstance(value, int | float) and math.isfinite(value):
            self.sheet.write_number(row, column, value, self.style(**properties))
        elif isinstance(value, str) and value:
            self.text(row, column, value, **properties)
        else:
            self.sheet.write_blank(row, column, None, self.style(**properties))

    def text(self, row: int, column: int, value: str, **properties: object) -> None:
        """Write text that stays text, also when somebody edits the cell later."""
        text = printable(value)[:_TEXT_LIMIT]
        quote = {"quote_prefix": True} if is_risky(text) else {}
        self.sheet.write_string(row, column, text, self.style(**properties, **quote))

    def line(self, row: int, first: int, last: int, text: str, **properties: object) -> None:
        """One text over several columns of a row."""
        self.sheet.merge_range(row, first, row, last, "", self.style(text_wrap=True, **properties))
        self.text(row, first, text, text_wrap=True, **properties)

    def header(self, row: int, columns: Sequence[tuple[str, int]]) -> None:
        """A header row, and the widths of its columns."""
        for i, (heading, width) in enumerate(columns):
            self.sheet.set_column(i, i, width)
            self.put(
                row, i, heading, bold=True, bg_color="#1F4E79", font_color="#FFFFFF", border=1,
                text_wrap=True, align="center",
            )  # fmt: skip


def _lines(text: str, width: int) -> int:
    """Lines that a text takes in a cell of this width; wide characters count double."""
    wide = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text[:2000])
    return max(1, -(-wide // max(1, width - 1)))


def _height(cells: Sequence[tuple[Value, int]]) -> float:
    lines = max((_lines(v, w) for v, w in cells if isinstance(v, str)), default=1)
    return _LINE_HEIGHT * min(lines, _MAX_LINES) + 3


def _list_sheet(page: _Sheet, shortlist: Shortlist, on: date) -> None:
    columns = [*((c.heading, c.width) for c in LIST_COLUMNS), *TEAM_COLUMNS]
    last = len(columns) - 1
    width = sum(w for _, w in columns)
    lines = [
        f"{on:%Y年%m月%d日}　{pool_in_words(shortlist)}　"
        f"本清单 {len(shortlist.matches):,} 家　{stamp_in_words(shortlist)}",
        f"筛选条件：{filters_in_words(shortlist.filters)}",
        *(f"注意：{n}" for n in shortlist.notes),
    ]
    page.line(0, 0, last, f"{shortlist.town.name} 目标企业清单", bold=True, font_size=16)
    page.sheet.set_row(0, 28)
    for i, text in enumerate(lines, 1):
        page.line(i, 0, last, text, font_color="#595959")
        page.sheet.set_row(i, _height([(text, width)]))
    top = len(lines) + 1
    page.header(top, columns)
    page.sheet.set_row(top, 32)
    for row, match in enumerate(shortlist.matches, top + 1):
        values = [c.value(match) for c in LIST_COLUMNS]
        for i, (column, value) in enumerate(zip(LIST_COLUMNS, values, strict=True)):
            number = {"num_format": column.number} if column.number else {"text_wrap": True}
            page.put(row, i, value, border=1, border_color="#BFBFBF", **number)
        for i in range(len(LIST_COLUMNS), len(columns)):
            page.put(row, i, None, border=1, border_color="#BFBFBF", text_wrap=True)
        page.sheet.set_row(
            row, _height([(v, c.width) for c, v in zip(LIST_COLUMNS, values, strict=True)])
        )
    bottom = top + max(1, len(shortlist.matches))
    score = next(i for i, c in enumerate(LIST_COLUMNS) if c.heading == "得分")
    bar = {
        "type": "data_bar", "bar_color": "#9DC3E6", "bar_solid": True, "min_type": "num",
        "max_type": "num", "min_value": 0, "max_value": 100,
    }  # fmt: skip
    page.sheet.conditional_format(top + 1, score, bottom, score, bar)
    page.sheet.autofilter(top, 0, bottom, last)
    page.sheet.freeze_panes(top + 1, 2)
    page.sheet.repeat_rows(top)
    page.sheet.set_landscape()
    page.sheet.print_area(0, 0, bottom, last)
    page.sheet.activate()


def _detail_sheet(page: _Sheet, shortlist: Shortlist) -> None:
    page.header(0, DETAIL_COLUMNS)
    row = 1
    for match in shortlist.matches:
        for c in match.contributions:
            evidence = "；".join(c.evidence)
            values: tuple[Value, ...] = (
                match.rank, match.firm.name, PART_NAMES[c.part], c.label, c.points, c.maximum,
                c.value, evidence, c.missing,
            )  # fmt: skip
            _detail_row(page, row, values)
            page.sheet.set_row(
                row, _height([(evidence, 60), (c.missing, 26), (match.firm.name, 28)])
            )
            row += 1
        total = sum(c.maximum for c in match.contributions)
        name = match.firm.name
        _detail_row(
            page, row, (match.rank, name, "合计", "", match.score, total, None, "", ""),
            bold=True, bg_color="#DDEBF7",
        )  # fmt: skip
        page.sheet.set_row(row, _height([(name, 28)]))
        row += 1
    page.sheet.autofilter(0, 0, max(1, row - 1), len(DETAIL_COLUMNS) - 1)
    page.sheet.freeze_panes(1, 2)
    page.sheet.repeat_rows(0)
    page.sheet.set_landscape()


def _detail_row(page: _Sheet, row: int, values: Sequence[Value], **look: object) -> None:
    for i, value in enumerate(values):
        number = (
            {"num_format": "0" if i == 0 else "0.00"} if i in (0, 4, 5, 6) else {"text_wrap": True}
        )
        page.put(row, i, value, border=1, border_color="#D9D9D9", **number, **look)


def _town_sheet(page: _Sheet, shortlist: Shortlist) -> None:
    town = shortlist.town
    last = len(CHAIN_COLUMNS) - 1
    pairs = [(name, value) for name, value in town_pairs(town) if value]
    top = len(pairs) + 2
    page.header(top, CHAIN_COLUMNS)
    page.line(0, 0, last, f"{town.name} 画像", bold=True, font_size=14)
    width = sum(w for _, w in CHAIN_COLUMNS[1:])
    for row, (name, value) in enumerate(pairs, 1):
        page.put(row, 0, name, bold=True)
        page.line(row, 1, last, value)
        page.sheet.set_row(row, _height([(value, width)]))
    for row, segment in enumerate(map(segment_row, town.chain), top + 1):
        for i, value in enumerate(segment):
            page.put(row, i, value, border=1, border_color="#BFBFBF", text_wrap=True)
        widths = [w for _, w in CHAIN_COLUMNS]
        page.sheet.set_row(row, _height(list(zip(segment, widths, strict=True))))
    page.sheet.set_landscape()


def _notes_sheet(page: _Sheet, shortlist: Shortlist, on: date) -> None:
    page.sheet.set_column(0, 0, 100)
    sources: dict[str, int] = {}
    for match in shortlist.matches:
        source = match.firm.source or "未注明"
        sources[source] = sources.get(source, 0) + 1
    lines = [
        *HOW_TO_READ,
        *(
            [
                "本清单企业信息的来源："
                + "；".join(f"{s}（{n:,} 家）" for s, n in sources.items())
                + "。"
            ]
            if sources
            else []
        ),
        f"生成日期 {on:%Y年%m月%d日}　{stamp_in_words(shortlist)}",
    ]
    page.put(0, 0, "说明", bold=True, font_size=14)
    for row, text in enumerate(lines, 1):
        page.put(row, 0, text, text_wrap=True)
        page.sheet.set_row(row, _height([(text, 100)]))
