"""What firms did, as of a day: nothing later is seen, and the numbers are a plain count's."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.matching.leads_world import REGIONS, TRADES, events, firms
from zyz_match.matching.events import HALF_LIFE, YEAR, EventFeatures, days_of
from zyz_match.matching.similarity import DATED

IDS = firms()["firm_id"]
FITTED = EventFeatures().fit(events(), IDS)
DAYS = st.integers(FITTED.now - 1500, FITTED.now)


def plain(day: int) -> dict[str, np.ndarray]:
    """The same numbers by counting row by row."""
    frame = events().assign(day=days_of(events()["date"]))
    frame = frame[frame["day"] < day]
    deals = frame.drop_duplicates(["firm_id", "target", "date"])
    found = {n: np.full(len(IDS), np.nan) for n in DATED}
    there = frame["region"] == REGIONS[0]
    within = frame["industry"] == TRADES[1]
    in_town = set(frame["firm_id"][there & within])
    investors = frame.groupby("target")["firm_id"].apply(set).to_dict()
    for i, name in enumerate(IDS):
        own, mine = frame[frame["firm_id"] == name], deals[deals["firm_id"] == name]
        age = day - mine["day"]
        if len(mine):
            recent, before = (age <= YEAR).sum(), ((age > YEAR) & (age <= 2 * YEAR)).sum()
            found["activity"][i] = np.log1p((0.5 ** (age / HALF_LIFE)).sum())
            found["recency"][i] = 0.5 ** (age.min() / YEAR)
            found["rhythm"][i] = max(0.0, recent - before) / (recent + before + 1)
            found["breadth"][i] = np.log1p(own["region"].nunique() + own["industry"].nunique())
        for key, some in (("region", there), ("sector", within), ("both", there & within)):
            part = own[some[own.index]]
            if len(part):
                found[key][i] = np.log1p((0.5 ** ((day - part["day"]) / HALF_LIFE)).sum())
        joint = sum(len((investors[t] & in_town) - {name}) for t in set(own["target"]))
        if joint:
            found["partners"][i] = np.log1p(joint)
    return found


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(DAYS)
def test_every_number_is_that_of_a_plain_count(day: int) -> None:
    state = FITTED.as_of(day)
    ours = {**state.firms, **state.of_town(REGIONS[:1], TRADES[1:2], ())}
    for name, values in plain(day).items():
        np.testing.assert_allclose(
            ours[name].dense(len(IDS)), values.astype(np.float32), rtol=1e-6, err_msg=name
        )


@settings(max_examples=12, deadline=None)
@given(DAYS)
def test_what_happens_on_the_day_or_later_changes_nothing(day: int) -> None:
    known = events()[days_of(events()["date"]) < day]
    if known.empty:
        return
    before, after = EventFeatures().fit(known, IDS).as_of(day), FITTED.as_of(day)
    for name, (rows, values) in before.firms.items():
        np.testing.assert_array_equal(after.firms[name][0], rows)
        np.testing.assert_array_equal(after.firms[name][1], values)
    one, other = (s.of_town(REGIONS[:2], TRADES[:1], (3,)) for s in (before, after))
    for name in one:
        np.testing.assert_array_equal(one[name][0], other[name][0])
        np.testing.assert_array_equal(one[name][1], other[name][1])


def test_an_anchor_is_a_partner_though_it_never_invested_here() -> None:
    deals = pd.DataFrame(
        {"firm_id": ["甲", "乙"], "date": pd.to_datetime(["2024-01-01", "2024-02-01"]),
         "region": ["别处", "别处"], "industry": ["铸件", "铸件"], "target": ["标的", "标的"]}
    )  # fmt: skip
    state = EventFeatures().fit(deals, pd.Series(["甲", "乙"])).present
    assert len(state.of_town(("本地",), (), ())["partners"][0]) == 0
    assert state.of_town(("本地",), (), (0,))["partners"][0].tolist() == [1]
    assert state.partners_of(1, ("本地",), (), (0,)).tolist() == [0]


def test_the_record_tells_what_the_numbers_were_made_of() -> None:
    row = int(np.argmax(FITTED.present.firms["activity"].dense(len(IDS))))
    record = FITTED.present.record(row, REGIONS[:1], TRADES[:1])
    own = events()[events()["firm_id"] == IDS.iloc[row]]
    deals = own.drop_duplicates(["target", "date"])
    assert record.total == len(deals)
    assert record.last == own["date"].max().date()
    assert record.in_region == (own["region"] == REGIONS[0]).sum()
    assert record.regions == own["region"].nunique()
    assert record.recent + record.before <= record.total


def test_events_without_a_target_make_no_partners() -> None:
    state = EventFeatures().fit(events().assign(target=""), IDS).present
    found = state.of_town(REGIONS[:1], TRADES[:1], ())
    assert len(found["region"][0]) > 0
    assert len(found["partners"][0]) == 0


@pytest.mark.parametrize("frame", [None, events().iloc[:0]])
def test_without_events_nothing_is_known(frame: pd.DataFrame | None) -> None:
    assert EventFeatures().fit(frame, IDS).empty
