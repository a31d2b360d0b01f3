"""The quick way to a list against the slow one: every firm scored in plain numpy, then sorted."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.matching import leads_world, slow
from tests.worlds import TOWN, firm, table
from zyz_match.domain import ChainSegment, Col, Filters, Product, Standing, Town
from zyz_match.matching import kernels, survey
from zyz_match.matching.index import Index
from zyz_match.matching.model import PRIOR, Model, Scores
from zyz_match.matching.pool import candidates, filter_mask
from zyz_match.matching.query import prepare
from zyz_match.matching.quick import LACKING, SLACK
from zyz_match.matching.similarity import look

PHRASES = (
    "球墨铸铁管件制造", "灰铸铁件加工", "汽车铸件销售", "高纯生铁冶炼", "硅铁销售", "球化剂生产",
    "消失模铸造", "树脂砂铸造技术服务", "抛丸机租赁", "中频电炉维修", "软件开发", "糕点零售",
    "货物进出口", "物业管理", "铸造机械制造", "铁", "管件", "x",
)  # fmt: skip
PLACES = (("山西省", "临汾市", "141000"), ("河北省", "邯郸市", "130400"), ("", "", ""))
HOME = replace(TOWN, exclude_regions=())
OTHER = Town(
    id="synthetic-other", name="合成乙镇", province="河北省", city="邯郸市", county="永年区",
    products=(Product("软件开发", 3.0), Product("抛丸机")), industries=("6510", "3484"),
    chain=(ChainSegment("服务", "support", "weak", ("物业管理", "查无此词之词"), ("7020",)),),
)  # fmt: skip
NOBODY = Town(id="synthetic-nobody", name="合成丙镇", products=(Product("魑魅魍魉"),))
ALONE = Town(id="synthetic-alone", name="合成丁镇")
TOWNS = (HOME, OTHER, NOBODY, ALONE)
some_firms = st.lists(
    st.tuples(
        st.lists(st.sampled_from(PHRASES), max_size=6), st.sampled_from(("3391", "6510", "")),
        st.sampled_from(PLACES), st.sampled_from((np.nan, 100.0, 5000.0)),
        st.sampled_from(("", "高新技术企业", "专精特新小巨人")),
        st.sampled_from((Standing.ACTIVE, Standing.ACTIVE, Standing.GONE)),
    ),
    min_size=1, max_size=40,
)  # fmt: skip
weights = st.dictionaries(
    st.sampled_from(
        ("words", "terms", "latent", "peers", "industry", "place", "marks", "capacity")
    ),
    st.sampled_from((-7.0, 0.0, 1.0, 26.0)),
    min_size=1,
)


def pool(firms: list[Any]) -> pd.DataFrame:
    return table(*(
        firm(f"S{i:05d}", scope="；".join(phrases), industry=industry, province=place[0],
             city=place[1], division=place[2], capital=capital, marks=marks, standing=standing)
        | {Col.NAME: f"合成{i % 3}公司"}
        for i, (phrases, industry, place, capital, marks, standing) in enumerate(firms)
    ))  # fmt: skip


def expected(index: Index, town: Town, model: Model, allowed: Any) -> tuple[list[int], Any]:
    """Allowed rows best first, ties by firm id, with the scores that are compared with ours.

    The order is that of our own scores: two scores that differ in the seventh digit only may stand
    either way in the slow one, equal firms stand by their ids in both.
    """
    slowly = slow.scores(index, town, model)
    quickly = model.score(town, index).total
    alive = index.alive
    np.testing.assert_allclose(quickly[alive], slowly[alive], atol=1e-5 * 100, rtol=0)
    rows = np.flatnonzero(allowed)
    ids = index.texts(Col.FIRM_ID, rows)
    best = sorted(range(len(rows)), key=lambda i: (-quickly[rows[i]], ids[i]))
    return [int(rows[i]) for i in best], slowly


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(some_firms, st.sampled_from(TOWNS), weights, st.integers(1, 45), st.sampled_from((2, 1000)),
       st.sampled_from((Filters(), Filters(provinces=("山西省",)), Filters(capital_min=200.0),
                        Filters(text="铸造"), Filters(marks=("高新技术企业",)))))  # fmt: skip
def test_a_list_is_the_head_of_all_scores_whatever_is_asked(
    monkeypatch: pytest.MonkeyPatch, firms: list[Any], town: Town, given_weights: dict[str, float],
    k: int, head: int, filters: Filters,
) -> None:  # fmt: skip
    monkeypatch.setattr(survey, "HEAD", head)
    index = Index("synthetic").fit(pool(firms))
    model = Model(given_weights)
    allowed = candidates(index, town) & filter_mask(index, filters)
    rows, slowly = expected(index, town, model, allowed)
    found = model.score(town, index).best(k, allowed)
    assert found.rows.tolist() == rows[:k]
    np.testing.assert_allclose(found.total, slowly[found.rows], atol=1e-3)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(some_firms, some_firms, st.sampled_from(TOWNS), st.sets(st.integers(0, 39), max_size=5))
def test_firms_that_came_later_are_scored_as_those_that_were_there(
    first: list[Any], later: list[Any], town: Town, removed: set[int]
) -> None:
    before = Index("synthetic").fit(pool(first))
    changed = pool(later).assign(**{Col.FIRM_ID: [f"S{7 * i:05d}" for i in range(len(later))]})
    index = before.updated(changed, [f"S{i:05d}" for i in removed])
    left = {f"S{i:05d}" for i in range(len(first))} - {f"S{i:05d}" for i in removed}
    assert len(index) == len(left | set(changed[Col.FIRM_ID]))
    allowed = candidates(index, town)
    rows, _ = expected(index, town, Model(), allowed)
    assert Model().score(town, index).best(100, allowed).rows.tolist() == rows
    listed = set(index.texts(Col.FIRM_ID, np.array(rows, dtype=np.int64)))
    assert not listed & ({f"S{i:05d}" for i in removed} - set(changed[Col.FIRM_ID]))


@settings(max_examples=15, deadline=None)
@given(some_firms, st.integers(1, 7))
def test_pages_one_after_the_other_are_the_whole_list(firms: list[Any], size: int) -> None:
    index = Index("synthetic").fit(pool(firms))
    allowed, scores = candidates(index, HOME), Model().score(HOME, index)
    whole = scores.best(len(firms), allowed)
    after, seen = None, list[int]()
    while len(page := scores.best(size, allowed, after).rows):
        assert scores.best(size, allowed, after).ahead == len(seen)
        seen += page.tolist()
        last = int(page[-1])
        after = (float(scores.totals(page)[-1]), index.texts(Col.FIRM_ID, [last])[0])
    assert seen == whole.rows.tolist()
    places = scores.places()
    assert sorted(places.tolist()) == list(range(index.size))
    assert np.flatnonzero(allowed)[np.argsort(places[allowed])].tolist() == seen


@settings(max_examples=25, deadline=None)
@given(some_firms, st.sampled_from(TOWNS), weights)
def test_what_a_quick_look_lacks_is_never_more_than_the_rest(
    firms: list[Any], town: Town, given_weights: dict[str, float]
) -> None:
    index = Index("synthetic").fit(pool(firms))
    quick_is_close(Model(given_weights).score(town, index), np.flatnonzero(index.active))


def quick_is_close(scores: Scores, rows: Any) -> None:
    """A quick score of each row alone is what its parts give without those that it lacks."""
    for row in rows:
        alone = np.arange(scores.index.size) == row
        found, quick = scores.quick.look(alone, kernels.NONE)
        assert found.tolist() == [row]
        assert float(scores.total[row] - quick[0]) <= scores.quick.rest
        parts = zip(scores.components, scores.points, scores.table([int(row)]).values, strict=True)
        known = sum(p * v[0] for c, p, v in parts if c.name not in LACKING)
        assert quick[0] == pytest.approx(known, abs=SLACK)


ACTIVE = Index("synthetic").fit(leads_world.firms(), leads_world.events())


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(leads_world.towns()), st.integers(1, 60),
    st.dictionaries(st.sampled_from(list(PRIOR)), st.sampled_from((-7.0, 1.0, 26.0)), min_size=1),
    st.dictionaries(
        st.sampled_from(list(PRIOR)), st.sampled_from((((0.0, 0.3, 1.0), (0.1, 0.9, 1.2)),))
    ),
)  # fmt: skip
def test_what_firms_did_counts_in_a_quick_look_and_in_the_list(
    town: Town, k: int, given_weights: dict[str, float], curves: dict[str, Any]
) -> None:
    scores = Model(given_weights, "synthetic", curves).score(town, ACTIVE)
    quick_is_close(scores, np.arange(0, ACTIVE.size, 7))
    order = np.lexsort((np.arange(ACTIVE.size), -scores.total))
    assert scores.best(k, ACTIVE.active).rows.tolist() == order[:k].tolist()


def test_what_firms_did_counts_as_of_the_day_that_is_asked_for() -> None:
    town, lists = leads_world.towns()[0], []
    found = look(prepare(town, ACTIVE.features.words_), ACTIVE)
    deeds = Model({"words": 1.0, "activity": 26.0, "recency": 26.0})
    for day in (None, ACTIVE.events.now - 1200, ACTIVE.events.now - 600):
        scores = deeds.weigh(replace(found, query=replace(found.query, day=day)))
        quick_is_close(scores, np.arange(0, ACTIVE.size, 7))
        order = np.lexsort((np.arange(ACTIVE.size), -scores.total))
        lists.append(scores.best(30, ACTIVE.active).rows.tolist())
        assert lists[-1] == order[:30].tolist()
    assert len(set(map(tuple, lists))) == 3


@pytest.mark.slow
def test_a_million_equal_firms_stand_by_their_ids() -> None:
    one = firm("合成公司", scope="球墨铸铁管件制造", industry="3391")
    frame = pd.DataFrame({c: [v] * 1_000_000 for c, v in one.items()})
    frame[Col.FIRM_ID] = [f"S{i:07d}" for i in range(len(frame))]
    index = Index("synthetic").fit(frame)
    found = Model().score(HOME, index).best(3, index.active)
    assert index.texts(Col.FIRM_ID, found.rows) == ["S0000000", "S0000001", "S0000002"]
    assert found.total[0] == found.total[2] > 0


@pytest.mark.slow
@pytest.mark.parametrize("firms", [kernels.BLOCK - 1, kernels.BLOCK, kernels.BLOCK + 65])
def test_a_pool_larger_than_a_block_is_no_different(firms: int) -> None:
    rng = np.random.default_rng(firms)
    made = [
        (list(rng.choice(PHRASES[:16], rng.integers(0, 5))), "3391", PLACES[i % 3], 100.0 * i, "",
         Standing.ACTIVE)
        for i in range(firms)
    ]  # fmt: skip
    index = Index("synthetic").fit(pool(made))
    rows, slowly = expected(index, HOME, Model(), index.active)
    found = Model().score(HOME, index).best(50, index.active)
    assert found.rows.tolist() == rows[:50]
    np.testing.assert_allclose(found.total, slowly[rows[:50]], atol=1e-3)


def test_a_firm_of_ten_thousand_words_and_one_without_any_are_scored() -> None:
    signs = "".join(chr(0x4E00 + i) for i in range(10_000))
    index = Index("synthetic").fit(table(
        firm("S1", scope=signs), firm("S2"), firm("S3", scope="球墨铸铁管件制造；灰铸铁件加工"),
    ))  # fmt: skip
    rows, slowly = expected(index, HOME, Model(), index.active)
    assert Model().score(HOME, index).best(9, index.active).rows.tolist() == rows
    assert index.texts(Col.FIRM_ID, rows[:1]) == ["S3"]
    assert np.isfinite(slowly).all()


def test_where_nothing_is_allowed_the_list_is_empty() -> None:
    index = Index("synthetic").fit(pool([(["铁"], "", PLACES[0], 1.0, "", Standing.ACTIVE)] * 5))
    for town in TOWNS:
        found = Model().score(town, index).best(3, np.zeros(5, bool))
        assert found.rows.tolist() == []
        assert found.ahead == 0


def test_a_bent_component_changes_the_list_as_it_changes_the_scores() -> None:
    rng = np.random.default_rng(3)
    made = [(list(rng.choice(PHRASES, 3)), "3391", PLACES[i % 3], 50.0 * i, "", Standing.ACTIVE)
            for i in range(300)]  # fmt: skip
    index = Index("synthetic").fit(pool(made))
    curve = ((0.0, 0.3, 1.0), (0.0, 0.9, 1.2))
    model = Model(
        dict(PRIOR), "synthetic", dict.fromkeys(("words", "place", "peers", "marks"), curve)
    )
    scores = model.score(HOME, index)
    order = np.lexsort((np.arange(300), -scores.total))
    assert scores.best(20, index.active).rows.tolist() == order[:20].tolist()
    assert scores.total.tolist() != Model().score(HOME, index).total.tolist()


def test_lists_of_other_towns_and_weights_do_not_disturb_each_other() -> None:
    """The memory of a comparison is used again only when nobody holds it any more."""
    rng = np.random.default_rng(5)
    made = [(list(rng.choice(PHRASES, 3)), "3391", PLACES[i % 3], 50.0 * i, "", Standing.ACTIVE)
            for i in range(500)]  # fmt: skip
    index = Index("synthetic").fit(pool(made))
    held = [Model().score(town, index) for town in TOWNS]
    first = [scores.best(20, index.active) for scores in held]
    other = Model(dict(PRIOR) | {"words": 3.0, "place": 40.0})
    for town in TOWNS * 3:
        other.score(town, index).best(20, index.active)
    for scores, town, head in zip(held, TOWNS, first, strict=True):
        again = Model().score(town, Index("synthetic").fit(pool(made))).best(20, index.active)
        assert head.rows.tolist() == again.rows.tolist()
        np.testing.assert_array_equal(scores.totals(head.rows), head.total)
