"""The words of firms held against the terms of one town: which phrase answers which term."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from zyz_match.matching.counting import POINT_BITS
from zyz_match.matching.phrases import term_phrases
from zyz_match.matching.query import PRODUCTS, Query, Term
from zyz_match.matching.shown import ShownFirm
from zyz_match.matching.wording import WordMatch
from zyz_match.matching.words import WordFeatures

SHOWN_TERMS = 3
TRIED_TERMS = 4 * SHOWN_TERMS  # the firm's weightiest terms, for which a phrase is looked for
Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
Values = npt.NDArray[np.float64]


class Words(NamedTuple):
    """How one firm's words answer the town's terms."""

    matches: tuple[WordMatch, ...]  # the best, at most SHOWN_TERMS
    segment: str  # the chain segment matched best, "" where no word matches


class _Pieces(NamedTuple):
    """The characters and pairs of characters of firms' phrases, see `counting` for their keys."""

    keys: Keys
    phrase: Ints  # of which phrase each is, all firms' phrases numbered through
    firm: Ints  # of each phrase
    length: Ints  # of each phrase

    @classmethod
    def of(cls, firms: Sequence[ShownFirm]) -> "_Pieces":
        """Those of some firms, one firm after the other."""
        points = np.concatenate([np.empty(0, np.uint64), *(f.points for f in firms)])
        ends = points == 0
        phrase = np.cumsum(ends) - ends
        singles = points << POINT_BITS
        pairs = (singles[:-1] | points[1:])[~ends[:-1] & ~ends[1:]]
        numbers = phrase[:-1][~ends[:-1] & ~ends[1:]]
        return cls(
            np.concatenate([singles[~ends], pairs]), np.concatenate([phrase[~ends], numbers]),
            np.repeat(np.arange(len(firms)), [len(f.phrases) for f in firms]),
            np.bincount(phrase[~ends], minlength=int(ends.sum())),
        )  # fmt: skip


class Overlap:
    """One town's terms, ready to be held against the phrases of an index's firms."""

    def __init__(self, query: Query, words: WordFeatures) -> None:
        self._terms = query.terms
        self._asked = ["".join(term_phrases(t.text)) for t in query.terms]
        self._coverable = list(_coverable(query.terms, words))
        self._keys = words.keys_[query.columns]
        self._ceilings = (words.k1 + 1) * words.idf_[query.columns].astype(np.float64)
        self._weights = _weights(query.terms, words, self._keys)
        self._pairs, self._terms_with = _pairs(self._asked)
        self._sizes = np.asarray(self._terms_with.sum(axis=0)).ravel()  # pairs of each term
        self._lengths = np.array([len(asked) for asked in self._asked], dtype=np.int64)
        self._segments, self._shares = _segments(query.terms)

    def of(self, firms: Sequence[ShownFirm]) -> list[Words]:
        """How each firm's words answer the terms, in the order of the firms."""
        pieces = _Pieces.of(firms)
        by_term = self._by_term(firms, pieces)
        tried = np.argsort(-by_term, axis=1, kind="stable")[:, :TRIED_TERMS]
        best = np.take_along_axis(self._best_phrases(firms, pieces), tried, axis=1)
        phrases = [*(phrase for firm in firms for phrase in firm.phrases), ""]
        found = (
            self._matches(zip(terms, map(phrases.__getitem__, places), strict=True), values)
            for terms, places, values in zip(
                tried.tolist(), best.tolist(), by_term.tolist(), strict=True
            )
        )
        return list(map(Words, found, self._best_segments(by_term)))

    def segments(self, firms: Sequence[ShownFirm]) -> list[str]:
        """The best matching chain segment of each firm, "" where no word matches."""
        return self._best_segments(self.by_term(firms))

    def by_term(self, firms: Sequence[ShownFirm]) -> Values:
        """Each term's part of the word scores (firms x terms): its weights x BM25 weights."""
        return self._by_term(firms, _Pieces.of(firms))

    def covered(self, firm: ShownFirm) -> dict[str, list[str]]:
        """The terms that a firm's text holds as they are written, by segment."""
        text, found = ";".join(firm.phrases), dict[str, list[str]]()
        for term, part, others in self._coverable:
            if part in text and all(p in text for p in others):
                found.setdefault(term.segment, []).append(term.text)
        return {segment: list(dict.fromkeys(several)) for segment, several in found.items()}

    # numbers ---------------------------------------------------------------------------------

    def _by_term(self, firms: Sequence[ShownFirm], pieces: _Pieces) -> Values:
        size = len(self._keys)
        here, numbers = _known(pieces.keys, self._keys)
        places = pieces.firm[pieces.phrase[here]] * size + numbers
        times = np.bincount(places, minlength=len(firms) * size).reshape(len(firms), size)
        norms = np.array([f.norm for f in firms])[:, None]
        weights = self._ceilings * times / (times + norms)
        return np.ascontiguousarray((self._weights @ weights.T).T)

    def _best_phrases(self, firms: Sequence[ShownFirm], pieces: _Pieces) -> Ints:
        """The phrase that answers each term best (firms x terms), the first of equals; -1 for none.

        A phrase answers a term by the share of its pairs, less for what the phrase says beside.
        """
        here, numbers = _known(pieces.keys, self._pairs)
        shape = (len(pieces.length), len(self._pairs))
        places = (pieces.phrase[here], numbers)
        held = sparse.csr_matrix((np.ones(len(numbers)), places), shape=shape)
        held.data[:] = 1.0
        shared = (held @ self._terms_with).tocoo()
        phrase, term = shared.row, shared.col
        beside = np.maximum(0, pieces.length[phrase] - self._lengths[term])
        near = shared.data / (self._sizes[term] + 0.3 * beside**0.5)
        best = np.full((len(firms), len(self._terms)), -1)
        order = np.lexsort((-phrase, near))  # the last one that is written stays
        best[pieces.firm[phrase[order]], term[order]] = phrase[order]
        return best

    def _best_segments(self, by_term: Values) -> list[str]:
        if not self._segments:
            return [""] * len(by_term)
        parts = (self._shares @ by_term.T).T
        names = [*self._segments, PRODUCTS, ""]
        of_chain = np.array([s != PRODUCTS for s in self._segments])
        best = np.where(of_chain, parts, 0.0)
        of_products = (parts[:, ~of_chain] > 0).any(axis=1)
        other = np.where(of_products, len(names) - 2, len(names) - 1)
        return [names[i] for i in np.where(best.max(axis=1) > 0, best.argmax(axis=1), other)]

    # matches ---------------------------------------------------------------------------------

    def _matches(
        self, answers: Iterable[tuple[int, str]], by_term: list[float]
    ) -> tuple[WordMatch, ...]:
        """The best of some terms with the phrases that answer them."""
        total = sum(by_term) or 1.0
        found = [self._match(t, phrase, by_term[t] / total) for t, phrase in answers if by_term[t]]
        found.sort(key=_weightiest)
        distinct = {m.phrase or m.term.text: m for m in reversed(found)}
        return tuple(sorted(distinct.values(), key=_weightiest)[:SHOWN_TERMS])

    def _match(self, term: int, phrase: str, weight: float) -> WordMatch:
        asked = self._asked[term]
        whole = bool(phrase) and (asked in phrase or (len(phrase) > 1 and phrase in asked))
        return WordMatch(self._terms[term], phrase, weight, whole)


def _weightiest(match: WordMatch) -> tuple[bool, bool, float]:
    return not match.whole, match.phrase == "", -match.weight


def _known(keys: Keys, among: Keys) -> tuple[Ints, Ints]:
    """Which keys are among some sorted ones, and their places there."""
    if not len(among):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    places = np.searchsorted(among, keys).clip(max=len(among) - 1)
    here = np.flatnonzero(among[places] == keys)
    return here, places[here]


def _key(gram: str) -> int:
    return ord(gram[0]) << int(POINT_BITS) | (ord(gram[1]) if len(gram) > 1 else 0)


def _coverable(
    terms: Sequence[Term], words: WordFeatures
) -> Iterator[tuple[Term, str, tuple[str, ...]]]:
    """Terms that a text can cover, with their phrases."""
    for term in terms:
        if words.columns_of(term.text) is not None:
            first, *others = term_phrases(term.text)
            yield term, first, tuple(others)


def _weights(terms: Sequence[Term], words: WordFeatures, keys: Keys) -> sparse.csr_matrix:
    """Weight of every n-gram for every term (terms x n-grams), repeats counted."""
    grams = [words.grams(t.text) for t in terms]
    asked = np.array([_key(gram) for several in grams for gram in several], dtype=np.uint64)
    rows = np.repeat(np.arange(len(terms)), [len(several) for several in grams])
    here, places = _known(asked, keys)
    weights = np.array([t.weight for t in terms])[rows[here]]
    return sparse.csr_matrix((weights, (rows[here], places)), shape=(len(terms), len(keys)))


def _pairs(asked: Sequence[str]) -> tuple[Keys, sparse.csr_matrix]:
    """Pairs of characters of terms, sorted, and which terms have which (pairs x terms).

    A term of one character has that instead.
    """
    several = [{_key(a[i : i + 2]) for i in range(max(1, len(a) - 1)) if a} for a in asked]
    rows = np.repeat(np.arange(len(asked)), [len(pairs) for pairs in several])
    every = np.array([pair for pairs in several for pair in pairs], dtype=np.uint64)
    keys, places = np.unique(every, return_inverse=True)
    ones = np.ones(len(rows))
    return keys, sparse.csr_matrix((ones, (places, rows)), shape=(len(keys), len(asked)))


def _segments(terms: Sequence[Term]) -> tuple[list[str], sparse.csr_matrix]:
    """The segments, and what makes their values of the terms' (segments x terms).

    A segment's terms count against its weight, so that a long segment wins nothing by length.
    """
    weight: dict[str, float] = {}
    for term in terms:
        weight[term.segment] = weight.get(term.segment, 0.0) + term.weight
    names = list(weight)
    rows = [names.index(t.segment) for t in terms]
    shares = [weight[t.segment] ** -0.5 for t in terms]
    shape = (len(names), len(terms))
    return names, sparse.csr_matrix((shares, (rows, range(len(rows)))), shape=shape)
