"""The hall: one method is one thing the office does, each as gather -> compute -> keep."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from zyz_match import profiles
from zyz_match.domain import Explanation, Filters, Firm, Shortlist, Similar, Town, TownFit
from zyz_match.errors import FileError, InputError, NeedsConfirmation, NotFoundError, StorageError
from zyz_match.settings import Settings
from zyz_match.shipped import data_folder
from zyz_match.storage import registry
from zyz_match.storage.imports import Batch, BatchResult, UndoResult
from zyz_match.storage.store import Store

if TYPE_CHECKING:  # loaded where used: a list needs no reader, an import no mathematics
    from zyz_match.matching.backtest import BacktestReport
    from zyz_match.matching.index import Index
    from zyz_match.storage.readers import FirmFile

Progress = Callable[[str, int, int], None]  # what is going on, done, total
MAX_K = 10_000
REJECT_SHARE_TO_CONFIRM = 0.2
KEPT_ARTIFACTS = 3


def _silent(_what: str, _done: int, _total: int) -> None:
    """Progress for callers that show none."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What one import found in the file and did to the store."""

    file: "FirmFile"
    batch: BatchResult | None  # None after a dry run
    rejects_path: Path | None  # where the rejected rows were written, None when there are none


@dataclass(frozen=True, slots=True)
class InitReport:
    """What the first start put into the store."""

    towns: dict[str, str] = field(default_factory=dict)  # town id -> created | updated | unchanged
    firms: BatchResult | None = None


class Service:
    """Everything the doors can ask for; thread-safe, one per process."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self._index: Index | None = None
        self._lock = threading.Lock()

    @classmethod
    def open(cls, settings: Settings, *, seed: bool = True, progress: Progress = _silent) -> Self:
        """Open the store; with `seed`, one that never held anything gets what is shipped.

        Raises StorageError when the store cannot be opened.
        """
        service = cls(settings, Store.open(settings.database_url))
        if seed and not service.store.towns() and not service.store.batches():
            service.init(progress=progress)
        return service

    def close(self) -> None:
        """Release the store."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    # the store's contents ------------------------------------------------------------------

    def init(self, *, progress: Progress = _silent) -> InitReport:
        """Load the shipped towns that the store lacks and the shipped sample firms."""
        shipped = profiles.read_towns(data_folder() / "towns")
        lacking = [t for t in shipped if self.store.town(t.id) is None]
        done = {t.id: "unchanged" for t in shipped} | {
            t.id: self.store.put_town(t) for t in lacking
        }
        report = self.import_firms(data_folder() / "sample" / "enterprises.csv", progress=progress)
        return InitReport(done, report.batch)

    def towns(self) -> list[Town]:
        """All towns, by id."""
        return self.store.towns()

    def town(self, text: str) -> Town:
        """The town with this id or this unambiguous part of a name; else NotFoundError."""
        return profiles.resolve_town(text, self.store.towns())

    def put_town(self, town: Town) -> str:
        """Create or replace a town: created | updated | unchanged; it ranks at once."""
        return self.store.put_town(town)

    def import_towns(self, path: Path) -> dict[str, str]:
        """Create or replace the towns of a YAML or JSON-lines file; id -> what happened."""
        return {t.id: self.store.put_town(t) for t in profiles.read_towns(path)}

    def import_firms(
        self,
        path: Path,
        *,
        dry_run: bool = False,
        confirmed: bool = False,
        rejects_path: Path | None = None,
        progress: Progress = _silent,
    ) -> ImportReport:
        """Read a firm table of any supported shape and store it, all rows or none.

        `rejects_path` receives the refused rows with their reasons (default: beside the file;
        nothing is written on a dry run). Raises FileError when the file is no firm table,
        NeedsConfirmation when more than a fifth of its rows are refused and `confirmed` is not set.
        """
        from zyz_match.storage import readers

        file = readers.read_firms(path, progress=lambda d, n: progress("读取", d, n))
        where = None
        if len(file.rejects) and not dry_run:
            where = rejects_path or path.with_name(f"{path.stem}.rejects.csv")
            readers.write_rejects(file.rejects, where)
        if dry_run:
            return ImportReport(file, None, where)
        if file.reject_share > REJECT_SHARE_TO_CONFIRM and not confirmed:
            raise NeedsConfirmation(
                f"“{path.name}”共 {file.rows} 行，其中 {len(file.rejects)} 行有问题，超过两成，"
                f"未写入任何数据。请查看 {where}；确认其余行无误后加 --yes 再导入。"
            )
        batch = self.store.import_firms(
            file.frame, file.contacts, file_name=file.file_name, file_hash=file.file_hash,
            progress=lambda d, n: progress("写入", d, n),
        )  # fmt: skip
        return ImportReport(file, batch, where)

    def batches(self) -> list[Batch]:
        """All imports, newest first."""
        return self.store.batches()

    def undo(self, batch_id: str) -> UndoResult:
        """Take one import back; firms that a later import changed are kept."""
        return self.store.undo(batch_id)

    def firm(self, text: str) -> Firm:
        """The one firm with this id, code or name; NotFoundError with the nearest otherwise."""
        found = self.store.find_firms(text, limit=6)
        exact = [f for f in found if text in (f.firm_id, f.uscc, f.stock_code, f.name)]
        if len(exact) == 1 or (exact and text == exact[0].firm_id):
            return exact[0]
        if len(found) == 1:
            return found[0]
        names = tuple(f"{f.name}（{f.firm_id}）" for f in found)
        if not names:
            raise NotFoundError(f"没有找到企业“{text}”。请核对名称，或先用 zyz-match import 导入。")
        raise NotFoundError(
            f"“{text}”对应多家企业，请写全名称或编号：{'、'.join(names)}。", details=names
        )

    def status(self) -> dict[str, int | str]:
        """How many towns and firms there are, and the state of model and data."""
        from zyz_match.matching import ranking

        return {
            "towns": len(self.store.towns()),
            "firms": self.store.firm_count(),
            "model": ranking.MODEL.version,
            "data": self.store.data_stamp(),
        }

    # ranking -------------------------------------------------------------------------------

    def index(self, *, progress: Progress = _silent) -> "Index":
        """The fitted index of the firms as they are now; fitted anew only when they changed."""
        with self._lock:
            stamp = self.store.data_stamp()
            if self._index is None or self._index.stamp != stamp:
                self._index = self._load_or_fit(stamp, progress)
            return self._index

    def _load_or_fit(self, stamp: str, progress: Progress) -> "Index":
        from zyz_match.matching.index import Index

        folder, about = self.settings.models, {"data": stamp, "index": Index.FORMAT}
        name = registry.latest(folder, about)
        if name is not None:
            with suppress(StorageError):  # a damaged artifact is no loss: it is computed anew
                return cast("Index", registry.load(folder, name)[0])
        progress("计算企业特征", 0, 1)
        fitted = Index(stamp=stamp).fit(self.store.firm_table(), events=self.store.events())
        progress("计算企业特征", 1, 1)
        with suppress(StorageError):  # a full or read-only disk must not keep a list back
            registry.save(folder, fitted, about)
            registry.prune(folder, KEPT_ARTIFACTS)
        return fitted

    def rank(
        self,
        town: str | Town,
        *,
        k: int = 20,
        filters: Filters | None = None,
        diversify: bool = False,
        after: tuple[float, str] | None = None,
        by: str = "",
        via: str = "cli",
        progress: Progress = _silent,
    ) -> Shortlist:
        """The k best candidates of a town, explained; a stored town's list gets a receipt.

        `town` is a stored town's id or name, or a profile sent along (then nothing is kept).
        `after` is (score, firm_id) of the last match of the page before.
        Raises InputError unless 1 <= k <= MAX_K, NotFoundError for an unknown town.
        """
        from zyz_match.matching import ranking

        self._check_count(k)
        profile = self.town(town) if isinstance(town, str) else town
        shortlist = ranking.rank(
            self.index(progress=progress), profile, k=k, filters=filters or Filters(),
            existing=self.store.existing(profile.id), diversify=diversify, after=after,
        )  # fmt: skip
        if not isinstance(town, str):
            return shortlist
        return replace(shortlist, id=self.store.keep_shortlist(shortlist, by=by, via=via))

    def explain(self, town: str, firm: str) -> Explanation:
        """Where a firm stands for a town, what holds it back and what would change it."""
        from zyz_match.matching import ranking

        profile = self.town(town)
        index, (found,) = self._indexed([firm])
        return ranking.explain(index, profile, found, self.store.existing(profile.id))

    def towns_for(self, firm: str, *, k: int = 10) -> list[TownFit]:
        """The best towns for a firm, by the firm's rank on each town's own list."""
        from zyz_match.matching import ranking

        self._check_count(k)
        towns = self.store.towns()
        existing = {t.id: self.store.existing(t.id) for t in towns}
        index, (found,) = self._indexed([firm])
        return ranking.towns_for(index, found, towns, existing, k)

    def similar(
        self, firms: Sequence[str], *, k: int = 10, filters: Filters | None = None
    ) -> list[Similar]:
        """Firms most like the given ones, with what they share."""
        from zyz_match.matching import ranking

        self._check_count(k)
        index, seeds = self._indexed(firms)
        return ranking.similar(index, seeds, k, filters or Filters())

    def _indexed(self, texts: Sequence[str]) -> "tuple[Index, list[Firm]]":
        """Firms together with an index that holds them, though an import may be under way."""
        for _ in range(3):
            found, index = [self.firm(t) for t in texts], self.index()
            if all(f.firm_id in index.row_of for f in found):
                return index, found
        raise NotFoundError("企业数据正在更新，请稍后重试。")

    @staticmethod
    def _check_count(k: int) -> None:
        if not 1 <= k <= MAX_K:
            raise InputError(f"返回企业数 k 应为 1 到 {MAX_K} 之间的整数，现为 {k}。")

    # evaluation ----------------------------------------------------------------------------

    @staticmethod
    def backtest(
        folder: Path, *, out: Path | None = None, k: int = 100, progress: Progress = _silent
    ) -> "BacktestReport":
        """Rank every town of a folder of files and score the lists against its truth.csv.

        Works on the folder alone (with the shipped towns where it has no towns.jsonl); no store is
        opened or changed. Raises FileError for a folder without firms.
        """
        Service._check_count(k)
        from zyz_match.matching.backtest import backtest
        from zyz_match.storage.datasets import read_dataset, write_run

        data = read_dataset(folder)
        if data.firms is None:
            raise FileError(f"“{folder}”中没有 enterprises.*（csv、xlsx、jsonl），无法回测。")
        towns = data.towns or profiles.read_towns(data_folder() / "towns")
        report = backtest(
            data.firms.frame, towns, data.events, data.existing, data.truth, k=k,
            progress=lambda d, n: progress("回测", d, n),
        )  # fmt: skip
        if out is not None:
            write_run(out, report.run, data)
        return report
