"""The best firms of all partitions, town by town, as one table."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from zyz_match.errors import FileError
from zyz_match.matching.firm_table import FirmTable
from zyz_match.scale.steps import FIRM_ID, PART, ROWS, SCORE, TOWN
from zyz_match.scale.work import FOUND, Job, Work

POOLS = "pools"


def merged(work: Work) -> tuple[pa.Table, list[int]]:
    """Every town's list, and how many firms each town could choose from.

    Partition by partition, so that no more than two lists a town are in memory. Raises FileError
    when a firm of two partitions meets itself on a list.
    """
    rows, pools = None, np.zeros(len(work.job.towns), np.int64)
    for number in range(len(work.job.partitions)):
        meta, arrays = work.open(FOUND, number)
        some = FirmTable.read(arrays[ROWS]).table
        rows = _best(work.job, some if rows is None else pa.concat_tables([rows, some]))
        pools += meta[POOLS]
    return _told(work.job, rows), pools.tolist()


def _best(job: Job, rows: pa.Table) -> pa.Table:
    """Of every town the k best, by score, ties by firm id."""
    _check_once(job, rows.sort_by([(TOWN, "ascending"), (FIRM_ID, "ascending")]))
    rows = rows.sort_by([(TOWN, "ascending"), (SCORE, "descending"), (FIRM_ID, "ascending")])
    return rows.filter(pa.array(_places(job, rows) < job.k)).combine_chunks()


def _places(job: Job, rows: pa.Table) -> npt.NDArray[np.int64]:
    """The place of every row on its town's list, from 0 on."""
    towns: npt.NDArray[np.int32] = rows[TOWN].to_numpy()
    starts = np.searchsorted(towns, np.arange(len(job.towns)))
    return np.arange(len(towns)) - starts[towns]


def _check_once(job: Job, rows: pa.Table) -> None:
    """That no firm stands on a list twice; only firms that come this far are looked at."""
    ids, towns = rows[FIRM_ID].combine_chunks(), rows[TOWN].to_numpy()
    same = pc.equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    again = np.flatnonzero(same & (towns[1:] == towns[:-1]))
    if len(again):
        at = int(again[0])
        first, second = (job.partitions[rows[PART][i].as_py()].path for i in (at, at + 1))
        raise FileError(f"编号 {ids[at]} 在“{first}”和“{second}”中各有一行。请去重后重新运行。")


def _told(job: Job, rows: pa.Table) -> pa.Table:
    """The rows with their towns by id and name, and with their ranks."""
    towns = rows[TOWN]
    ids, names = (pa.array([getattr(t, n) for t in job.towns]) for n in ("id", "name"))
    head = {
        "town_id": ids.take(towns), "town": names.take(towns),
        "rank": pa.array(_places(job, rows) + 1),
    }  # fmt: skip
    rest = {n: rows[n] for n in rows.column_names if n not in (TOWN, PART)}
    return pa.table(head | rest)
