"""Watching: clean data stay quiet at every size, a real move is heard."""

import numpy as np
import pandas as pd
import pytest

from tests.matching import leads_world as lw
from zyz_match.matching.watching import drift, watch

TRUTH = lw.model(words=20, region=40, partners=40)


@pytest.mark.parametrize(("n", "m"), [(30, 30), (50, 50), (200, 80), (5000, 2000)])
def test_clean_data_fire_about_as_seldom_as_promised(n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    found = [drift("x", "合成", rng.random(n), rng.random(m)) for _ in range(300)]
    assert sum(d.fired for d in found if d) / 300 <= 0.04


def test_a_fixed_limit_would_have_cried_wolf() -> None:
    rng = np.random.default_rng(1)
    found = [drift("x", "合成", rng.random(50), rng.random(50)) for _ in range(200)]
    assert sum(d.psi > 0.1 for d in found if d) > 100


def test_a_real_move_is_heard() -> None:
    rng = np.random.default_rng(2)
    found = drift("x", "合成", rng.normal(0, 1, 200), rng.normal(1, 1, 100))
    assert found is not None
    assert found.fired


def test_nothing_is_said_of_too_few_or_of_constant_values() -> None:
    assert drift("x", "合成", np.arange(10.0), np.arange(100.0)) is None
    assert drift("x", "合成", np.zeros(100), np.zeros(100)) is None


def shown() -> pd.DataFrame:
    rows = [(f"L{i}", f"syn-{i % 3}", "prior-1" if i < 30 else "m2", f"2026-01-{i % 28 + 1:02d}", r,
             50.0 - r) for i in range(60) for r in (1, 2, 3)]  # fmt: skip
    return pd.DataFrame(rows, columns=["list_id", "town_id", "model", "asked_at", "rank", "score"])


def test_exposure_stands_beside_merit_and_lists_beside_their_models() -> None:
    found = watch(lw.examples(TRUTH, seed=1, leads=60), shown())
    assert sum(e.share for e in found.exposure) == pytest.approx(1)
    assert sum(e.merit or 0 for e in found.exposure) == pytest.approx(1)
    assert {e.town_id: e.lists for e in found.exposure}["syn-1"] == 20
    assert found.models == {"prior-1": 0.5, "m2": 0.5}
    assert "线索" in found.sufficiency


def test_an_empty_store_can_be_watched() -> None:
    none = lw.examples(TRUTH, seed=1).only(slice(0, 0))
    found = watch(none, shown().iloc[:0])
    assert found.drifts == ()
    assert all(e.merit is None for e in found.exposure)
    assert found.models == {}
