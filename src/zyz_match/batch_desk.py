"""The desk for batches: all towns over firms that are in parquet files, not in the store."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zyz_match.errors import InputError
from zyz_match.models_desk import ModelDesk
from zyz_match.progress import Progress, silent

if TYPE_CHECKING:  # loaded where used
    from zyz_match.matching.index import Index
    from zyz_match.scale.batch import Answer

ENGINES = ("loop", "dask")
STATISTICS = ("parquet", "index")


class BatchDesk(ModelDesk):
    """Batches with the towns and the model of one store."""

    def rank_parquet(
        self,
        source: Path,
        work: Path,
        *,
        k: int,
        engine: str = "loop",
        scheduler: str | None = None,
        statistics: str = "parquet",
        progress: Progress = silent,
    ) -> "Answer":
        """The k best firms of parquet files for every town of the store, without sentences.

        `work` is the folder for what is between; who asks for the same again after an interruption
        goes on from there, and whoever keeps the answer calls `answer.work.forget()`. Document
        frequencies and the latent basis are those of the files, or of the store's `index`. Raises
        FileError for files that cannot be read or believed, InputError without towns, for an index
        without firms or a cluster that cannot be reached.
        """
        _check_known("--engine", engine, ENGINES)
        _check_known("--statistics", statistics, STATISTICS)
        from zyz_match.scale import batch, parquet
        from zyz_match.scale.work import Job

        towns = tuple(self.store.towns())
        if not towns:
            raise InputError("企业库里没有专业镇。请先用 zyz-match import 导入专业镇档案。")
        found, unknown = parquet.partitions(source)
        index = self._learnt(progress) if statistics == "index" else None
        model, note = self._serving_model()
        job = Job(tuple(found), towns, model, k, index.stamp if index else "")
        answer = batch.run(
            work, job, batch.local if engine == "loop" else batch.on_dask(scheduler),
            features=index.features if index else None, progress=progress,
        )  # fmt: skip
        remarks = (f"不认识的列已略过：{'、'.join(unknown)}。",) if unknown else ()
        return replace(answer, notes=(*remarks, *([note] if note else []), *answer.notes))

    def _learnt(self, progress: Progress) -> "Index":
        """The index whose statistics are taken."""
        if not self.store.firm_count():
            raise InputError("企业库中还没有企业，没有可用的统计；请去掉 --statistics index。")
        return self.index(progress=progress)


def _check_known(option: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise InputError(f"{option} 可用 {'、'.join(known)}，现为“{given}”。")
