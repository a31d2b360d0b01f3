"""What each part of the default model adds, on the data sets given (Markdown).

python tools/ablation.py FOLDER [FOLDER ...]
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zyz_match.matching.index import Index, top_k
from zyz_match.matching.metrics import bootstrap, score_run
from zyz_match.matching.model import PRIOR, Model
from zyz_match.matching.pool import candidates
from zyz_match.storage.datasets import Dataset, read_dataset


def variants() -> Iterator[tuple[str, Model]]:
    """The default, the default without each component, and the text components alone."""
    yield "默认配置", Model()
    for name in PRIOR:
        yield f"去掉 {name}", Model({**PRIOR, name: 0.0})
    for alone in (("words",), ("latent",), ("words", "latent"), ("words", "latent", "peers")):
        yield "只用 " + "+".join(alone), Model({n: w * (n in alone) for n, w in PRIOR.items()})


def evaluate(data: Dataset, index: Index, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """nDCG@10 and recall@50 of every judged town."""
    ids = index.frame["firm_id"].to_numpy()
    run = {
        t.id: list(
            ids[
                top_k(
                    model.score(t, index).total,
                    candidates(index, t, data.existing.get(t.id, ())),
                    100,
                )
            ]
        )
        for t in data.towns
        if t.id in data.truth
    }
    scored = score_run("", data.truth, run)
    return scored.ndcg10, scored.recall50


def main(folders: list[str]) -> None:
    """Print one table a folder."""
    for folder in folders:
        data = read_dataset(Path(folder))
        assert data.firms is not None
        index = Index().fit(data.firms.frame, data.events)
        print(f"\n## {Path(folder).name}\n")
        print("| 配置 | nDCG@10 | recall@50 | 与默认之差 nDCG@10（95 % 区间） |")
        print("|---|---|---|---|")
        base = None
        for name, model in variants():
            ndcg, recall = evaluate(data, index, model)
            base = ndcg if base is None else base
            gain = bootstrap(ndcg - base)
            print(
                f"| {name} | {ndcg.mean():.4f} | {recall.mean():.4f} "
                f"| {gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}] |"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
