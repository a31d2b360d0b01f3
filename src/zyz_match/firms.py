"""A row of the firm table as a `Firm`."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from zyz_match.domain import Col, Firm, Standing


def firm_from_row(row: Mapping[Any, Any]) -> Firm:
    """The firm of one row (columns of `Col`); NaN and None become None, lists are split at ；."""

    def number(column: Col) -> float | None:
        value = row[column]
        return None if value is None or value != value else float(value)

    def count(column: Col) -> int | None:
        value = number(column)
        return None if value is None else int(value)

    def several(column: Col) -> tuple[str, ...]:
        return tuple(x for x in str(row[column]).split("；") if x)

    texts = {
        str(c): str(row[c])
        for c in (
            Col.FIRM_ID, Col.NAME, Col.USCC, Col.STOCK_CODE, Col.STATUS, Col.PROVINCE, Col.CITY,
            Col.COUNTY, Col.DIVISION, Col.ADDRESS, Col.INDUSTRY, Col.INDUSTRY_TEXT,
            Col.CAPITAL_TEXT, Col.SIZE, Col.KIND, Col.SCOPE, Col.PRODUCTS, Col.WEBSITE,
            Col.LISTING, Col.SOURCE,
        )
    }  # fmt: skip
    return Firm(
        **texts,
        standing=Standing(row[Col.STANDING] or Standing.UNKNOWN),
        capital=number(Col.CAPITAL),
        capital_paid=number(Col.CAPITAL_PAID),
        founded=date.fromisoformat(row[Col.FOUNDED]) if row[Col.FOUNDED] else None,
        employees=count(Col.EMPLOYEES),
        former_names=several(Col.FORMER_NAMES),
        marks=several(Col.MARKS),
        revenue=number(Col.REVENUE),
        patents=count(Col.PATENTS),
    )
