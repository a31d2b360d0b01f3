import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from tests.worlds import TOWN, world
from zyz_match.matching.backtest import OURS, backtest
from zyz_match.matching.baselines import baselines
from zyz_match.matching.metrics import bootstrap, ndcg, recall, score_run
from zyz_match.matching.words import WordFeatures

EVENTS = pd.DataFrame(
    {
        "firm_id": ["合成甲铸管公司", "合成甲铸管公司", "合成己软件公司"],
        "date": pd.to_datetime(["2020-01-01", "2020-06-01", "2015-01-01"]),
        "region": ["本地", "外地", "外地"],
        "industry": ["铸造", "铸造", "软件"],
        "target": ["一", "二", "三"],
    }
)
NO_EXISTING = pd.DataFrame({"town_id": [], "firm_id": []})


@given(st.lists(st.integers(0, 3), min_size=2, max_size=30), st.randoms(use_true_random=False))
def test_ndcg_equals_scikit_learns(gains: list[int], random: object) -> None:
    if not any(gains):
        return
    order = list(range(len(gains)))
    random.shuffle(order)  # type: ignore[attr-defined]
    ours = ndcg({str(i): float(g) for i, g in enumerate(gains)}, [str(i) for i in order])
    scores = np.zeros(len(gains))
    scores[order] = np.arange(len(gains), 0, -1)
    theirs = ndcg_score([[2**g - 1 for g in gains]], [scores], k=10)
    assert ours == pytest.approx(theirs)


def test_recall_counts_top_gains_among_the_first_fifty() -> None:
    gains = {"a": 2.0, "b": 2.0, "c": 1.0}
    assert recall(gains, ["c", "a"]) == 0.5
    assert recall(gains, ["x"] * 50 + ["a", "b"]) == 0.0
    assert recall({str(i): 1.0 for i in range(80)}, [str(i) for i in range(50)]) == 1.0


def test_a_town_left_out_of_a_run_scores_nothing() -> None:
    scored = score_run("x", {"t": {"a": 1.0}, "u": {"b": 1.0}}, {"t": ["a"]})
    assert list(scored.ndcg10) == [1.0, 0.0]


def test_the_bootstrap_interval_holds_the_mean_and_narrows_with_more_towns() -> None:
    rng = np.random.default_rng(1)
    few, many = bootstrap(rng.normal(size=20)), bootstrap(rng.normal(size=2000))
    assert few.low < few.mean < few.high
    assert many.high - many.low < few.high - few.low


def test_word_weights_equal_an_independent_bm25() -> None:
    import bm25s

    frame = world()
    words = WordFeatures(k1=1.5, b=0.75)
    ours = words.fit_transform(frame)
    names = words.get_feature_names_out()
    tokens = [[g for p in _phrases(row) for g in words.grams(p)] for row in frame.itertuples()]
    theirs = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    theirs.index(tokens, show_progress=False)
    for token in ("铸", "铸铁", "软件", "糕"):
        column = ours[:, [int(np.flatnonzero(names == token)[0])]].toarray().ravel()
        # bm25s leaves the constant factor k1 + 1 out of the weight
        assert np.allclose(column, theirs.get_scores([token]) * 2.5, rtol=1e-4)


def _phrases(row: object) -> list[str]:
    from zyz_match.matching.phrases import phrases

    return phrases(row.scope, row.products, row.name)  # type: ignore[attr-defined]


def test_a_backtest_ranks_the_known_makers_first_and_reports_every_baseline() -> None:
    truth = {TOWN.id: {"合成甲铸管公司": 2.0, "合成乙铸造公司": 1.0}}
    report = backtest(world(), [TOWN], EVENTS, NO_EXISTING, truth, k=5)
    assert report.run[0][1] == "合成甲铸管公司"
    assert [r[2] for r in report.run] == [1, 2, 3, 4, 5]
    assert report.rows[0].name == OURS
    assert report.rows[0].ndcg10.mean == pytest.approx(1.0, abs=0.3)
    assert {r.name for r in report.rows[1:]} == {
        "字符 BM25", "潜在语义 LSA", "BM25 + LSA", "投资总次数", "近一年投资次数", "同地区次数",
        "同行业次数", "地区 × 行业",
    }  # fmt: skip
    assert all(r.ndcg_gain is not None for r in report.rows[1:])


def test_a_backtest_never_lists_a_firm_that_is_there_already() -> None:
    there = pd.DataFrame({"town_id": [TOWN.id], "firm_id": ["合成甲铸管公司"]})
    report = backtest(world(), [TOWN], EVENTS, there, {}, k=50)
    assert "合成甲铸管公司" not in {r[1] for r in report.run}
    assert report.rows == []


def test_count_baselines_count_what_they_say() -> None:
    town = TOWN.__class__("t", "合成镇", regions=("本地",), industries=("软件",))
    found = baselines(world(), [town], EVENTS)
    ids = world()["firm_id"].tolist()
    best = {name: ids[int(np.argmax(s[0]))] for name, s in found.items()}
    assert best["投资总次数"] == best["同地区次数"] == best["近一年投资次数"] == "合成甲铸管公司"
    assert best["同行业次数"] == "合成己软件公司"


def test_past_investments_in_the_region_raise_the_propensity() -> None:
    from zyz_match.domain import Product, Town
    from zyz_match.matching import ranking
    from zyz_match.matching.index import Index

    town = Town("t", "合成镇", products=(Product("软件"),), regions=("外地",), industries=("软件",))
    index = Index().fit(world(), EVENTS)
    found = {m.firm.name: m for m in ranking.rank(index, town, k=50).matches}
    parts = {c.name: c for c in found["合成己软件公司"].contributions}
    assert parts["region"].points > 0
    assert parts["sector"].points > 0
    assert parts["activity"].part == "propensity"
    assert "曾" in found["合成己软件公司"].reason
    idle = {c.name: c for c in found["合成庚食品公司"].contributions}
    assert idle["activity"].points == 0
    assert idle["activity"].missing
