"""What a user could do without this software: plain rankings to be measured against."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.preprocessing import normalize

from zyz_match.domain import Col, Town

Matrix = npt.NDArray[np.float64]  # towns x firms
RECENT = pd.Timedelta(days=365)


def baselines(
    frame: pd.DataFrame, towns: Sequence[Town], events: pd.DataFrame
) -> dict[str, Matrix]:
    """Score matrices (towns x firms) of every plain method the data allow, by Chinese name."""
    found: dict[str, Matrix] = {}
    queries = [" ".join(p.term for p in t.products) for t in towns]
    texts = (frame[Col.PRODUCTS] + " " + frame[Col.SCOPE]).str.replace("；", " ")
    if any(queries) and (texts.str.strip() != "").any():
        found["字符 BM25"] = _bm25(texts, queries)
        found["潜在语义 LSA"] = _lsa(texts, queries)
        found["BM25 + LSA"] = _z(found["字符 BM25"]) + _z(found["潜在语义 LSA"])
    if len(events):
        found |= _counts(frame, towns, events)
    return found


def _z(scores: Matrix) -> Matrix:
    centred = scores - scores.mean(axis=1, keepdims=True)
    return np.asarray(centred / (scores.std(axis=1, keepdims=True) + 1e-9))


def _bm25(texts: pd.Series, queries: Sequence[str], k1: float = 1.5, b: float = 0.75) -> Matrix:
    """Okapi BM25 over character 1- and 2-grams of the whole text, query counts as weights."""
    vectorizer = CountVectorizer(analyzer="char", ngram_range=(1, 2))
    counts = vectorizer.fit_transform(texts).astype(np.float64)
    n, lengths = counts.shape[0], np.asarray(counts.sum(axis=1)).ravel()
    df = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = np.log(1 + (n - df + 0.5) / (df + 0.5))
    norm = np.repeat(k1 * (1 - b + b * lengths / lengths.mean()), np.diff(counts.indptr))
    counts.data = counts.data * (k1 + 1) / (counts.data + norm) * idf[counts.indices]
    return np.asarray((vectorizer.transform(queries) @ counts.T).toarray())


def _lsa(texts: pd.Series, queries: Sequence[str]) -> Matrix:
    """Cosine in 200 latent dimensions of character 1-3-gram TF-IDF."""
    vectorizer = TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), min_df=min(2, len(texts)), sublinear_tf=True
    )
    rows = vectorizer.fit_transform(texts)
    svd = TruncatedSVD(min(200, min(rows.shape) - 1), random_state=0)
    firms = normalize(svd.fit_transform(rows))
    return np.asarray(normalize(svd.transform(vectorizer.transform(queries))) @ firms.T)


def _counts(frame: pd.DataFrame, towns: Sequence[Town], events: pd.DataFrame) -> dict[str, Matrix]:
    """Counts of past events: overall, of the last year, in the town's region, in its industry."""
    ids = frame[Col.FIRM_ID]
    known = events[events["firm_id"].isin(ids)]
    deals = known.drop_duplicates(["firm_id", "target", "date"])
    recent = deals[deals["date"] > known["date"].max() - RECENT]

    def per_firm(rows: pd.DataFrame) -> npt.NDArray[np.float64]:
        counts = rows["firm_id"].value_counts()
        return np.asarray(ids.map(counts).fillna(0), dtype=np.float64)

    total = per_firm(deals)
    tie = 1e-6 * np.log1p(total)

    def by(column: str, words: Callable[[Town], tuple[str, ...]]) -> Matrix:
        groups = {str(k): per_firm(g) for k, g in known.groupby(column)}
        nothing = np.zeros(len(ids))
        return np.array(
            [sum((groups.get(w, nothing) for w in words(t)), nothing) + tie for t in towns]
        )

    there, within = by("region", lambda t: t.regions), by("industry", lambda t: t.industries)
    return {
        "投资总次数": np.tile(total, (len(towns), 1)),
        "近一年投资次数": np.tile(per_firm(recent) + 1e-3 * total, (len(towns), 1)),
        "同地区次数": there,
        "同行业次数": within,
        "地区 × 行业": np.log1p(there) + np.log1p(within),
    }
