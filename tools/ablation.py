"""What each part of the default model adds, on the data sets given (Markdown).

python tools/ablation.py FOLDER [FOLDER ...]
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from zyz_match import profiles
from zyz_match.matching.backtest import by_town, lists_of, rank_all
from zyz_match.matching.index import Index
from zyz_match.matching.metrics import bootstrap, score_run
from zyz_match.matching.model import PRIOR, Model
from zyz_match.shipped import data_folder
from zyz_match.storage.datasets import read_dataset


def variants() -> Iterator[tuple[str, Model]]:
    """The default, the default without each component, and the text components alone."""
    yield "默认配置", Model()
    for name in PRIOR:
        yield f"去掉 {name}", Model({**PRIOR, name: 0.0})
    for alone in (("words",), ("latent",), ("words", "latent"), ("words", "latent", "peers")):
        yield "只用 " + "+".join(alone), Model({n: w * (n in alone) for n, w in PRIOR.items()})


def main(folders: list[str]) -> None:
    """Print one table a folder."""
    for folder in folders:
        data = read_dataset(Path(folder))
        assert data.firms is not None
        towns = data.towns or profiles.read_towns(data_folder() / "towns")
        asked = [t for t in towns if t.id in data.truth]
        existing = by_town(data.existing)
        index = Index().fit(data.firms.frame, data.events)
        print(f"\n## {Path(folder).name}\n")
        print("| 配置 | nDCG@10 | recall@50 | 与默认之差 nDCG@10（95 % 区间） |")
        print("|---|---|---|---|")
        base = None
        for name, model in variants():
            run = rank_all(index, asked, existing, model=model)
            scored = score_run(name, data.truth, lists_of(run))
            ndcg, recall = scored.ndcg10, scored.recall50
            base = ndcg if base is None else base
            gain = bootstrap(ndcg - base)
            print(
                f"| {name} | {ndcg.mean():.4f} | {recall.mean():.4f} "
                f"| {gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}] |"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
