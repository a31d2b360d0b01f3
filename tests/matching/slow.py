"""The slow reference: the score of every firm of a pool in a few lines of numpy, firm by firm."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from zyz_match.domain import Town
from zyz_match.matching import survey
from zyz_match.matching.index import Index
from zyz_match.matching.model import Model
from zyz_match.matching.phrases import cut
from zyz_match.matching.query import Query, prepare

Wide = npt.NDArray[np.float64]


def codes_of(index: Index) -> Wide:
    """Eight-bit word weights (firms x n-grams) of all rows."""
    words = index.features.words_
    counts = words.counts(cut(index.frame))
    found = np.zeros((index.size, len(words.keys_)))
    norms = words.norms(counts.lengths)
    for i in range(index.size):
        some = slice(counts.starts[i], counts.starts[i + 1])
        times = counts.times[some].astype(np.float32)
        share = np.float32(255) * times / (times + norms[i])
        found[i, counts.grams[some]] = np.maximum(1, np.rint(share))
    return found


def scores(index: Index, town: Town, model: Model) -> Wide:
    """The scores of all rows of an index without events."""
    query = prepare(town, index.features.words_)
    raw = {n: v for n, v in _values(index, query).items() if model.weights.get(n, 0.0) != 0}
    weights = {n: model.weights[n] * query.share(n) for n in raw}
    whole = sum(abs(w) for w in weights.values()) or 1.0
    return np.asarray(sum((100 * weights[n] / whole * v for n, v in raw.items()),
                          np.zeros(index.size)))  # fmt: skip


def _values(index: Index, query: Query) -> Mapping[str, Wide]:
    found: dict[str, Wide | None] = {}
    idf = index.features.words_.idf_.astype(np.float64)
    codes = codes_of(index)
    words = codes[:, query.columns] @ (query.weights.astype(np.float64) * idf[query.columns])
    order = np.lexsort((index.place_of(np.arange(index.size)), -words))
    head = [row for row in order if index.active[row] and words[row] > 0][: survey.HEAD]
    if head:
        found["words"] = words / words[head[0]]
        found["terms"] = _by_head(_terms(index, query, codes), head)
        latent = index.latent_rows(np.arange(index.size)).astype(np.float64)
        near = latent @ index.latent_query(query.columns, query.weights)
        found["latent"] = _by_head(near, head)
        if found["latent"] is not None:
            text = found["words"] + query.latent_share * near / near[head].max()
            best = sorted(head, key=lambda row: (-text[row], row))
            most = max(1, min(survey.SEEDS, round(survey.SEED_SHARE * len(index))))
            seeds = sorted({*best[:most], *index.rows_of(query.town.anchors)})
            mean = latent[seeds].mean(axis=0)
            found["peers"] = _by_head(latent @ (mean / np.linalg.norm(mean)), head)
    for name, table, labels in (
        ("industry", survey.industries(query, index), index.industry_of),
        ("place", survey.places(query, index), index.division_of),
    ):
        found[name] = None if table is None else _by_best(table[labels], index, mean=True)
    found["marks"] = _by_best(index.marks, index, mean=False)
    found["capacity"] = _by_best(index.capacity, index, mean=True)
    return {n: v.clip(0, 1) for n, v in found.items() if v is not None}


def _terms(index: Index, query: Query, codes: Wide) -> Wide:
    total, cover = np.zeros(index.size), query.cover
    for t, weight in enumerate(cover.weights):
        needed = cover.columns[cover.needed[cover.starts[t] : cover.starts[t + 1]]]
        covering = (codes[:, needed] > 0).all(axis=1)
        df = (covering & index.alive).sum()
        total += weight * np.log1p((len(index) - df + 0.5) / (df + 0.5)) * covering
    return total


def _by_head(values: Wide, head: list[int]) -> Wide | None:
    top = values[head].max()
    return values / top if top > 0 else None


def _by_best(values: npt.NDArray[np.float32], index: Index, *, mean: bool) -> Wide | None:
    wide = values.astype(np.float64)
    known = wide[index.active & ~np.isnan(wide)]
    top = known.max(initial=0.0)
    if top <= 0:
        return None
    neutral = np.maximum(known, 0).mean() / top if mean else 0.0
    return np.where(np.isnan(wide), neutral, wide / top)
