"""Learning from leads: what moves, what never may, and who wins a contest."""

import functools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.matching import leads_world as lw
from zyz_match.domain import Stage
from zyz_match.matching import contest
from zyz_match.matching.backtest import rounds_of
from zyz_match.matching.events import days_of
from zyz_match.matching.examples import NAMES, Examples, gather, graded
from zyz_match.matching.fitting import (
    SETTINGS,
    TrainingSettings,
    _evidence,
    _loss,
    evidence_votes,
    fit_boosted,
    fit_map,
)
from zyz_match.matching.index import Index
from zyz_match.matching.model import PRIOR, Model
from zyz_match.matching.query import prepare
from zyz_match.matching.similarity import compare, look
from zyz_match.matching.training import judge, prediction_hash, retrain

TRUTH = lw.model(words=20, region=40, partners=40)
BAD = lw.model(place=30, marks=40, capacity=30)
SEEDS = range(20)


@functools.cache
def index() -> Index:
    return Index("synthetic").fit(lw.firms(), lw.events())


# features of a lead ------------------------------------------------------------------------------


def test_a_lead_of_today_has_the_very_values_that_a_list_of_today_shows() -> None:
    now = pd.Timestamp("1970-01-01") + pd.Timedelta(days=index().events.now)
    leads = lw.rounds(60).assign(date=now, closed=now)
    found = gather(index(), lw.towns(), leads)
    by_id = {t.id: t for t in lw.towns()}
    for i in range(len(found)):
        town = by_id[found.towns[found.town[i]]]
        seen = look(prepare(town, index().features.words_), index())
        served = {c.name: part for c, part in compare(seen, NAMES).items()}
        for j, name in enumerate(NAMES):
            wanted = served[name].values(found.firm[i : i + 1])[0] if name in served else 0.0
            assert found.values[i, j] == pytest.approx(wanted, abs=1e-9), name
        total = Model().score(town, index()).total[found.firm[i]]
        assert found.totals(Model())[i] == pytest.approx(total, abs=1e-9)


def test_what_a_firm_did_after_a_lead_began_is_not_in_the_leads_features() -> None:
    leads = lw.rounds(80)
    whole = gather(index(), lw.towns(), leads)
    for when in sorted(set(whole.closed))[::20]:
        day = int(when) - 40  # the rounds of this world close 40 days after they begin
        known = lw.events()[days_of(lw.events()["date"]) < day]
        short = gather(Index("short").fit(lw.firms(), known), lw.towns(), leads)
        same = whole.closed == when
        np.testing.assert_allclose(short.values[same], whole.values[same], atol=1e-9)


def test_only_ends_that_say_something_are_learnt_from() -> None:
    frame = pd.DataFrame(
        [("t", f"f{i}", s, b) for i, (s, b) in enumerate((
            ("recommended", "recommended"), ("contacted", "contacted"), ("visited", "visited"),
            ("signed", "signed"), ("lost", "negotiating"), ("lost", "contacted"),
            ("unfit", "visited"),
        ))],
        columns=["town_id", "firm_id", "stage", "best"],
    ).assign(closed=pd.Timestamp("2024-01-01"))  # fmt: skip
    told = graded(frame)
    assert dict(zip(told["firm_id"], told["grade"], strict=True)) == {
        "f2": 0.25, "f3": 1.0, "f4": 0.25, "f5": 0.0, "f6": 0.0,
    }  # fmt: skip


def test_leads_of_unknown_towns_and_firms_are_left_out() -> None:
    leads = lw.rounds(10)
    leads.loc[0, "town_id"], leads.loc[1, "firm_id"] = "nowhere", "nobody"
    assert len(gather(index(), lw.towns(), leads)) == 8


def test_leads_of_a_file_are_rounds_of_one_entry() -> None:
    leads = pd.DataFrame({"town_id": ["a"], "firm_id": ["b"], "outcome": ["lost"],
                          "date": [pd.Timestamp("2024-01-01")]})  # fmt: skip
    (found,) = rounds_of(leads).to_dict("records")
    assert (found["stage"], found["best"], found["closed"]) == (
        "lost",
        "recommended",
        found["date"],
    )


# the fit -----------------------------------------------------------------------------------------


def test_the_gradient_is_that_of_the_loss() -> None:
    some = lw.examples(TRUTH, seed=1, towns=4, leads=15)
    some = replace(some, grade=np.round(some.grade * np.linspace(0.5, 1, len(some)), 1))
    found, rng = _evidence(some, SETTINGS), np.random.default_rng(0)
    beta = rng.normal(size=len(NAMES))
    _, gradient = _loss(beta, found)
    for j in range(len(NAMES)):
        step = np.zeros(len(NAMES))
        step[j] = 1e-6
        slope = (_loss(beta + step, found)[0] - _loss(beta - step, found)[0]) / 2e-6
        assert gradient[j] == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_without_a_comparison_the_weights_are_the_priors() -> None:
    some = lw.examples(TRUTH, seed=2)
    for none in (some.only(some.good), some.only(~some.good), some.only(slice(0, 0))):
        assert fit_map(none).weights == pytest.approx(dict(PRIOR), abs=1e-3)


def test_leads_move_the_weights_towards_what_decides_and_never_below_zero() -> None:
    learnt = fit_map(lw.examples(TRUTH, seed=3, leads=100)).weights
    assert min(learnt.values()) >= 0
    assert sum(learnt.values()) == pytest.approx(sum(PRIOR.values()), abs=1e-3)
    assert learnt["region"] > PRIOR["region"]
    assert learnt["partners"] > PRIOR["partners"]
    assert learnt["latent"] < PRIOR["latent"]


def test_few_leads_move_little_and_many_move_more() -> None:
    def moved(leads: int) -> float:
        learnt = fit_map(lw.examples(TRUTH, seed=4, leads=leads)).weights
        return sum(abs(learnt[n] - PRIOR[n]) for n in NAMES)

    assert moved(1) < moved(3) < moved(10)


def test_votes_of_a_town_of_a_person_and_of_all_are_capped() -> None:
    some = lw.examples(TRUTH, seed=5, towns=3, leads=400)
    votes = evidence_votes(some)
    assert np.bincount(some.town, votes).max() < SETTINGS.town_votes
    many = lw.examples(TRUTH, seed=5, towns=80, leads=40)
    one = replace(many, owner=np.zeros(len(many), dtype=np.int64))
    assert evidence_votes(one).sum() < SETTINGS.owner_votes
    assert SETTINGS.owner_votes < evidence_votes(many).sum() < SETTINGS.all_votes


def test_an_old_lead_counts_less_than_a_new_one() -> None:
    some = lw.examples(TRUTH, seed=6, towns=1)
    good = np.flatnonzero(some.good)
    votes = evidence_votes(replace(some, closed=some.closed * 1000 // 999))[good]
    assert votes[0] < votes[-1]
    years = (some.closed[good[-1]] - some.closed[good[0]]) / 365.25
    assert votes[0] / votes[-1] == pytest.approx(
        0.5 ** (years / SETTINGS.half_life_years), rel=0.01
    )


@pytest.mark.slow
def test_boosting_is_monotone_additive_and_needs_enough() -> None:
    settings = TrainingSettings(boost_from=100)
    some = lw.examples(TRUTH, seed=7, leads=120)
    found = fit_boosted(some, 0, settings)
    assert found is not None
    for _, heights in found.curves.values():
        assert heights[0] == 0
        assert heights[-1] == pytest.approx(1)
        assert (np.diff(heights) >= 0).all()
    assert found.weights["region"] + found.weights["partners"] > 0.5 * sum(found.weights.values())
    assert fit_boosted(some.only(slice(0, 100)), 0, settings) is None


def test_a_model_with_curves_still_adds_up_exactly() -> None:
    from zyz_match.matching.ranking import rank

    bent = replace(Model(), curves={"words": ((0.0, 0.5, 1.0), (0.0, 0.1, 1.0)),
                                    "region": ((0.0, 1.0), (0.0, 1.0))})  # fmt: skip
    for match in rank(index(), lw.towns()[0], k=10, model=bent).matches:
        assert sum(c.points for c in match.contributions) == pytest.approx(match.score, abs=1e-9)


def test_fake_successes_from_one_town_do_not_give_its_favourites_the_other_towns() -> None:
    clean = lw.examples(TRUTH, seed=8, leads=60)
    favourite = clean.values[:, NAMES.index("marks")] > 0.9
    fakes = np.flatnonzero(favourite & (clean.town == 0))
    extra = np.resize(fakes, int(clean.good.sum() * 0.1))
    rows = np.append(np.arange(len(clean)), extra)
    poisoned = clean.only(rows)
    grade = poisoned.grade.copy()
    grade[len(clean) :] = 1.0
    poisoned = replace(poisoned, grade=grade)

    def exposure(model: Model) -> float:
        score = clean.totals(model)
        heads = [np.flatnonzero(clean.town == t) for t in range(1, 12)]
        return float(np.mean([favourite[h[np.argsort(-score[h])][:10]].mean() for h in heads]))

    before, after = exposure(fit_map(clean)), exposure(fit_map(poisoned))
    assert before > 0
    assert after <= 1.5 * before


# the contest -------------------------------------------------------------------------------------


def newest(seed: int) -> Examples:
    return lw.examples(TRUTH, seed=100 + seed, leads=25)


def test_planted_worse_models_are_refused_every_time() -> None:
    assert not any(judge(BAD, TRUTH, newest(s), s).promote for s in SEEDS)


def test_planted_better_models_are_accepted_almost_every_time() -> None:
    assert sum(judge(TRUTH, BAD, newest(s), s).promote for s in SEEDS) >= 18


def test_an_identical_model_is_not_promoted() -> None:
    twins = [replace(TRUTH, weights={n: 2 * w for n, w in TRUTH.weights.items()}) for _ in SEEDS]
    assert (
        sum(judge(t, TRUTH, newest(s), s).promote for s, t in zip(SEEDS, twins, strict=True)) <= 1
    )


def test_a_model_that_beats_a_bad_champion_but_not_the_prior_is_refused() -> None:
    world = lw.examples(Model(), seed=9, leads=60, steep=0.5)
    middling = lw.model(words=10, place=90)
    verdict = judge(middling, BAD, world)
    assert verdict.against_champion is not None
    assert not verdict.promote


@pytest.mark.parametrize(
    ("keep", "word"),
    [(lambda e: slice(0, 0), "较好结果"), (lambda e: e.good, "无果"),
     (lambda e: ~e.good, "较好结果"), (lambda e: e.town == 0, "专业镇")],
)  # fmt: skip
def test_too_little_to_compare_promotes_nothing_and_says_what_is_missing(
    keep: object, word: str
) -> None:
    some = lw.examples(TRUTH, seed=10, leads=60)
    assert callable(keep)
    verdict = judge(TRUTH, BAD, some.only(keep(some)))
    assert not verdict.promote
    assert word in verdict.words
    assert verdict.against_champion is None


def test_the_newest_leads_are_later_than_all_older_ones() -> None:
    some = lw.examples(TRUTH, seed=11)
    older, last = contest.split(some)
    assert older.closed.max() < last.closed.min()
    assert len(older) + len(last) == len(some)
    assert 0.25 < len(last) / len(some) < 0.4


def test_a_tie_counts_half_and_the_head_counts_most() -> None:
    some = lw.examples(TRUTH, seed=12, towns=1, leads=4)
    values = np.zeros_like(some.values)
    values[:, NAMES.index("words")] = [0.5, 0.5, 0.9, 0.1]
    some = replace(some, values=values, grade=np.array([1.0, 0.0, 0.0, 0.0]))
    (gain,), _ = contest.gains(lw.model(words=1.0), some)
    assert gain == pytest.approx(1 / np.log2(2 + 1.5))


# retraining --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_leads_give_the_same_model_and_the_same_hash() -> None:
    first, second = (retrain(index(), lw.towns(), lw.rounds(), Model(), seed=3) for _ in range(2))
    assert first == second
    shuffled = lw.rounds().sample(frac=1, random_state=1)
    third = retrain(index(), lw.towns(), shuffled, Model(), seed=3)
    assert third.card["prediction_hash"] == first.card["prediction_hash"]
    other = retrain(index(), lw.towns(), lw.rounds(seed=8), Model(), seed=3)
    assert other.card["prediction_hash"] != first.card["prediction_hash"]


def test_a_retraining_tells_what_it_saw() -> None:
    card = retrain(index(), lw.towns(), lw.rounds(), Model()).card
    assert card["leads_used"] == 240
    assert card["by_outcome"]["已签约"] == card["good_ends"] > 0
    assert sum(card["by_town"].values()) == 240
    assert card["period"][0] >= "2022-06-01"
    assert card["metrics"]["left_out_towns"] is not None
    assert set(card["weights"]) == set(PRIOR)


@pytest.mark.parametrize(
    "rounds",
    [lw.rounds().iloc[:0], lw.rounds(40).assign(stage=Stage.SIGNED.value, best=Stage.SIGNED.value),
     lw.rounds(40).assign(stage=Stage.NO_INTEREST.value, best=Stage.CONTACTED.value),
     lw.rounds(40).assign(town_id="syn-0"), lw.rounds(3),
     lw.rounds(40).assign(stage=Stage.CONTACTED.value, best=Stage.CONTACTED.value)],
    ids=["none", "all good", "all bad", "one town", "three", "no end"],
)  # fmt: skip
def test_leads_that_decide_nothing_change_nothing_and_say_so(rounds: pd.DataFrame) -> None:
    found = retrain(index(), lw.towns(), rounds, Model())
    assert not found.promote
    assert dict(found.model.weights) == dict(PRIOR)
    assert found.model.calibration is None
    assert "沿用" in found.verdict
    assert found.card["promoted"] is False


def test_a_better_challenger_is_promoted_and_fitted_on_all_leads() -> None:
    leads = lw.rounds(450, decides="region")
    found = retrain(index(), lw.towns(), leads, Model())
    assert found.promote
    assert "采用" in found.verdict
    everything = gather(index(), lw.towns(), leads)
    assert dict(found.model.weights) == dict(fit_map(everything).weights)
    assert prediction_hash(found.model, everything) == found.card["prediction_hash"]


def test_where_the_champion_is_bad_and_leads_add_nothing_the_prior_comes_back() -> None:
    found = retrain(index(), lw.towns(), lw.rounds(600), lw.model(marks=50, place=50))
    assert found.promote
    assert "退回初始模型" in found.verdict
    assert dict(found.model.weights) == dict(PRIOR)


@pytest.mark.slow
def test_a_champion_that_stays_gets_its_chances_once() -> None:
    found = retrain(index(), lw.towns(), lw.rounds(600), Model())
    if not found.promote or dict(found.model.weights) != dict(PRIOR):
        pytest.fail(found.verdict)
    assert found.model.calibration is not None
    again = retrain(index(), lw.towns(), lw.rounds(600), found.model)
    assert not again.promote
