"""What is said of a firm: held against a slow reference, and the same whenever it is asked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worlds import TOWN, firm, table, world
from zyz_match.domain import ChainSegment, Product, Town
from zyz_match.matching import ranking
from zyz_match.matching.evidence import Explainer, RowEvidence, shared_words
from zyz_match.matching.index import Index
from zyz_match.matching.model import Model
from zyz_match.matching.overlap import Overlap
from zyz_match.matching.phrases import cut, term_phrases
from zyz_match.matching.query import PRODUCTS, prepare
from zyz_match.matching.shown import PerRow, ShownFirm, shown_firms

SYLLABLES = "铸铁件管生产销售机械阀门泵a1"
TEXTS = st.lists(st.text(SYLLABLES, min_size=1, max_size=7), min_size=1, max_size=6).map("；".join)
TERMS = st.lists(st.text(SYLLABLES, min_size=1, max_size=6), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def index() -> Index:
    return Index("synthetic").fit(world())


def town(*terms: str, **chain: tuple[str, ...]) -> Town:
    segments = tuple(ChainSegment(name, "core", None, words) for name, words in chain.items())
    return Town("t", "合成镇", products=tuple(map(Product, terms)), chain=segments)


def every_row(index: Index) -> list[int]:
    return list(range(index.size))


def overlap_of(index: Index, asked: Town) -> Overlap:
    words = index.features.words_
    return Overlap(prepare(asked, words), words)


def explained(index: Index, asked: Town, rows: list[int]) -> list[RowEvidence]:
    scores = Model().score(asked, index)
    return Explainer(index, scores).explain(rows, scores.table(rows))


# words ---------------------------------------------------------------------------------------


def answer(term: str, firm: ShownFirm) -> str:
    """The phrase that answers a term best, by the definition."""
    asked = "".join(term_phrases(term))
    pairs = {asked[i : i + 2] for i in range(max(1, len(asked) - 1))}
    best, found = 0.0, ""
    for phrase in firm.phrases:
        shared = sum(pair in phrase for pair in pairs)
        near = shared / (len(pairs) + 0.3 * max(0, len(phrase) - len(asked)) ** 0.5)
        if near > best:
            best, found = near, phrase
    return found


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(TERMS, st.lists(TEXTS, min_size=1, max_size=5))
def test_terms_are_answered_as_the_definitions_say(terms: list[str], texts: list[str]) -> None:
    rows = [firm(f"合成{i}", products=text) for i, text in enumerate(texts)]
    index, asked = Index().fit(table(*rows)), town(*terms)
    overlap, shown = overlap_of(index, asked), shown_firms(index, every_row(index))
    words = index.features.words_
    weights = words.transform(index.frame).toarray()
    expected = np.zeros((len(texts), len(terms)))
    for t, product in enumerate(asked.products):
        columns, by_gram = words.query([(product.term, product.weight)])
        expected[:, t] = weights[:, columns] @ by_gram
    np.testing.assert_allclose(overlap.by_term(shown), expected, rtol=1e-6)
    for one, held, values in zip(shown, overlap.of(shown), expected, strict=True):
        assert bool(held.matches) == bool(values.any())
        assert held.segment == (PRODUCTS if values.any() else "")
        for match in held.matches:
            assert match.phrase == answer(match.term.text, one)
            assert match.weight == pytest.approx(
                values[terms.index(match.term.text)] / values.sum()
            )


def test_a_firm_that_came_after_the_fit_is_answered_by_the_words_known_then(index: Index) -> None:
    late = table(firm("合成酉新来公司", products="灰铸铁件；龘龘龘龘龘龘龘龘"))
    grown = index.updated(late)
    row = grown.row("合成酉新来公司")
    assert row is not None
    words = grown.features.words_
    overlap, [shown] = overlap_of(grown, TOWN), shown_firms(grown, [row])
    counts = words.counts(cut(late))
    assert shown.norm == pytest.approx(float(words.norms(counts.lengths)[0]))
    columns, weights = words.query([(t.term, t.weight) for t in TOWN.products])
    sought = words.matrix(counts).toarray()[0, columns] @ weights
    mean = sum(t.weight for t in TOWN.products) / len(TOWN.products)
    by_term = overlap.by_term([shown])[0, : len(TOWN.products)]
    assert by_term.sum() == pytest.approx(sought / mean, rel=1e-6)
    assert (
        explained(grown, TOWN, [row])[0].contributions[0].evidence[0].startswith("企业“灰铸铁件”")
    )


def test_a_long_segment_wins_nothing_by_its_length() -> None:
    index = Index().fit(table(firm("合成一", products="抛丸机；硅铁；生铁"), firm("合成二")))
    many = tuple(f"别样{i}" for i in range(20))
    asked = town(短环节=("抛丸机",), 长环节=("硅铁", *many))
    assert [e.segment for e in explained(index, asked, every_row(index))] == ["短环节", ""]


# the same whenever it is asked ---------------------------------------------------------------


def test_evidence_does_not_hang_on_what_was_asked_before(index: Index) -> None:
    rows = every_row(index)
    alone = {row: explained(Index().fit(world()), TOWN, [row])[0] for row in rows[:4]}
    explained(index, town("糕点", "软件开发"), rows)
    first, again = explained(index, TOWN, rows), explained(index, TOWN, rows[::-1])
    assert again[::-1] == first
    for row, found in alone.items():
        assert found.reason == first[row].reason
        assert [c.evidence for c in found.contributions] == [
            c.evidence for c in first[row].contributions
        ]


def test_a_changed_profile_changes_what_is_said(index: Index) -> None:
    row = index.row("合成丁装备公司")
    assert row is not None
    before, after = (explained(index, town(term), [row])[0] for term in ("抛丸机", "中频电炉"))
    assert "抛丸机" in before.reason
    assert "中频电炉" in after.reason


def test_more_firms_than_are_kept_are_given_all_the_same() -> None:
    kept: PerRow[int] = PerRow(3)
    asked: list[list[int]] = []

    def make(rows: list[int]) -> list[int]:
        asked.append(rows)
        return [10 * row for row in rows]

    assert kept.of([1, 2], make) == [10, 20]
    assert kept.of([2, 1], make) == [20, 10]
    assert kept.of([1, 2, 3, 4, 5], make) == [10, 20, 30, 40, 50]
    assert kept.of([9, 8, 7, 6], make) == [90, 80, 70, 60]
    assert asked[0] == [1, 2]
    assert len(asked) >= 3
    assert kept.of([], make) == []


def test_a_list_that_is_spread_out_may_be_empty(index: Index) -> None:
    local = town("铸造", 装备=("抛丸机",))
    nobody = {str(f) for f in index.texts("firm_id", every_row(index))}
    assert ranking.rank(index, local, k=3, existing=nobody, diversify=True).matches == ()


# look-alikes ---------------------------------------------------------------------------------


def test_what_look_alikes_share_is_told_in_the_order_of_the_text() -> None:
    index = Index().fit(table(firm("合成一", products="甲乙丙丁；水泵"), firm("合成二")))
    [own, _] = (one.firm for one in shown_firms(index, every_row(index)))
    other = shown_firms(Index().fit(table(firm("合成三", products="丙丁甲乙；水泵"))), [0])[0].firm
    assert shared_words(index, [other], own) == ("水泵", "甲乙", "丙丁")
