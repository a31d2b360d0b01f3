"""Small synthetic (合成) firm tables as parquet, and the answer of one index over all of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.worlds import TOWN, firm, table
from zyz_match.domain import Col, Product, Standing, Town
from zyz_match.matching.index import Index
from zyz_match.matching.model import Model
from zyz_match.matching.pool import candidates
from zyz_match.scale.parquet import partitions
from zyz_match.scale.work import Job

SILK = Town(
    id="syn-silk", name="合成丝绸专业镇", products=(Product("真丝绸"), Product("蚕丝被", 2.0)),
    province="浙江省", city="湖州市", industries=("1742",), anchors=("合成007号",),
)  # fmt: skip
WORDLESS = Town(
    id="syn-none", name="合成无词专业镇", products=(Product("龘靐齉"),), industries=("3391",)
)
TOWNS = (TOWN, SILK, WORDLESS)
_WORDS = (
    "球墨铸铁管件", "灰铸铁件", "汽车铸件", "高纯生铁", "硅铁", "球化剂", "消失模铸造", "抛丸机",
    "中频电炉", "真丝绸", "蚕丝被", "丝绸面料", "桑蚕养殖", "建筑陶瓷", "软件开发", "糕点",
)  # fmt: skip
_PLACES = (
    ("浙江省", "宁波市", "330200"), ("山西省", "晋城市", "140500"), ("山东省", "潍坊市", "370700"),
    ("", "", ""),
)  # fmt: skip
_CODES = ("3391", "1742", "3110", "6510", "")


def firms(count: int, seed: int = 0) -> pd.DataFrame:
    """So many firms, in the order of their ids."""
    rng = np.random.default_rng(seed)
    return table(*(_firm(rng, i) for i in range(count)))


def _firm(rng: np.random.Generator, i: int) -> dict[str, Any]:
    province, city, division = _PLACES[rng.integers(len(_PLACES))]
    words = rng.choice(_WORDS, rng.integers(0, 6), replace=False)
    facts = {
        "products": "；".join(words[:2]), "scope": "、".join(words[2:]), "province": province,
        "city": city, "division": division, "industry": str(rng.choice(_CODES)),
        "marks": "高新技术企业" if rng.random() < 0.2 else "",
        "standing": Standing.GONE if rng.random() < 0.1 else Standing.ACTIVE,
        "capital": float(rng.integers(1, 9000)) if rng.random() < 0.6 else np.nan,
    }  # fmt: skip
    return firm(f"合成{i:03d}号", **facts)


def write(path: Path, frame: pd.DataFrame, **options: Any) -> Path:
    """A firm table as one parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, **options)
    return path


def write_parts(folder: Path, frame: pd.DataFrame, cuts: Sequence[int]) -> Path:
    """A firm table as several parquet files, cut before these rows; some may be empty."""
    for i, (low, high) in enumerate(zip([0, *cuts], [*cuts, len(frame)], strict=True)):
        write(folder / f"part-{i:02d}.parquet", frame.iloc[low:high])
    return folder


def job(source: Path, k: int = 10, towns: Sequence[Town] = TOWNS) -> Job:
    """What is asked of some parquet files."""
    return Job(tuple(partitions(source)[0]), tuple(towns), Model(), k, "")


def of_one_index(
    frame: pd.DataFrame, k: int, index: Index | None = None
) -> dict[str, list[tuple[str, float]]]:
    """Town -> (firm_id, score), best first, from one index over all firms."""
    index = index or Index().fit(frame)
    found = {}
    for town in TOWNS:
        head = Model().score(town, index).best(k, candidates(index, town))
        ids = index.texts(Col.FIRM_ID.value, head.rows)
        found[town.id] = list(zip(ids, head.total.tolist(), strict=True))
    return found


def listed(rows: pa.Table) -> dict[str, list[tuple[str, float]]]:
    """Town -> (firm_id, score), best first, from the rows of an answer."""
    found: dict[str, list[tuple[str, float]]] = {t.id: [] for t in TOWNS}
    for row in rows.to_pylist():
        found[row["town_id"]].append((row["firm_id"], row["score"]))
        assert row["rank"] == len(found[row["town_id"]])
    return found
