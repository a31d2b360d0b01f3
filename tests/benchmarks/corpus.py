"""A made-up firm table and made-up towns, for measuring speed only: nothing in it is a real firm.

Phrases are put together from the names of the industries of GB/T 4754-2017, usual words and coined
ones; firms draw them Zipf-like by topic. Only the shape follows a real table: run this file to see
how near it comes (python tests/benchmarks/corpus.py).
"""

import hashlib
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks import words
from zyz_match.domain import (
    MARKS,
    NUMBER_COLUMNS,
    ChainSegment,
    Col,
    Product,
    Role,
    Standing,
    Town,
)  # fmt: skip
from zyz_match.region import COUNTY, Divisions

CACHE = "ZYZ_BENCH"  # names the folder where corpora and what is made of them are kept
SEED = 4754
CHUNK = 10_000  # firms drawn together; the head of a large corpus is the small one
PARTITION = 250_000  # firms a file
PHRASES_A_TOPIC = 1_500
COINED = 30_000  # words that no dictionary has: brands, models, trade names

# How often a word stands in a phrase, and where a firm has its phrases from: set so that the table
# in shape.py comes out.
_STEM_ONE, _STEM_TWO, _COINED = (0.0, 0.55), (0.35, 0.77), (0.73, 1.0)
_BEFORE, _AFTER = 0.16, 0.38
_OWN_TOPIC, _OWN_SECTOR, _GENERAL = 0.45, 0.85, 0.95
_PHRASES_A_FIRM = (11.8, 0.52)  # median, sigma

Ints = npt.NDArray[np.int64]
Rng = np.random.Generator

_ROLES: tuple[Role, ...] = ("upstream", "core", "downstream", "support")
_STANDINGS = (
    (Standing.ACTIVE, "存续", 0.9), (Standing.ABNORMAL, "经营异常", 0.06),
    (Standing.GONE, "注销", 0.04),
)  # fmt: skip


class Corpus:
    """Phrases by topic, and seeded draws from them: the same seed gives the same firms."""

    def __init__(self, seed: int = SEED) -> None:
        self.seed = seed
        self.stems, self.codes = words.stems()
        self.sectors = list(self.stems)
        self.places = [d for d in Divisions.shipped().all(COUNTY) if d.longitude is not None]
        self._topics = pa.array([w for s in self.sectors for w in self.stems[s]])
        self._topic_starts = _starts(self.stems.values())
        self._classes = pa.array([c for s in self.sectors for c in self.codes[s]])
        self._class_starts = _starts(self.codes.values())
        self._trade_names = _coined(np.random.default_rng([seed, 4]), 100.0)

    @cached_property
    def _phrases(self) -> pa.Array:
        """The general phrases, then those of every topic."""
        made_up = self._made_up(np.random.default_rng([self.seed, 0]))
        return pa.concat_arrays([pa.array(words.GENERAL), made_up])

    def chunk(self, i: int, size: int = CHUNK) -> pa.Table:
        """Firms i * size and on, with the columns of `Col`; a third of the numbers are unknown."""
        rng = np.random.default_rng([self.seed, 1, i])
        sector = rng.integers(len(self.sectors), size=size)
        topic = self._inside(self._topic_starts, sector, rng, 5.0)
        place = rng.integers(len(self.places), size=size)
        standing = rng.choice(len(_STANDINGS), size, p=[share for *_, share in _STANDINGS])
        code = self._inside(self._class_starts, sector, rng, 100.0)
        mark = rng.integers(len(MARKS), size=size)
        columns = {
            Col.FIRM_ID: _ids(i * size, size),
            Col.NAME: self._names(rng, topic, place),
            Col.STATUS: _take([word for _, word, _ in _STANDINGS], standing),
            Col.STANDING: _take([str(s) for s, *_ in _STANDINGS], standing),
            **self._registered(place, rng.random(size) < 0.95),
            Col.INDUSTRY: _some(self._classes, code, rng.random(size) < 0.9),
            Col.SCOPE: self._scopes(rng, sector, topic),
            Col.MARKS: _some(MARKS, mark, rng.random(size) < 0.1),
        }
        for column in NUMBER_COLUMNS:
            values = rng.lognormal(6, 1.5, size).round()
            columns[column] = pa.array(np.where(rng.random(size) < 1 / 3, np.nan, values))
        empty = pa.repeat("", size)
        return pa.table({str(c): columns.get(c, empty) for c in Col})

    def table(self, low: int, high: int) -> pa.Table:
        """The firms from low to high; low is a whole number of chunks."""
        chunks = [self.chunk(i) for i in range(low // CHUNK, -(-high // CHUNK))]
        return pa.concat_tables(chunks).slice(0, high - low).combine_chunks()

    def firms(self, n: int) -> pd.DataFrame:
        """The first n firms as a frame."""
        frame: pd.DataFrame = self.table(0, n).to_pandas()
        return frame

    def write(self, folder: Path, n: int) -> list[Path]:
        """The first n firms as parquet files of PARTITION firms."""
        for part, low in enumerate(range(0, n, PARTITION)):
            table = self.table(low, min(n, low + PARTITION))
            pq.write_table(table, folder / f"firms-{part:04d}.parquet", compression="zstd")
        return sorted(folder.iterdir())

    def stored(self, n: int) -> list[Path]:
        """The parquet files of the first n firms, made once and kept in the cache."""
        return sorted(kept(f"firms-{n}-{self.seed}", "", lambda to: self.write(to, n)).iterdir())

    def events(self, frame: pd.DataFrame, n: int) -> pd.DataFrame:
        """Dated investments of some of the firms."""
        rng = np.random.default_rng([self.seed, 2])
        days = pd.to_timedelta(rng.integers(0, 700, n), "D")
        return pd.DataFrame(
            {
                "firm_id": frame[Col.FIRM_ID].to_numpy(object)[rng.integers(len(frame), size=n)],
                "date": pd.Timestamp("2024-01-01") + days,
                "region": rng.choice([p.name for p in self.places[:300]], n),
                "industry": rng.choice(self.sectors, n),
                "target": [f"T{i}" for i in range(n)],
            }
        )

    def town(self, name: str, terms: int = 60) -> Town:
        """A fresh town: its products and five chain segments ask for `terms` weighted terms."""
        rng = np.random.default_rng([self.seed, 3, zlib.crc32(name.encode())])
        home, *others = (self.sectors[i] for i in rng.choice(len(self.sectors), 4, replace=False))
        place = self.places[rng.integers(len(self.places))]
        asked = self._terms(rng, home, terms // 5)
        segments = []
        for i, part in enumerate(np.array_split(range(terms - len(asked)), 5)):
            sector = home if i < 2 else others[i - 2]
            codes = tuple(map(str, rng.choice(self.codes[sector], 2)))
            found = self._terms(rng, sector, len(part))
            segments.append(ChainSegment(f"环节{i}", _ROLES[i % 4], None, found, codes))
        return Town(
            id=name, name=name, county=place.name,
            products=tuple(Product(t, float(rng.integers(1, 4))) for t in asked),
            industries=tuple(self.codes[home][:3]),
            regions=(self.places[0].name, self.places[1].name),
            chain=tuple(s for s in segments if s.terms),
        )  # fmt: skip

    def _terms(self, rng: Rng, sector: str, n: int) -> tuple[str, ...]:
        """Stems of a sector, some with a usual word before or after them."""
        stems = self.stems[sector]
        some = pa.array(rng.choice(stems, n, replace=n > len(stems)).tolist(), pa.string())
        return tuple(_dressed(rng, some, 0.05, 0.1).to_pylist())

    def _made_up(self, rng: Rng) -> pa.Array:
        """PHRASES_A_TOPIC phrases of every topic, the usual ones first."""
        own = np.repeat(np.arange(len(self._topics)), PHRASES_A_TOPIC)
        sector = np.searchsorted(self._topic_starts, own, "right") - 1
        near = self._inside(self._topic_starts, sector, rng, 3.0)
        other = np.where(
            rng.random(len(own)) < 0.5, near, rng.integers(len(self._topics), size=len(own))
        )
        kind = rng.random(len(own))
        one, two, coined = (
            (kind >= low) & (kind < high) for low, high in (_STEM_ONE, _STEM_TWO, _COINED)
        )
        brands = _coined(rng, 200.0)
        parts = (
            _some(brands, _zipf(rng, np.full(len(own), COINED), 300.0), coined),
            _some(self._topics, own, one),
            _some(self._topics, other, two),
        )
        return _dressed(rng, pc.binary_join_element_wise(*parts, ""), _BEFORE, _AFTER)

    def _registered(self, place: Ints, known: npt.NDArray[np.bool_]) -> dict[Col, pa.Array]:
        divisions, codes = Divisions.shipped(), [p.code for p in self.places]
        texts = {
            Col.PROVINCE: [divisions.province(c) or "" for c in codes],
            Col.CITY: [divisions.city(c) or "" for c in codes],
            Col.COUNTY: [p.name for p in self.places],
            Col.DIVISION: codes,
        }
        return {c: _some(t, place, known) for c, t in texts.items()}

    def _names(self, rng: Rng, topic: Ints, place: Ints) -> pa.Array:
        short = [p.name[:-1] if len(p.name) > 2 else p.name for p in self.places]
        trade = rng.integers(COINED, size=len(topic))
        return pc.binary_join_element_wise(
            _take(short, place), _take(self._trade_names, trade), _take(self._topics, topic),
            words.LEGAL_FORM, "",
        )  # fmt: skip

    def _scopes(self, rng: Rng, sector: Ints, topic: Ints) -> pa.Array:
        firms = len(topic)
        median, sigma = _PHRASES_A_FIRM
        counts = rng.lognormal(np.log(median), sigma, firms).round().clip(1, 75)
        firm = np.repeat(np.arange(firms), counts.astype(np.int64))
        found = np.unique(firm << 32 | self._drawn(rng, sector[firm], topic[firm]))
        rng.shuffle(found)  # no firm says a thing twice, and none says it in the table's order
        found = found[np.argsort(found >> 32, kind="stable")]
        starts = np.searchsorted(found >> 32, np.arange(firms + 1))
        texts = self._phrases.take(pa.array(found & 0xFFFFFFFF))
        lists = pa.ListArray.from_arrays(pa.array(starts, pa.int32()), texts)
        return pc.binary_join_element_wise(
            _any_of(rng, words.OPENINGS, firms),
            pc.binary_join(lists, _any_of(rng, words.SEPARATORS, firms)),
            _any_of(rng, words.CLOSINGS, firms),
            "",
        )

    def _drawn(self, rng: Rng, sector: Ints, topic: Ints) -> Ints:
        """One phrase each: of the firm's topic, its sector, the general ones, or any."""
        n = len(topic)
        kind = rng.random(n)
        near = self._inside(self._topic_starts, sector, rng, 5.0)
        far = rng.integers(len(self._topics), size=n)
        of = np.where(kind < _OWN_TOPIC, topic, np.where(kind < _OWN_SECTOR, near, far))
        special = of * PHRASES_A_TOPIC + _zipf(rng, np.full(n, PHRASES_A_TOPIC), 100.0)
        general = _zipf(rng, np.full(n, len(words.GENERAL)), 6.0)
        return np.where(kind < _GENERAL, len(words.GENERAL) + special, general)

    @staticmethod
    def _inside(starts: Ints, group: Ints, rng: Rng, head: float) -> Ints:
        """One member of each group, the first ones more often."""
        return np.asarray(starts[group] + _zipf(rng, np.diff(starts)[group], head))


def _starts(groups: Any) -> Ints:
    return np.append(0, np.cumsum([len(g) for g in groups]))


def _take(texts: Any, which: Ints) -> pa.Array:
    return pa.array(texts, pa.string()).take(pa.array(which))


def _some(texts: Any, which: Ints, where: npt.NDArray[np.bool_]) -> pa.Array:
    """The texts of these numbers, and "" elsewhere than `where`."""
    padded = pa.concat_arrays([pa.array(texts, pa.string()), pa.array([""])])
    return padded.take(pa.array(np.where(where, which, len(texts))))


def _any_of(rng: Rng, texts: tuple[str, ...], n: int) -> pa.Array:
    return _take(texts, rng.integers(len(texts), size=n))


def _zipf(rng: Rng, n: Ints, head: float) -> Ints:
    """A rank below each n, drawn with a chance in proportion to 1 / (rank + head)."""
    ranks = head * (((n + head) / head) ** rng.random(n.shape) - 1)
    return np.asarray(ranks.astype(np.int64).clip(0, n - 1))


def _dressed(rng: Rng, stems: pa.Array, before: float, after: float) -> pa.Array:
    """Stems with a usual word before and after them, with these chances."""
    n = len(stems)
    first, last = (_zipf(rng, np.full(n, len(w)), 12.0) for w in (words.BEFORE, words.AFTER))
    return pc.binary_join_element_wise(
        _some(words.BEFORE, first, rng.random(n) < before), stems,
        _some(words.AFTER, last, rng.random(n) < after), "",
    )  # fmt: skip


def _coined(rng: Rng, head: float) -> pa.Array:
    """COINED words of two usual signs."""
    signs = _take(words.usual_signs(), rng.permutation(len(words.usual_signs())))
    pair = (_take(signs, _zipf(rng, np.full(COINED, len(signs)), head)) for _ in range(2))
    return pc.binary_join_element_wise(*pair, "")


def _ids(first: int, n: int) -> pa.Array:
    numbers = pa.array(np.arange(first, first + n)).cast(pa.string())
    return pc.binary_join_element_wise("S", pc.utf8_lpad(numbers, 8, "0"), "")


def kept(name: str, version: str, make: Callable[[Path], object]) -> Path:
    """A folder in the cache, made once; it takes the place of one made by an older generator."""
    folder = cache_folder() / f"{name}-{_digest()}{version}"
    if not folder.exists():
        for old in cache_folder().glob(f"{name}-*"):
            shutil.rmtree(old)
        aside = folder.with_suffix(".tmp")
        aside.mkdir()
        make(aside)
        aside.rename(folder)
    return folder


def _digest() -> str:
    """Changes when the generator does."""
    sources = (Path(__file__), Path(words.__file__))
    return hashlib.sha256(b"".join(s.read_bytes() for s in sources)).hexdigest()[:8]


def cache_folder() -> Path:
    """The folder that `CACHE` names, else one in the temporary folder."""
    folder = Path(os.environ.get(CACHE) or Path(tempfile.gettempdir()) / "zyz-match-bench")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    from tests.benchmarks import shape

    shape.main()
