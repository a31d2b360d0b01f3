"""Laws that hold for every world: hypothesis makes the firms, the towns and the order."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.worlds import TOWN, firm, table, world
from zyz_match.domain import Product, Standing, Town
from zyz_match.matching import ranking
from zyz_match.matching.features import FirmFeatures
from zyz_match.matching.index import Index
from zyz_match.matching.model import Model

PHRASES = (
    "球墨铸铁管",
    "灰铸铁件",
    "生铁",
    "蜂蜜",
    "蚕茧",
    "软件开发",
    "抛丸机",
    "糕点",
    "丝绸面料",
)
CODES = ("", "3391", "33", "C", "1411", "6510", "3110")
DIVISIONS = ("", "130400", "370100", "140500", "440300", "110000")
LAWS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def _named(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return table(*(firm(f"合成{i:02d}公司", **r) for i, r in enumerate(rows)))


firms = st.lists(
    st.fixed_dictionaries(
        {
            "products": st.lists(st.sampled_from(PHRASES), max_size=4).map("；".join),
            "scope": st.lists(st.sampled_from(PHRASES), max_size=3).map("、".join),
            "industry": st.sampled_from(CODES),
            "division": st.sampled_from(DIVISIONS),
            "capital": st.one_of(st.just(np.nan), st.floats(0.1, 1e7)),
            "employees": st.one_of(st.just(np.nan), st.integers(0, 10_000).map(float)),
            "marks": st.sampled_from(("", "高新技术企业", "专精特新小巨人")),
            "stock_code": st.sampled_from(("", "000001")),
            "standing": st.sampled_from(list(Standing)),
        }
    ),
    min_size=1,
    max_size=14,
).map(lambda rows: _named(rows))
towns = st.lists(st.sampled_from(PHRASES), max_size=5).map(
    lambda terms: Town(
        "t", "合成镇", province="山西省", city="晋城市", products=tuple(map(Product, terms)),
        industries=("3391",), chain=TOWN.chain[:2],
    )
)  # fmt: skip


@pytest.mark.slow
@LAWS
@given(firms, towns)
def test_contributions_sum_to_the_score(frame: pd.DataFrame, town: Town) -> None:
    for match in ranking.rank(Index().fit(frame), town, k=50).matches:
        assert abs(sum(c.points for c in match.contributions) - match.score) <= 1e-9
        assert 0 <= match.confidence <= 1
        assert np.isfinite(match.score)
        assert match.reason


@pytest.mark.slow
@LAWS
@given(firms, towns, st.integers(1, 8))
def test_a_shorter_list_is_the_head_of_a_longer_one(
    frame: pd.DataFrame, town: Town, k: int
) -> None:
    index = Index().fit(frame)
    longer = ranking.rank(index, town, k=50).matches
    assert ranking.rank(index, town, k=k).matches == longer[:k]
    scores = [m.score for m in longer]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.slow
@LAWS
@given(firms, towns, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(
    frame: pd.DataFrame, town: Town, random: object
) -> None:
    order = list(range(len(frame)))
    random.shuffle(order)  # type: ignore[attr-defined]
    one = ranking.rank(Index().fit(frame), town, k=50)
    other = ranking.rank(Index().fit(frame.iloc[order]), town, k=50)
    assert [m.firm for m in one.matches] == [m.firm for m in other.matches]
    assert [m.score for m in one.matches] == [m.score for m in other.matches]


@pytest.mark.slow
@LAWS
@given(firms, towns)
def test_no_dissolved_firm_is_ever_listed(frame: pd.DataFrame, town: Town) -> None:
    found = ranking.rank(Index().fit(frame), town, k=50).matches
    assert all(m.firm.standing is not Standing.GONE for m in found)
    assert len(found) == (frame["standing"] != Standing.GONE).sum()


def test_saving_and_loading_changes_no_score() -> None:
    index = Index("synthetic").fit(world())
    again = Index.from_parts(*index.parts())
    assert np.array_equal(Model().score(TOWN, index).total, Model().score(TOWN, again).total)


def test_a_second_fit_refits() -> None:
    index = Index().fit(world())
    fewer = world().iloc[:4]
    again = index.fit(fewer)
    fresh = Index().fit(fewer)
    assert len(again) == 4
    assert np.array_equal(Model().score(TOWN, again).total, Model().score(TOWN, fresh).total)


def test_the_pipeline_names_every_column_and_transforms_as_it_fitted() -> None:
    features = FirmFeatures().fit(world())
    matrix = features.transform(world())
    assert matrix.shape == (len(world()), len(features.get_feature_names_out()))
    words = features.words_.transform(world())
    latent = features.latent_.transform(words)
    again = features.transform(world()).toarray()
    assert np.allclose(again[:, : words.shape[1]], words.toarray())
    wide = words.shape[1] + latent.shape[1]
    assert np.allclose(again[:, words.shape[1] : wide], latent, atol=1e-6)


def test_the_pipeline_can_be_cloned_and_keeps_its_parameters() -> None:
    from sklearn.base import clone

    assert clone(FirmFeatures(n_components=7, whitening=0.5)).get_params() == {
        "n_components": 7,
        "whitening": 0.5,
    }


@pytest.mark.parametrize(
    "text", ["", "；；", "依法须经批准的项目，经相关部门批准后方可开展经营活动"]
)
def test_a_pool_without_a_word_is_ranked_all_the_same(text: str) -> None:
    frame = table(firm("有限公司", scope=text))
    shortlist = ranking.rank(Index().fit(frame), TOWN, k=1)
    assert len(shortlist.matches) == 1
    assert np.isfinite(shortlist.matches[0].score)


def test_a_firm_with_ten_thousand_terms_is_no_trouble() -> None:
    wild = "；".join(f"灰铸铁件{i}" for i in range(10_000))
    frame = table(firm("合成万词公司", scope=wild), firm("合成一词公司", scope="灰铸铁件"))
    assert len(ranking.rank(Index().fit(frame), TOWN, k=2).matches) == 2
