"""How near the made-up corpus comes to a real firm table: counts only, none of its text."""

import re

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import CountVectorizer

from tests.benchmarks import words
from tests.benchmarks.corpus import Corpus
from zyz_match.domain import Col

# A real table of 3,687 firms and their products: what a firm holds, what firms share.
TARGET_FIRMS = 3_687
TARGET = {
    "phrases a firm": 14.4, "distinct phrases": 41_419,
    "distinct n-grams a firm": 91.5, "n-grams a firm, with repeats": 135.5,
    "n-grams": 47_272, "n-grams of one firm only": 29_066,
    "n-grams in > 1/8 of the firms": 94, "such n-grams a firm (1/8)": 20.9,
    "n-grams in > 1/16 of the firms": 230, "such n-grams a firm (1/16)": 32.4,
    "n-grams in > 1/64 of the firms": 896, "such n-grams a firm (1/64)": 52.6,
    "n-grams in > 1/256 of the firms": 2_743, "such n-grams a firm (1/256)": 66.7,
}  # fmt: skip


def shape(frame: pd.DataFrame) -> dict[str, float]:
    """What `TARGET` tells of a real table, counted in a made-up one."""
    wording = {*words.OPENINGS, *words.CLOSINGS, words.LEGAL_FORM} - {""}
    markup = re.compile("|".join(map(re.escape, wording)))
    texts = [
        [p for p in re.split("[；、]", markup.sub("；", f"{scope}；{name}").lower()) if p]
        for scope, name in zip(frame[Col.SCOPE], frame[Col.NAME], strict=True)
    ]
    counts = CountVectorizer(
        analyzer=lambda text: [
            p[i : i + n] for p in text for n in (1, 2) for i in range(len(p) - n + 1)
        ]
    ).fit_transform(texts)
    firms, held = len(texts), np.bincount(counts.indices)
    found = {
        "phrases a firm": sum(map(len, texts)) / firms,
        "distinct phrases": len({p for text in texts for p in text}),
        "distinct n-grams a firm": counts.nnz / firms,
        "n-grams a firm, with repeats": counts.sum() / firms,
        "n-grams": len(held),
        "n-grams of one firm only": int((held == 1).sum()),
    }
    for part in (8, 16, 64, 256):
        common = held > firms / part
        found[f"n-grams in > 1/{part} of the firms"] = int(common.sum())
        found[f"such n-grams a firm (1/{part})"] = held[common].sum() / firms
    return found


def main() -> None:
    """Print the shape of the corpus beside that of the real table."""
    found = shape(Corpus().firms(TARGET_FIRMS))
    print(f"| {TARGET_FIRMS:,} firms | real | made up |\n|---|---|---|")
    for name, real in TARGET.items():
        told = f"{found[name]:.1f}" if isinstance(real, float) else f"{found[name]:,.0f}"
        print(f"| {name} | {real:,} | {told} |")
