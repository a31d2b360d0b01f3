"""Synthetic (合成) firms, towns, events and leads whose ends follow a known rule."""

from dataclasses import replace

import numpy as np
import pandas as pd

from tests.worlds import firm, table
from zyz_match.domain import Product, Stage, Town
from zyz_match.matching.examples import NAMES, Examples
from zyz_match.matching.model import PRIOR, Model

REGIONS = ("合成东区", "合成西区", "合成南区")
TRADES = ("铸件", "丝绸", "陶瓷", "蜂蜜")


def towns() -> list[Town]:
    return [
        Town(
            id=f"syn-{i}", name=f"合成{trade}镇{region}", products=(Product(trade),),
            regions=(region,), industries=(trade,),
        )
        for i, (region, trade) in enumerate((r, t) for r in REGIONS for t in TRADES)
    ]  # fmt: skip


def firms(count: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    return table(
        *(
            firm(f"合成企业{i:03d}", products="；".join(rng.choice(TRADES, 2, replace=False)),
                 capital=float(rng.integers(100, 9000)))
            for i in range(count)
        )
    )  # fmt: skip


def events(count: int = 900, seed: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    days = np.sort(rng.integers(0, 1500, count))
    return pd.DataFrame(
        {
            "firm_id": [f"合成企业{i:03d}" for i in (120 * rng.random(count) ** 2).astype(int)],
            "date": pd.Timestamp("2020-01-01") + pd.to_timedelta(days, unit="D"),
            "region": rng.choice(REGIONS, count),
            "industry": rng.choice(TRADES, count),
            "target": [f"合成标的{i}" for i in rng.integers(0, 200, count)],
        }
    )


def rounds(count: int = 240, seed: int = 7, decides: str = "trade") -> pd.DataFrame:
    """Rounds of random pairs: a firm of the town's trade, or one known there, ends well more often.

    `decides` is "trade" or "region".
    """
    rng = np.random.default_rng(seed)
    found = firms()
    known = set(zip(events()["firm_id"], events()["region"], strict=True))
    rows = []
    for _ in range(count):
        town, at = towns()[rng.integers(12)], int(rng.integers(120))
        name = found["firm_id"].iloc[at]
        in_trade = town.industries[0] in found["products"].iloc[at]
        suits = in_trade if decides == "trade" else (name, town.regions[0]) in known
        date = pd.Timestamp("2022-06-01") + pd.Timedelta(days=int(rng.integers(0, 600)))
        stage = Stage.SIGNED if rng.random() < (0.9 if suits else 0.05) else Stage.NO_INTEREST
        rows.append((town.id, name, date, date + pd.Timedelta(days=40), stage.value))
    frame = pd.DataFrame(rows, columns=["town_id", "firm_id", "date", "closed", "stage"])
    best = frame["stage"].where(frame["stage"] == Stage.SIGNED.value, Stage.CONTACTED.value)
    return frame.assign(best=best, owner="", reason="", list_id="")


def model(**weights: float) -> Model:
    """A model of the given weights alone."""
    return Model(dict.fromkeys(PRIOR, 0.0) | weights, "synthetic")


def examples(
    truth: Model, *, seed: int, towns: int = 12, leads: int = 40, steep: float = 0.12
) -> Examples:
    """Leads with random values whose ends follow the scores of `truth`, a fifth of them well."""
    rng = np.random.default_rng(seed)
    size = towns * leads
    blank = Examples(
        rng.random((size, len(NAMES))), np.ones((size, len(NAMES))),
        np.ones((size, len(NAMES)), dtype=bool), np.zeros(size), rng.integers(0, towns, size),
        np.full(size, -1), np.sort(rng.integers(18_000, 19_000, size)), np.arange(size),
        tuple(f"syn-{t}" for t in range(towns)),
    )  # fmt: skip
    score = steep * blank.totals(truth)
    chance = 1 / (1 + np.exp(-(score - np.quantile(score, 0.8))))
    return replace(blank, grade=(rng.random(size) < chance).astype(np.float64))
