"""Our engine: the whole score of a town under a filter, and its exact top 100."""

from typing import Any

import numpy as np

from tests.benchmarks.corpus import Corpus
from tests.benchmarks.making import opened, towns
from tests.benchmarks.material import Call, K, Material, Request, names
from zyz_match.domain import Town
from zyz_match.matching.backtest import rank_all
from zyz_match.matching.model import PRIOR, Model, Scores
from zyz_match.matching.query import prepare
from zyz_match.matching.similarity import look

WHOLE, WHAT_IF, TWENTY = "whole score", "what-if: other weights", "twenty towns in one pass"
ONE_CORE = "whole score, held to one core"


class Ours:
    """The index opened from its file."""

    calls: tuple[str, ...] = (WHOLE, ONE_CORE, WHAT_IF, TWENTY)

    def __init__(self, material: Material) -> None:
        self.index = opened(material)
        self.size = sum(a.nbytes for a in self.index.parts()[1].values())
        self.towns = {town.id: town for town in towns(Corpus())}
        self.allowed = self.index.active & (np.arange(self.index.size) % 10 > 0)  # as a filter
        self.draws = np.random.default_rng(0)

    def prepared(self, request: Request) -> Call:
        """One request, ready to be timed."""
        town = self.towns[request.town]
        if request.call == WHAT_IF:
            scores = self.best(town)
            other = Model({n: w * self.draws.uniform(0.5, 1.5) for n, w in PRIOR.items()})
            return lambda: other.weigh(scores.found).best(K, self.allowed)
        if request.call == TWENTY:
            some = [self.towns[n] for n in names(request.town.split("-")[0])]
            return lambda: rank_all(self.index, some, {}, k=K)
        return lambda: self.best(town)

    def best(self, town: Town) -> Scores:
        """Score, and choose."""
        query = prepare(town, self.index.features.words_)
        scores = Model().weigh(look(query, self.index))  # compared anew each time
        scores.best(K, self.allowed)
        return scores

    def work(self, request: Request) -> dict[str, Any]:
        """What a whole score of the town reads, counted."""
        return dict(self.best(self.towns[request.town]).work)
