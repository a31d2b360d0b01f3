"""The folder of one batch: what was asked, and what is done of it.

    job.json   the job; files of another job are not looked at
    KIND/N/    one flat file: what a pass found of partition N, put in place whole

Every process that takes part sees this folder. A file is the same whoever writes it, so that a
task that is done twice does no harm.
"""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import zyz_match
from zyz_match.domain import Town
from zyz_match.errors import ArtifactError, InputError
from zyz_match.matching.features import FirmFeatures
from zyz_match.matching.index import Index
from zyz_match.matching.model import Model
from zyz_match.matching.survey import Sight
from zyz_match.outputs import storage_error, write_bytes
from zyz_match.profiles import town_from, town_to
from zyz_match.scale.parquet import Partition
from zyz_match.scale.shapes import apart, sight_of
from zyz_match.storage.flat import Arrays, Shelf
from zyz_match.storage.locks import held, is_held

FORMAT = 2
JOB, LOCK = "job.json", "lock"
TALLY, CUT, FEATURES, INDEX, SURVEY, SIGHTS, FOUND = (
    "tally", "cut", "features", "index", "survey", "sights", "found",
)  # fmt: skip
KINDS = (TALLY, CUT, FEATURES, INDEX, SURVEY, SIGHTS, FOUND)
_CURE = "删除中间结果文件夹后重新运行"


@dataclass(frozen=True, slots=True)
class Job:
    """What one batch computes from what: the same job gives the same answer."""

    partitions: tuple[Partition, ...]
    towns: tuple[Town, ...]
    model: Model
    k: int
    statistics: str  # "" for those of the firms, else the stamp of the index that gave them

    @property
    def firms(self) -> int:
        """How many firms there are in all."""
        return sum(p.rows for p in self.partitions)

    def to_json(self) -> str:
        """The job as text; what is computed otherwise is another text."""
        entries = {
            "format": FORMAT, "program": zyz_match.__version__, "index": Index.FORMAT,
            "partitions": [asdict(p) for p in self.partitions],
            "towns": [town_to(t) for t in self.towns],
            "model": {
                "version": self.model.version, "weights": dict(self.model.weights),
                "curves": dict(self.model.curves),
            },
            "k": self.k, "statistics": self.statistics,
        }  # fmt: skip
        return json.dumps(entries, ensure_ascii=False, allow_nan=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The job that `to_json` told."""
        found = json.loads(text)
        if found["program"] != zyz_match.__version__:  # here works another release
            raise ArtifactError(
                f"任务由 zyz-match {found['program']} 建立，这里是 {zyz_match.__version__}，"
                "请让所有工作进程装同一版本"
            )
        groups = [p | {"groups": tuple(p["groups"])} for p in found["partitions"]]
        model = found["model"]
        curves = {n: (tuple(at), tuple(to)) for n, (at, to) in model["curves"].items()}
        return cls(
            tuple(Partition(**p) for p in groups), tuple(map(town_from, found["towns"])),
            Model(model["weights"], model["version"], curves), found["k"], found["statistics"],
        )  # fmt: skip


class Work:
    """The folder of a job, its files by kind and number."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name  # hash of the job

    @classmethod
    def begin(cls, folder: Path, job: Job) -> tuple[Self, bool]:
        """Go on with a job, or begin it in the place of another one; whether that was there."""
        text = job.to_json()
        work, before = cls(folder, _hash(text)), _text_of(folder)
        if before != text:
            work.clear()
            write_bytes(folder / JOB, text.encode())
        for left in folder.rglob(".aside-*"):  # of writers that were killed
            left.unlink(missing_ok=True)
        return work, before not in ("", text)

    @cached_property
    def job(self) -> Job:
        """What is to be done; ArtifactError where the folder tells of another job."""
        text = _text_of(self.folder)
        if _hash(text) != self.name:
            raise ArtifactError(
                f"“{self.folder}”中没有这次任务。计算的各台机器须共用这个文件夹，且不能改动。"
            )
        return Job.from_json(text)

    # files -------------------------------------------------------------------------------------

    def _shelf(self, kind: str, number: int) -> Shelf:
        return Shelf(self.folder / kind / f"{number:05d}", ".flat", FORMAT, _CURE)

    def _file(self, kind: str, number: int) -> str | None:
        return self._shelf(kind, number).latest({"job": self.name})

    def has(self, kind: str, number: int = 0) -> bool:
        """Whether this part of the job is done."""
        return self._file(kind, number) is not None

    def save(self, kind: str, number: int, meta: Mapping[str, Any], arrays: Arrays) -> None:
        """Keep what was found; StorageError when the disk refuses."""
        self._shelf(kind, number).save(meta, arrays, {"job": self.name})

    def open(self, kind: str, number: int = 0) -> tuple[Mapping[str, Any], dict[str, Any]]:
        """What was found, mapped; ArtifactError when it is not there or damaged."""
        name = self._file(kind, number)
        if name is None:
            raise ArtifactError(f"“{self.folder}”中缺少中间结果 {kind} {number}；{_CURE}。")
        return self._shelf(kind, number).open(name)

    def drop(self, kind: str, number: int) -> None:
        """Remove what is not needed any more."""
        shutil.rmtree(self._shelf(kind, number).folder, ignore_errors=True)

    # what all partitions need ------------------------------------------------------------------

    @cached_property
    def features(self) -> FirmFeatures:
        """The features by which every partition is laid out."""
        return FirmFeatures.from_parts(*self.open(FEATURES))

    @cached_property
    def sights(self) -> list[Sight]:
        """Every town as it sees the whole pool."""
        return [sight_of(*parts) for parts in apart(*self.open(SIGHTS))]

    def keep_index(self, number: int, index: Index) -> None:
        """Keep the index of a partition without the features, which are the same for all."""
        meta, arrays = index.parts()
        own = {n: a for n, a in arrays.items() if not n.startswith("features.")}
        self.save(INDEX, number, {**meta, "features": {}}, own)

    def index(self, number: int) -> Index:
        """The index of a partition, mapped."""
        meta, arrays = self.open(INDEX, number)
        features, shared = self.features.parts()
        shared = {f"features.{n}": a for n, a in shared.items()}
        index = Index.from_parts({**meta, "features": features}, arrays | shared)
        index.features = self.features  # with the towns that it knows already
        return index

    # the whole folder --------------------------------------------------------------------------

    def clear(self) -> None:
        """Remove what any job left; what is not ours stays."""
        try:
            for kind in KINDS:
                if (self.folder / kind).exists():
                    shutil.rmtree(self.folder / kind)
            (self.folder / JOB).unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, self.folder) from error

    def forget(self) -> None:
        """Remove the folder, once nobody needs it; left to another process that works in it."""
        with contextlib.suppress(InputError, OSError), alone(self.folder):
            self.clear()
            (self.folder / LOCK).unlink(missing_ok=True)
            self.folder.rmdir()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder; InputError when another process works in it."""
    if is_held(folder / LOCK):
        raise InputError(f"另一进程正在“{folder}”中运行同一批任务，请等它结束。")
    with contextlib.suppress(OSError):  # said by whoever writes there
        folder.mkdir(parents=True, exist_ok=True)  # as open as the umask lets it: for all workers
    with held(folder / LOCK):
        yield


@lru_cache(maxsize=1)
def opened(folder: str, name: str) -> Work:
    """The folder of a job in a process that does its tasks; kept until the next job."""
    return Work(Path(folder), name)


def _text_of(folder: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return (folder / JOB).read_text("utf-8")
    return ""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
