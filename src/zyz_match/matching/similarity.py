"""COMPONENTS: each compares one town with every firm of a pool.

A component gives one number a firm, NaN where the firm's data are missing, or None where the town
or the pool has nothing to compare. The numbers are brought to [0, 1] by the best firm of the pool;
a missing one takes the neutral value: the pool's mean, or 0 for a record that can only add.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from zyz_match.matching import kernels
from zyz_match.matching.events import Sparse
from zyz_match.matching.index import Index, beside, top_k
from zyz_match.matching.query import Query

Values = npt.NDArray[np.floating]
Earlier = Mapping[str, Values]
SEEDS = 8  # best firms by text whose common direction defines the peers; in a small pool fewer:
SEED_SHARE = 0.05  # at most this share of the pool
NEAR_KM = 1000.0  # distance at which place has lost 1 - 1/e of its value


@dataclass(frozen=True, slots=True)
class Labelled:
    """Values that firms of one label share: a number for each label, and each firm's label."""

    table: Values
    labels: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Component:
    """One row of the table: what it is called, which part it belongs to, how it is computed."""

    name: str
    label: str
    part: Literal["fit", "propensity"]
    neutral: Literal["mean", "zero"]
    compare: Callable[[Query, Index, Earlier], Values | Labelled | Sparse | None]


def _words(query: Query, index: Index, _earlier: Earlier) -> Values | None:
    if not len(query.columns):
        return None
    return index.postings.sums(query.columns, query.weights)


def _terms(query: Query, index: Index, _earlier: Earlier) -> Values | None:
    """Sum over the terms a firm's text covers of weight x ln(1 + (n - df + .5) / (df + .5))."""
    if not len(query.columns):
        return None
    return index.postings.coverage(query.cover)


def _latent(query: Query, index: Index, _earlier: Earlier) -> Values | None:
    if not len(query.columns):
        return None
    return index.latent_scores(index.latent_query(query.columns, query.weights))


def _peers(query: Query, index: Index, earlier: Earlier) -> Values | None:
    """Latent similarity to the town's anchors and to the firms whose text fits it best."""
    seeds = seed_rows(query, index, earlier)
    if not len(seeds):
        return None
    return index.latent_scores(index.latent_mean(seeds))


def seed_rows(query: Query, index: Index, values: Mapping[str, Values]) -> npt.NDArray[np.int64]:
    """Rows of the firms that define the peers: anchors first, then the best by text."""
    if "words" not in values or "latent" not in values:
        return np.empty(0, dtype=np.int64)
    by_text = values["words"] + np.float32(query.latent_share) * values["latent"]
    anchors = index.rows_of(query.town.anchors)
    most = max(1, min(SEEDS, round(SEED_SHARE * len(index))))
    best = top_k(by_text.astype(np.float64), index.active, most)
    best = best[by_text[best] > 0]
    return np.unique(np.concatenate([best, np.array(anchors, dtype=np.int64)]))


def _industry(query: Query, index: Index, _earlier: Earlier) -> Labelled | None:
    if not query.targets:
        return None
    table = np.max(
        [index.industry_nearness(t.code) * np.float32(t.weight) for t in query.targets], axis=0
    )
    if not np.nanmax(table, initial=0.0) > 0:
        return None
    return Labelled(table, index.industry_of)


def _place(query: Query, index: Index, _earlier: Earlier) -> Labelled | None:
    if query.place is None:
        return None
    return Labelled(np.exp(-index.distances(query.place) / NEAR_KM), index.division_of)


def _capacity(_query: Query, index: Index, _earlier: Earlier) -> Values | None:
    return np.asarray(index.structure["capacity"])


def _marks(_query: Query, index: Index, _earlier: Earlier) -> Values | None:
    return np.asarray(index.structure["marks"])


def _of_firms(name: str, query: Query, index: Index, _earlier: Earlier) -> Sparse | None:
    """What a firm did, whoever asks."""
    if index.events.empty:
        return None
    return index.events.as_of(query.day).firms[name]


def _with_town(name: str, query: Query, index: Index, _earlier: Earlier) -> Sparse | None:
    """What a firm did in the town's regions and industries, or with its firms."""
    if index.events.empty:
        return None
    town = query.town
    state, anchors = index.events.as_of(query.day), index.rows_of(town.anchors)
    found = state.of_town(town.regions, town.industries, anchors)
    return found[name]


COMPONENTS: tuple[Component, ...] = (
    Component("words", "主营词匹配", "fit", "mean", _words),
    Component("terms", "链条词条覆盖", "fit", "mean", _terms),
    Component("latent", "语义相近", "fit", "mean", _latent),
    Component("peers", "与最匹配企业同类", "fit", "mean", _peers),
    Component("industry", "行业相近", "fit", "mean", _industry),
    Component("place", "区位", "fit", "mean", _place),
    Component("marks", "创新资质", "fit", "zero", _marks),
    Component("capacity", "规模实力", "propensity", "mean", _capacity),
    *(
        Component(name, label, "propensity", "zero", partial(look, name))
        for name, label, look in (
            ("activity", "近期扩张", _of_firms),
            ("recency", "最近有动作", _of_firms),
            ("rhythm", "扩张提速", _of_firms),
            ("breadth", "布局广度", _of_firms),
            ("region", "曾投资本地", _with_town),
            ("sector", "曾投资本行业", _with_town),
            ("both", "曾在本地投资本行业", _with_town),
            ("partners", "与镇内企业共同投资", _with_town),
        )
    ),
)
NAMED = {c.name: c for c in COMPONENTS}
TEXT = frozenset({"words", "terms", "latent", "peers"})
SECOND = ("terms", "industry", "place")  # compared on a second thread beside the others
LATENT = ("latent", "peers")  # compared after those, each on both threads
DATED = ("activity", "recency", "rhythm", "breadth", "region", "sector", "both", "partners")
TOWNLESS = frozenset({"marks", "capacity", *DATED[:4]})  # the same for every town: computed once


@dataclass(frozen=True, slots=True)
class Compared:
    """One component over a pool: values in [0, 1] with the neutral filled in, and who lacks it."""

    component: Component
    values: npt.NDArray[np.float32]
    missing: npt.NDArray[np.bool_]


def compare(query: Query, index: Index, wanted: Collection[str]) -> list[Compared]:
    """The wanted components that can be compared for this town and pool, in the table's order."""
    asked = {*wanted, *("words", "latent")} if "peers" in wanted else wanted
    first = [n for n in NAMED if n in asked and n not in (*SECOND, *LATENT)]
    second = [n for n in SECOND if n in asked]
    here, there = beside(partial(_several, query, index), first, second)
    done = here | there
    for name in LATENT:
        if name in asked:
            earlier = {n: c.values for n, c in done.items() if c is not None}
            done[name] = _compared(NAMED[name], query, index, earlier)
    return [c for n in NAMED if n in wanted and (c := done[n]) is not None]


def _several(query: Query, index: Index, names: Sequence[str]) -> dict[str, Compared | None]:
    return {n: _kept(NAMED[n], query, index) for n in names}


def _kept(component: Component, query: Query, index: Index) -> Compared | None:
    """A component's values; those that are the same for every town are computed once."""
    make = partial(_compared, component, query, index, {})
    if component.name not in TOWNLESS or query.day is not None:
        return make()
    return index.kept(("component", component.name), make)


def _compared(
    component: Component, query: Query, index: Index, earlier: Earlier
) -> Compared | None:
    raw = component.compare(query, index, earlier)
    if raw is None:
        return None
    if isinstance(raw, Sparse):
        return _scattered(component, raw, index)
    labels = raw.labels if isinstance(raw, Labelled) else None
    own = component.name in TEXT  # computed for this call, need not be copied
    values = np.array(
        raw.table if isinstance(raw, Labelled) else raw,
        dtype=np.float32,
        copy=None if own else True,
    )
    missing = index.lacks_text if component.name in TEXT else np.isnan(values)
    firms = index.kept(("active", component.name), partial(index.active_firms, labels))
    if kernels.by_best(values, firms, component.neutral == "mean") <= 0:
        return None
    if labels is not None:
        values, missing = _spread(values, missing, labels)
    return Compared(component, values, missing)


def _scattered(component: Component, found: Sparse, index: Index) -> Compared | None:
    """Records of a few firms by the best active one; the others lack it and count 0."""
    top = found.values[index.active[found.rows]].max(initial=0.0)
    if top <= 0:
        return None
    values, missing = np.zeros(len(index), np.float32), np.ones(len(index), np.bool_)
    values[found.rows] = np.clip(found.values / top, 0, 1)
    missing[found.rows] = False
    return Compared(component, values, missing)


def _spread(
    table: npt.NDArray[np.float32], lacking: npt.NDArray[np.bool_], labels: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    values, missing = np.empty(len(labels), np.float32), np.empty(len(labels), np.bool_)
    kernels.spread(table, lacking, labels, values, missing)
    return values, missing
