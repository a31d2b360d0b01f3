"""A town as a query: its weighted terms, industry targets and place, ready for an index."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zyz_match.domain import Need, Role, Town
from zyz_match.matching.words import Cover, Floats, WordFeatures
from zyz_match.region import Division, Divisions

RECENT = 256  # towns whose queries are kept
PRODUCTS = "主导产品"  # the segment of terms that come from the products, not from the chain
# a town's products say what it is; its chain says what would complete it, most of all its gaps
ROLE_WEIGHT: dict[Role, float] = {"core": 0.5, "upstream": 0.3, "downstream": 0.3, "support": 0.2}
NEED_WEIGHT: dict[Need | None, float] = {"missing": 1.6, "weak": 1.3, None: 1.0, "present": 0.5}


@dataclass(frozen=True, slots=True)
class Term:
    """One weighted term of a town and the chain segment it belongs to."""

    text: str
    weight: float
    segment: str


@dataclass(frozen=True, slots=True)
class Target:
    """One industry (GB/T code or free tag) a town looks for."""

    code: str
    weight: float
    segment: str


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A town prepared for one index's words."""

    town: Town
    terms: tuple[Term, ...]
    columns: npt.NDArray[np.int64]  # n-grams asked for
    weights: Floats  # and their weights
    cover: Cover  # what covering each term needs
    targets: tuple[Target, ...]
    place: Division | None
    day: int | None = None  # events count as of this day (days since 1970-01-01); None is today

    @property
    def latent_share(self) -> float:
        """Weight of the latent similarity against the words': .25 for one term, .625 from 11 on.

        A short profile says exactly what it wants; a long one only as a whole (docs/quality.md).
        """
        return 0.25 + 0.375 * min(1.0, (len(self.terms) - 1) / 10)

    def share(self, name: str) -> float:
        """By how much the length of the profile changes the weight of a component."""
        return self.latent_share if name == "latent" else 1.0


def prepare(town: Town, words: WordFeatures) -> Query:
    """The query of a town; terms whose n-grams no firm uses stay listed but weigh nothing.

    The queries of the towns asked for lately are kept.
    """
    known: Query | None = words.recent.get(town.id)
    if known is not None and known.town == town:
        return known
    if len(words.recent) >= RECENT:
        words.recent.clear()
    query = words.recent[town.id] = _prepare(town, words)
    return query


def _prepare(town: Town, words: WordFeatures) -> Query:
    terms, targets = tuple(_terms(town)), tuple(_targets(town))
    asked = [(t.text, t.weight) for t in terms]
    columns, weights = words.query(asked)
    place = Divisions.shipped().place(town.province, town.city, town.county, "")
    return Query(town, terms, columns, weights, words.cover(asked), targets, place)


def _terms(town: Town) -> Iterable[Term]:
    mean = sum(p.weight for p in town.products) / max(1, len(town.products))
    for product in town.products:
        yield Term(product.term, product.weight / mean, PRODUCTS)
    for segment in town.chain:
        weight = ROLE_WEIGHT[segment.role] * NEED_WEIGHT[segment.need]
        for term in segment.terms:
            yield Term(term, weight, segment.segment)


def _targets(town: Town) -> Iterable[Target]:
    for code in town.industries:
        yield Target(code, 1.0, PRODUCTS)
    for segment in town.chain:
        weight = min(1.0, 1.6 * ROLE_WEIGHT[segment.role] * NEED_WEIGHT[segment.need])
        for code in segment.industries:
            yield Target(code, weight, segment.segment)
