"""The hall: one method is one thing the office does, each as gather -> compute -> keep."""

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

from zyz_match import profiles
from zyz_match.access_desk import AccessDesk
from zyz_match.acting import actor
from zyz_match.batch_desk import BatchDesk
from zyz_match.domain import Explanation, Filters, Firm, Shortlist, Similar, Town, TownFit
from zyz_match.errors import FileError, InputError, NotFoundError
from zyz_match.imports_desk import ImportDesk
from zyz_match.inbound_desk import InboundDesk
from zyz_match.ops_desk import OpsDesk
from zyz_match.progress import Progress, silent
from zyz_match.settings import Settings
from zyz_match.shipped import data_folder
from zyz_match.storage.imports import Batch, BatchResult
from zyz_match.storage.shortlists import Asked
from zyz_match.storage.store import Store, Versions
from zyz_match.upsert_desk import UpsertDesk

if TYPE_CHECKING:  # loaded where used: a list needs no reader, an import no mathematics
    from zyz_match.matching.backtest import BacktestReport
    from zyz_match.matching.index import Index

T = TypeVar("T")
MAX_K = 10_000
KEPT_LISTS, KEPT_K = 64, 100  # lists that are kept, and the length up to which they are
KEPT_TOWNS = 1_000  # whose firms are known; a request may name any town


@dataclass(frozen=True, slots=True)
class InitReport:
    """What the first start put into the store."""

    towns: dict[str, str] = field(default_factory=dict)  # town id -> created | updated | unchanged
    firms: BatchResult | None = None


class State(NamedTuple):
    """All that a list is made from besides what is asked for; equal states give equal lists."""

    versions: Versions
    served: str  # stamp of the index that this process serves, "" before the first list
    model: str  # the version that should serve


class Service(AccessDesk, BatchDesk, ImportDesk, InboundDesk, OpsDesk, UpsertDesk):
    """Everything the doors can ask for; thread-safe, one per process."""

    _towns: tuple[str, list[Town]] = ("", [])  # all of them at a stamp
    _existing: tuple[str, dict[str, set[str]]] = ("", {})  # of the towns asked for at a stamp

    @classmethod
    def open(cls, settings: Settings, *, seed: bool = True, progress: Progress = silent) -> Self:
        """Open the store; with `seed`, one that never held anything gets what is shipped.

        Raises StorageError when the store cannot be opened.
        """
        service = cls(settings, Store.open(settings.database_url))
        if seed and not service.store.towns() and not service.store.batches():
            service.init(progress=progress)
        return service

    def close(self) -> None:
        """Release the store."""
        super().close()
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

    def init(self, *, progress: Progress = silent) -> InitReport:
        """Load the shipped towns that the store lacks and the shipped sample firms."""
        shipped = profiles.read_towns(data_folder() / "towns")
        lacking = [t for t in shipped if self.store.town(t.id) is None]
        done = {t.id: "unchanged" for t in shipped} | {
            t.id: self.store.put_town(t) for t in lacking
        }
        report = self.import_firms(data_folder() / "sample" / "enterprises.csv", progress=progress)
        import_module("zyz_match.matching.ranking")  # compiles what is not yet compiled, for good
        return InitReport(done, report.batch)

    def state(self) -> State:
        """What lists are made from at this moment: while it is the same, so is every list.

        One small look at the store, so that what any process changes is seen at once.
        """
        from zyz_match.matching.model import PRIOR_VERSION

        served, now = self._served, self.store.versions()
        return State(now, served.index.stamp if served else "", now.model or PRIOR_VERSION)

    @property
    def at_hand(self) -> bool:
        """Whether `state` takes microseconds: it may be asked for without leaving the thread."""
        return self.store.at_hand

    def towns(self) -> list[Town]:
        """All towns that the actor may see, by id; read anew only when one has changed."""
        stamp, sees = self.store.town_stamp(), actor().sees
        if self._towns[0] != stamp:
            self._towns = stamp, self.store.towns()
        return [t for t in self._towns[1] if sees(t.id)]

    def town(self, text: str) -> Town:
        """The town with this id or this unambiguous part of a name; else NotFoundError.

        A town that the actor may not see is as if it were not there.
        """
        return profiles.resolve_town(text, self.towns())

    @staticmethod
    def _check_sight(town: Town) -> None:
        """NotFoundError for a profile of a town that the actor does not see, stored or not."""
        if not actor().sees(town.id):
            raise NotFoundError(f"没有找到专业镇“{town.id}”。")

    def _existing_in(self, town_id: str) -> Collection[str]:
        """Ids of the firms that are in a town already, read anew when that may have changed."""
        stamp = self.store.data_stamp()
        if self._existing[0] != stamp or len(self._existing[1]) >= KEPT_TOWNS:
            self._existing = stamp, {}
        known = self._existing[1]
        if town_id not in known:
            known[town_id] = self.store.existing(town_id)
        return known[town_id]

    def put_town(self, town: Town, accept: Callable[[Town | None], None] | None = None) -> str:
        """Create or replace a town: created | updated | unchanged; it ranks at once.

        `accept` sees the town as it is, None for a new one; what it raises keeps it so. Raises
        NotFoundError for one that the actor does not see.
        """
        self._check_sight(town)
        return self.store.put_town(town, accept)

    def import_towns(self, path: Path) -> dict[str, str]:
        """Create or replace the towns of a YAML or JSON-lines file, all or none.

        Gives what happened by id.
        """
        return dict(self.store.put_towns(profiles.read_towns(path)))

    def batches(self) -> list[Batch]:
        """All imports, newest first."""
        return self.store.batches()

    def firm(self, text: str) -> Firm:
        """The one firm with this id, code or name; NotFoundError with the nearest otherwise."""
        if (known := self.store.firm(text)) is not None:
            return known
        found = self.store.find_firms(text, limit=6)
        exact = [f for f in found if text in (f.uscc, f.stock_code, f.name)]
        if len(exact) == 1:
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
        model, note = self._serving_model()
        return {
            "towns": len(self.towns()),
            "firms": self.store.firm_count(),
            "model": model.version,
            "model_note": note,
            "data": self.store.data_stamp(),
        }

    # ranking -------------------------------------------------------------------------------

    def rank(
        self,
        town: str | Town,
        *,
        k: int = 20,
        filters: Filters | None = None,
        diversify: bool = False,
        after: tuple[float, str] | None = None,
        keep: bool = True,
        by: str = "",
        via: str = "cli",
        progress: Progress = silent,
    ) -> Shortlist:
        """The k best candidates of a town, explained; the list gets a receipt unless not `keep`.

        `town` is a stored town's id or name, or a profile sent along (which is not stored).
        `after` is (score, firm_id) of the last match of the page before.
        Raises InputError unless 1 <= k <= MAX_K, NotFoundError for an unknown town.
        """
        from zyz_match.matching import ranking
        from zyz_match.matching.query import prepare

        self._check_count(k)
        profile = self.town(town) if isinstance(town, str) else town
        self._check_sight(profile)
        existing, (model, note) = self._existing_in(profile.id), self._serving_model()
        index = self.index(progress=progress)
        make = partial(
            ranking.rank, index, profile, k=k, filters=filters or Filters(), existing=existing,
            diversify=diversify, after=after, model=model,
        )  # fmt: skip
        query, firms = prepare(profile, index.features.words_), frozenset(existing)
        asked = query, k, filters or Filters(), firms, diversify, after, model.key
        most = KEPT_LISTS if k <= KEPT_K else 0
        ranked = self._computed(index, "list", asked, make, most)
        dress = partial(self._with_care, profile.id, ranked.matches)
        matches = index.recent("care", (asked, self.store.lead_stamp()), dress, most)
        notes = (*ranked.notes, note) if note else ranked.notes
        found = replace(ranked, matches=matches, notes=notes)
        if not keep:
            return found
        kept = self.store.keep_shortlist(
            found, Asked(k, diversify, after, existing), by=by or actor().name, via=via
        )
        return replace(found, id=kept)

    def _computed(
        self, index: "Index", kind: str, asked: Hashable, make: Callable[[], T], most: int
    ) -> T:
        """What the firms alone decide, computed again when they change; few at a time.

        More at once would only hold memory while they wait for the cores.
        """

        def computed() -> T:
            with self._lane:
                return index.recent(kind, asked, make, most)  # somebody else may have made it

        return index.recent(kind, asked, computed, most)

    def explain(self, town: str, firm: str) -> Explanation:
        """Where a firm stands for a town, what holds it back and what would change it."""
        from zyz_match.matching import ranking

        profile = self.town(town)
        index, (found,) = self._indexed([firm])
        with self._lane:
            explained = ranking.explain(
                index, profile, found, self._existing_in(profile.id), model=self._model()
            )
        if explained.match is None:
            return explained
        (match,) = self._with_care(profile.id, (explained.match,))
        return replace(explained, match=match)

    def towns_for(self, firm: str, *, k: int = 10) -> list[TownFit]:
        """The best towns for a firm, by the firm's rank on each town's own list."""
        from zyz_match.matching import ranking

        self._check_count(k)
        towns = self.towns()
        existing = {t.id: self._existing_in(t.id) for t in towns}
        index, (found,) = self._indexed([firm])
        with self._lane:
            fits = ranking.towns_for(index, found, towns, existing, k, model=self._model())
        return [replace(f, match=self._with_care(f.town.id, (f.match,))[0]) for f in fits]

    def similar(
        self, firms: Sequence[str], *, k: int = 10, filters: Filters | None = None
    ) -> list[Similar]:
        """Firms most like the given ones, with what they share."""
        from zyz_match.matching import ranking

        self._check_count(k)
        index, seeds = self._indexed(firms)
        with self._lane:
            return ranking.similar(index, seeds, k, filters or Filters())

    def _indexed(self, texts: Sequence[str]) -> "tuple[Index, list[Firm]]":
        """Firms together with an index that holds them, though an import may be under way."""
        for _ in range(3):
            found, index = [self.firm(t) for t in texts], self.index()
            if all(index.row(f.firm_id) is not None for f in found):
                return index, found
        raise NotFoundError("企业数据正在更新，请稍后重试。")

    @staticmethod
    def _check_count(k: int) -> None:
        if not 1 <= k <= MAX_K:
            raise InputError(f"返回企业数 k 应为 1 到 {MAX_K} 之间的整数，现为 {k}。")

    # evaluation ----------------------------------------------------------------------------

    @staticmethod
    def backtest(
        folder: Path,
        *,
        out: Path | None = None,
        k: int = 100,
        leads: bool = False,
        progress: Progress = silent,
    ) -> "BacktestReport":
        """Rank every town of a folder of files and score the lists against its truth.csv.

        Works on the folder alone (with the shipped towns where it has no towns.jsonl); no store is
        opened or changed. With `leads` the model is first retrained on its leads.csv. Raises
        FileError for a folder without firms, or without leads when they are asked for.
        """
        Service._check_count(k)
        from zyz_match.matching.backtest import backtest, rounds_of
        from zyz_match.storage.datasets import read_dataset, write_run

        data = read_dataset(folder)
        if data.firms is None:
            raise FileError(f"“{folder}”中没有 enterprises.*（csv、xlsx、jsonl），无法回测。")
        if leads and data.leads.empty:
            raise FileError(f"“{folder}”中没有 leads.csv 或其中没有线索，请去掉 --leads 再回测。")
        towns = data.towns or profiles.read_towns(data_folder() / "towns")
        report = backtest(
            data.firms.frame, towns, data.events, data.existing, data.truth, k=k,
            rounds=rounds_of(data.leads) if leads else None, progress=progress,
        )  # fmt: skip
        if out is not None:
            write_run(out, report.run, data)
        return report
