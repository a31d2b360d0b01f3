"""Chances: right where there is enough, silent where there is not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from tests.matching import leads_world as lw
from zyz_match.matching.calibration import (
    LEAST,
    base_rate,
    brier,
    calibrate,
    calibration_error,
    coverage,
)
from zyz_match.matching.model import Model
from zyz_match.matching.ranking import rank


def world(size: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores, ends that follow a known chance, days, and that chance."""
    rng = np.random.default_rng(seed)
    scores = 100 * rng.beta(1.2, 5, size)
    share = scores / 100
    chance = expit(-0.2 + 1.1 * np.log(share) + 1.5 * share)
    return scores, rng.random(size) < chance, np.sort(rng.integers(0, 900, size)), chance


def test_told_chances_are_near_the_true_ones_and_the_interval_holds_them() -> None:
    hits = []
    for seed in range(20):
        scores, good, closed, chance = world(3000, seed)
        found = calibrate(scores, good, closed)
        assert found is not None
        told = [found.chance(s, 1.0) for s in scores[::30]]
        assert np.abs([t.value for t in told] - chance[::30]).mean() < 0.03
        hits += [t.low <= c <= t.high for t, c in zip(told, chance[::30], strict=True)]
    assert np.mean(hits) >= 0.85


@pytest.mark.slow
def test_later_leads_lie_in_what_earlier_ones_told() -> None:
    found = []
    for seed in range(20):
        scores, good, closed, _ = world(6000, 50 + seed)
        early = np.arange(6000) < 4000
        curve = calibrate(scores[early], good[early], closed[early])
        assert curve is not None
        found.append(coverage([curve.chance(s, 1.0) for s in scores[~early]], good[~early]))
    assert 0.85 <= np.mean(found) <= 0.97


def test_a_chance_rises_with_the_score() -> None:
    scores, good, closed, _ = world(2000, 3)
    found = calibrate(scores, good, closed)
    assert found is not None
    told = [found.chance(float(s), 1.0).value for s in range(0, 101, 5)]
    assert told == sorted(told)


def test_too_few_ends_tell_no_chance() -> None:
    scores, good, closed, _ = world(4000, 4)
    few = np.append(np.flatnonzero(good)[: LEAST - 1], np.flatnonzero(~good))
    assert calibrate(scores[few], good[few], closed[few]) is None
    assert calibrate(scores[good], good[good], closed[good]) is None


def test_a_score_that_says_the_opposite_tells_no_chance() -> None:
    scores, good, closed, _ = world(4000, 5)
    assert calibrate(100 - scores, good, closed) is None


def test_a_firm_of_which_nothing_is_known_gets_the_base_rate() -> None:
    scores, good, closed, _ = world(2000, 6)
    found = calibrate(scores, good, closed)
    assert found is not None
    assert found.chance(99.0, 0.0) == found.base == base_rate(good)
    assert found.base.low < good.mean() < found.base.high


def test_a_list_shows_chances_only_with_a_calibration() -> None:
    from zyz_match.matching.index import Index

    index, town = Index("synthetic").fit(lw.firms(), lw.events()), lw.towns()[0]
    assert all(m.chance is None for m in rank(index, town, k=5).matches)
    scores, good, closed, _ = world(2000, 7)
    model = replace(Model(), calibration=calibrate(scores, good, closed))
    for match in rank(index, town, k=5, model=model).matches:
        assert match.chance is not None
        assert 0 <= match.chance.low <= match.chance.value <= match.chance.high <= 1


def test_the_measures_of_a_perfect_and_of_a_wrong_teller() -> None:
    good = np.array([True, False] * 50)
    assert brier(good.astype(float), good) == 0
    assert calibration_error(good.astype(float), good) == 0
    assert brier(np.full(100, 0.5), good) == 0.25
    assert calibration_error(np.full(100, 0.9), good) == pytest.approx(0.4)
