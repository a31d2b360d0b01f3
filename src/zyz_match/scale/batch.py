"""Every town's best firms among those of many partitions, pass by pass.

1. Each partition is counted, and the features are fitted on what was counted.
2. Each is laid out by these, and tells what every town can find in it.
3. Each is scored by what all of them told; the best of each are merged by score, then firm id.

Sums of words are whole numbers and parts are merged in the order of the partitions: the answer is
the same, bit for bit, whoever does the tasks and however often.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from threadpoolctl import threadpool_limits

from zyz_match.domain import Town
from zyz_match.matching import tally
from zyz_match.matching.features import FirmFeatures
from zyz_match.matching.query import prepare
from zyz_match.matching.survey import merge, sight
from zyz_match.progress import Progress, silent
from zyz_match.scale import engines
from zyz_match.scale.merging import merged
from zyz_match.scale.shapes import apart, sight_parts, survey_of, together
from zyz_match.scale.steps import DONE, Clock, Done, Task, peak_memory
from zyz_match.scale.work import FEATURES, FOUND, INDEX, SIGHTS, SURVEY, TALLY, Job, Work, alone

T = TypeVar("T")
PASSES = {TALLY: "统计用词", INDEX: "计算企业特征", FOUND: "评分"}
Engine = Callable[[Work], AbstractContextManager[engines.Run]]


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass took; what an earlier run had done is not counted."""

    name: str  # Chinese
    partitions: int  # 0 for what is done between two passes
    firms: int
    seconds: float  # from its begin to its end
    busy: float  # seconds of all its tasks together
    cpu: float  # and of all their threads
    peak: int  # bytes: the most that any process which took part had until then


@dataclass(frozen=True, slots=True)
class TownList:
    """How many firms a town could choose from, and how many it got."""

    town: Town
    pool: int
    listed: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Every town's best firms, and how they were found."""

    rows: pa.Table  # town_id, town, rank, firm_id, ..., points of each component (null: none)
    towns: tuple[TownList, ...]
    passes: tuple[Pass, ...]
    firms: int
    partitions: int
    model: str
    notes: tuple[str, ...]  # Chinese
    work: Work  # to be forgotten once the rows are kept


def local(_work: Work) -> AbstractContextManager[engines.Run]:
    """The engine that does all in this process."""
    return engines.loop()


def on_dask(scheduler: str | None = None) -> Engine:
    """The engine that has the workers of a Dask cluster do it, see `engines.dask`."""
    return lambda work: engines.dask(str(work.folder), work.name, scheduler)


def run(
    folder: Path,
    job: Job,
    engine: Engine = local,
    *,
    features: FirmFeatures | None = None,
    progress: Progress = silent,
) -> Answer:
    """Do a job in a work folder, or what is left of it after an earlier run was cut off.

    Without `features` they are fitted on all firms. Raises FileError for a partition that cannot
    be read or believed, StorageError when the disk refuses; what is done is kept.
    """
    with alone(folder):
        work, other = Work.begin(folder.resolve(), job)
        return _Batch(work, progress).run(engine, features, other)


class _Batch:
    """One run, pass by pass."""

    def __init__(self, work: Work, progress: Progress) -> None:
        self.work, self.job, self.progress = work, work.job, progress
        self.numbers = range(len(work.job.partitions))
        self.passes: list[Pass] = []

    def run(self, engine: Engine, features: FirmFeatures | None, other: bool) -> Answer:
        note = self._how_far(other)
        if features is not None and not self.work.has(FEATURES):
            self.work.save(FEATURES, 0, *features.parts())
        with engine(self.work) as tasks:
            if not self.work.has(FEATURES):
                self._pass(TALLY, tasks)
                self._between("拟合特征", self._fit)
            self._pass(INDEX, tasks)
            if not self.work.has(SIGHTS):
                self._between("汇总各分区", self._look)
            self._pass(FOUND, tasks)
        rows, pools = self._between("合并名单", lambda: merged(self.work))
        return Answer(
            rows, self._lists(rows, pools), tuple(self.passes), self.job.firms, len(self.numbers),
            self.job.model.version, (note, *self._remarks()) if note else self._remarks(),
            self.work,
        )  # fmt: skip

    def _how_far(self, other: bool) -> str:
        if other:
            return "中间结果属于另一次任务（输入、专业镇、模型、家数或程序不同），已重新开始。"
        done = {step: sum(self.work.has(DONE[step], n) for n in self.numbers) for step in PASSES}
        if not any(done.values()):
            return ""
        told = "、".join(f"{name} {done[s]}/{len(self.numbers)}" for s, name in PASSES.items())
        return f"接着上次中断处继续（当时已完成：{told}）。"

    def _pass(self, step: str, run: engines.Run) -> None:
        """One step with every partition that has it still before it."""
        clock, total = Clock(), len(self.numbers)
        left = [n for n in self.numbers if not self.work.has(DONE[step], n)]
        done: list[Done] = []
        self.progress(PASSES[step], total - len(left), total)
        for one in run([Task(step, str(self.work.folder), self.work.name, n) for n in left]):
            done.append(one)
            self.progress(PASSES[step], total - len(left) + len(done), total)
        self.passes.append(Pass(
            PASSES[step], len(done), sum(self.job.partitions[d.number].rows for d in done),
            clock.seconds, sum(d.seconds for d in done), sum(d.cpu for d in done),
            max((d.peak for d in done), default=0),
        ))  # fmt: skip

    def _between(self, name: str, call: Callable[[], T]) -> T:
        """What this process does by itself between two passes."""
        clock = Clock()
        self.progress(name, 0, 1)
        with threadpool_limits(1):  # the same sums, however many processors there are
            found = call()
        self.progress(name, 1, 1)
        seconds = clock.seconds
        self.passes.append(Pass(name, 0, 0, seconds, seconds, clock.cpu, peak_memory()))
        return found

    def _fit(self) -> None:
        tallies = [tally.Tally.from_parts(*self.work.open(TALLY, n)) for n in self.numbers]
        self.work.save(FEATURES, 0, *tally.fit(tallies).parts())

    def _look(self) -> None:
        """What all partitions together tell every town."""
        surveys = [apart(*self.work.open(SURVEY, n)) for n in self.numbers]
        index, found = self.work.index(0), []
        for i, town in enumerate(self.job.towns):
            whole = merge([survey_of(*of_towns[i]) for of_towns in surveys])
            found.append(sight(prepare(town, self.work.features.words_), index, whole))
        self.work.save(SIGHTS, 0, *together([sight_parts(s) for s in found]))

    def _lists(self, rows: pa.Table, pools: list[int]) -> tuple[TownList, ...]:
        ids = rows["town_id"].to_pylist()
        towns = zip(self.job.towns, pools, strict=True)
        return tuple(TownList(town, pool, ids.count(town.id)) for town, pool in towns)

    def _remarks(self) -> tuple[str, ...]:
        silent_towns = [
            town.name for town, seen in zip(self.job.towns, self.work.sights, strict=True)
            if not seen.best_words
        ]  # fmt: skip
        if not silent_towns:
            return ()
        named = "、".join(silent_towns)
        return (f"没有一家企业的文本出现 {named} 的用词，名次只反映行业、区位等其他信息。",)
