"""What is done with one partition: counted, laid out, scored.

A step reads the partition and the folder of the job and puts its findings there; a step that is
done is not done again. What it gives back is small.
"""

import contextlib
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from zyz_match.domain import Col
from zyz_match.errors import ArtifactError
from zyz_match.matching.firm_table import FirmTable
from zyz_match.matching.index import Index
from zyz_match.matching.model import Scores
from zyz_match.matching.phrases import Cut, cut
from zyz_match.matching.pool import candidates
from zyz_match.matching.query import prepare
from zyz_match.matching.similarity import COMPONENTS, Compared
from zyz_match.matching.survey import surveys
from zyz_match.matching.tally import Tally, cut_from_parts, cut_parts, step_of
from zyz_match.scale.parquet import read
from zyz_match.scale.shapes import survey_parts, together
from zyz_match.scale.work import CUT, FOUND, INDEX, SURVEY, TALLY, Work, opened

KEPT = (Col.FIRM_ID.value, Col.NAME.value, Col.PROVINCE.value, Col.CITY.value)
ROWS = "rows"
TOWN, PART, SCORE, FIRM_ID = "town", "part", "score", Col.FIRM_ID.value


@dataclass(frozen=True, slots=True)
class Task:
    """One step with one partition of the job in a folder."""

    step: str  # a key of STEPS
    folder: str
    job: str
    number: int


@dataclass(frozen=True, slots=True)
class Done:
    """A task that was done."""

    number: int
    seconds: float
    cpu: float  # seconds of all threads
    peak: int  # bytes: the most memory that the process had until then


def do(task: Task) -> Done:
    """Do a task; on one thread where more would round otherwise."""
    clock = Clock()
    with threadpool_limits(1):
        STEPS[task.step](opened(task.folder, task.job), task.number)
    return Done(task.number, clock.seconds, clock.cpu, peak_memory())


class Clock:
    """The time since it was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        """By the clock on the wall."""
        return time.perf_counter() - self._began[0]

    @property
    def cpu(self) -> float:
        """Of all threads of this process."""
        return time.process_time() - self._began[1]


def peak_memory() -> int:
    """Bytes that this process had at its peak."""
    with contextlib.suppress(OSError, StopIteration):  # a child's ru_maxrss begins at its parent's
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
        return int(next(x for x in lines if x.startswith("VmHWM:")).split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# counted -------------------------------------------------------------------------------------


def tally(work: Work, number: int) -> None:
    """Count a partition's n-grams and numbers; its phrases are kept for the next step."""
    if work.has(TALLY, number):
        return
    partition = work.job.partitions[number]
    firms = FirmTable.of(read(partition)).frame()
    phrases, step = cut(firms), step_of(work.job.firms)
    work.save(CUT, number, *cut_parts(phrases))
    found = Tally.of(firms, phrases, -partition.first % step, step)
    work.save(TALLY, number, *found.parts())


# laid out ------------------------------------------------------------------------------------


def build(work: Work, number: int) -> None:
    """Lay out a partition by the features of all, and look what it tells of every town."""
    if work.has(SURVEY, number):
        return
    table = FirmTable.of(read(work.job.partitions[number]))
    index = Index.of(work.features, table, _phrases(work, number, table), KEPT)
    work.keep_index(number, index)
    found = surveys([prepare(t, work.features.words_) for t in work.job.towns], index)
    work.save(SURVEY, number, *together([survey_parts(s) for s, _ in found]))
    work.drop(CUT, number)


def _phrases(work: Work, number: int, table: FirmTable) -> Cut:
    with contextlib.suppress(ArtifactError):  # none were kept, or a twin of this task is done
        return cut_from_parts(*work.open(CUT, number))
    return cut(table.frame())


# scored --------------------------------------------------------------------------------------


def score(work: Work, number: int) -> None:
    """The best firms of a partition for every town, as they are scored among all."""
    if work.has(FOUND, number):
        return
    job, index = work.job, work.index(number)
    queries = [prepare(t, index.features.words_) for t in job.towns]
    found, best, pools = zip(queries, surveys(queries, index), work.sights, strict=True), [], []
    for place, (query, (_, seen), sight) in enumerate(found):
        allowed = candidates(index, query.town)
        pools.append(int(np.count_nonzero(allowed)))
        scores = job.model.weigh(Compared(query, index, seen, sight))
        best.append(_rows(scores, scores.best(job.k, allowed).rows, place, number))
    content = FirmTable(pa.concat_tables(best)).bytes()
    work.save(FOUND, number, {"pools": pools}, {ROWS: content})


def _rows(scores: Scores, rows: npt.NDArray[np.int64], town: int, part: int) -> pa.Table:
    """Some firms as the answer tells them: what is not compared is null."""
    table = scores.table(rows)
    points = dict(zip(scores.components, scores.points[:, None] * table.values, strict=True))
    zeros = np.zeros(len(rows))
    columns = {
        TOWN: pa.array(np.full(len(rows), town, np.int32)),
        PART: pa.array(np.full(len(rows), part, np.int32)),
        **{n: pa.array(scores.index.texts(n, rows), pa.large_string()) for n in KEPT},
        SCORE: table.total,
        **{
            side: sum((p for c, p in points.items() if c.part == side), start=zeros)
            for side in ("fit", "propensity")
        },
        "confidence": scores.confidence(table.missing),
    }
    for component in COMPONENTS:
        found = points.get(component)
        columns[component.name] = pa.nulls(len(rows), pa.float64()) if found is None else found
    return pa.table(columns)


STEPS: dict[str, Callable[[Work, int], None]] = {TALLY: tally, INDEX: build, FOUND: score}
DONE = {TALLY: TALLY, INDEX: SURVEY, FOUND: FOUND}  # step -> the kind of file that ends it
