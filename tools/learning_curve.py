"""How lists change with the number of leads: a table, and a picture for docs/.

python tools/learning_curve.py FOLDER [--draws 20] [--svg docs/learning-curve.svg]
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zyz_match.domain import Town
from zyz_match.matching.backtest import by_town, rounds_of
from zyz_match.matching.examples import NAMES, gather
from zyz_match.matching.fitting import fit_map
from zyz_match.matching.index import Index
from zyz_match.matching.metrics import score_run
from zyz_match.matching.model import Model
from zyz_match.matching.pool import candidates
from zyz_match.matching.query import prepare
from zyz_match.matching.similarity import compare, look
from zyz_match.matching.training import choose
from zyz_match.storage.datasets import Dataset, read_dataset

SIZES = (20, 60, 120, 500)
Values = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Lists:
    """Every town's components, computed once, so that a model is scored in a moment."""

    def __init__(self, data: Dataset, index: Index) -> None:
        self.truth, self.index = data.truth, index
        self.ids = index.frame["firm_id"].tolist()
        existing = by_town(data.existing)
        asked = [t for t in data.towns if t.id in data.truth]
        self.towns = [self._town(t, candidates(index, t, existing.get(t.id, ()))) for t in asked]

    def _town(self, town: Town, allowed: Flags) -> tuple[str, Ints, dict[str, Values]]:
        """A town's id, its candidates, and their components."""
        rows = np.flatnonzero(allowed)
        parts = compare(look(prepare(town, self.index.features.words_), self.index), NAMES)
        return town.id, rows, {c.name: part.values(rows) for c, part in parts.items()}

    def ndcg(self, model: Model) -> float:
        """Mean nDCG@10 of a model over all towns."""
        lists = {}
        for town, rows, parts in self.towns:
            total = np.zeros(len(rows))
            for name, values in parts.items():
                total += model.weights[name] * model.bend(name, values).astype(np.float64)
            lists[town] = [self.ids[r] for r in rows[np.argsort(-total, kind="stable")[:10]]]
        return float(score_run("", self.truth, lists).ndcg10.mean())


def measure(folder: Path, draws: int) -> tuple[float, dict[int, Values], dict[int, Values]]:
    """nDCG@10 without leads, and by number of leads: of the model that serves, of MAP alone."""
    data = read_dataset(folder)
    assert data.firms is not None
    index = Index().fit(data.firms.frame, data.events)
    examples, lists = gather(index, data.towns, rounds_of(data.leads)), Lists(data, index)
    prior = lists.ndcg(Model())
    served: dict[int, list[float]] = {}
    alone: dict[int, list[float]] = {}
    for size in (*SIZES, len(examples)):
        for draw in range(draws if size < len(examples) else 1):
            picked = np.random.default_rng(draw).choice(len(examples), size, replace=False)
            some = examples.only(np.sort(picked))
            model = choose(some, Model(), seed=draw).model
            served.setdefault(size, []).append(lists.ndcg(model))
            alone.setdefault(size, []).append(lists.ndcg(fit_map(some)))
    arrays = [{k: np.array(v) for k, v in d.items()} for d in (served, alone)]
    return prior, arrays[0], arrays[1]


def table(prior: float, served: dict[int, Values], alone: dict[int, Values]) -> list[str]:
    """Markdown rows: quartiles by number of leads."""
    rows = ["| 线索数 | 启用的模型：下四分位 / 中位 / 上四分位 | 只看 MAP，不经比较 |",
            "|---|---|---|", f"| 0 | {prior:.4f} | {prior:.4f} |"]  # fmt: skip
    for size, values in served.items():
        told = (" / ".join(f"{q:.4f}" for q in np.percentile(v, [25, 50, 75]))
                for v in (values, alone[size]))  # fmt: skip
        rows.append(f"| {size:,} | {' | '.join(told)} |")
    return rows


def picture(prior: float, served: dict[int, Values], alone: dict[int, Values]) -> str:
    """An SVG: medians with their quartiles, and the line of the ranker without leads."""
    width, height, left, top, bottom = 640, 320, 60, 24, 44
    low, high = prior - 0.02, prior + 0.01
    xs = np.linspace(left + 30, width - 40, len(served))

    def y(value: float) -> float:
        return top + (height - top - bottom) * (high - min(max(value, low), high)) / (high - low)

    def line(values: Sequence[Values], shift: float, colour: str) -> str:
        parts = []
        for x, v in zip(xs + shift, values, strict=True):
            first, middle, third = (y(q) for q in np.percentile(v, [25, 50, 75]))
            parts.append(f'<path d="M{x:.1f} {first:.1f}V{third:.1f}" stroke="{colour}"/>')
            parts.append(f'<circle cx="{x:.1f}" cy="{middle:.1f}" r="4" fill="{colour}"/>')
        return "".join(parts)

    grid = "".join(
        f'<path d="M{left} {y(v):.1f}H{width - 20}" stroke="{c}" stroke-dasharray="{d}"/>'
        f'<text x="{left - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{v:.3f}</text>'
        for v, c, d in ((prior, "#333", "0"), (prior - 0.01, "#c33", "4 3"), (low, "#ddd", "0"))
    )
    names = "".join(
        f'<text x="{x:.1f}" y="{height - 22}" text-anchor="middle">{size:,}</text>'
        for x, size in zip(xs, served, strict=True)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-size="12" '
        f'font-family="sans-serif"><rect width="{width}" height="{height}" fill="#fff"/>'
        f'<text x="{left}" y="15">nDCG@10：黑线为没有线索时，红虚线为低 0.01</text>{grid}{names}'
        f'<text x="{width / 2}" y="{height - 5}" text-anchor="middle">线索数（蓝：启用的模型；'
        f"橙：只看 MAP；竖线为四分位）</text>{line(list(served.values()), -6, '#1565c0')}"
        f"{line(list(alone.values()), 6, '#e08a00')}</svg>\n"
    )


def main() -> None:
    """Print the table, write the picture."""
    options = argparse.ArgumentParser()
    options.add_argument("folder", type=Path)
    options.add_argument("--draws", type=int, default=20)
    options.add_argument("--svg", type=Path)
    given = options.parse_args()
    found = measure(given.folder, given.draws)
    print("\n".join(table(*found)))
    if given.svg:
        given.svg.write_text(picture(*found), "utf-8")


if __name__ == "__main__":
    main()
