"""The desk for the index: mapped from disk, brought up to date firm by firm, or built anew.

A list is always made from the firms as they are now. After a small import the new firms are laid
out beside the index that is there, at once, while a process of its own builds the whole anew; the
lists change over to it when it is done. Such a list says "state~count" for its data: the scores are
by what the older index of that count had learnt.
"""

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zyz_match
from zyz_match.domain import LATE, Col
from zyz_match.errors import InputError, StorageError
from zyz_match.progress import Progress, silent
from zyz_match.settings import Settings
from zyz_match.storage.flat import Shelf
from zyz_match.storage.locks import held, is_held
from zyz_match.storage.registry import Registry
from zyz_match.storage.store import Contents, Store

if TYPE_CHECKING:  # loaded where used: an import needs no mathematics
    from zyz_match.matching.index import Index

LOG = logging.getLogger(__name__)
KEPT_INDEXES = 3
RETRY_MOST = 600.0  # seconds between two tries to build
LATE_FIRMS, LATE_SHARE = 5_000, 0.1  # so many firms, or that share, do not wait for a build
LANES = 2  # questions that are computed at once (docs/decisions/0023)
SAMPLE = 5_000  # firms from which the cost of a build is estimated
_PROGRAM = 350_000_000  # bytes that a process has with all libraries, before it holds a firm
_LOCK = "building.lock"
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


@dataclass(frozen=True, slots=True)
class Served:
    """An index, the state of the store that it shows, and the newest file when it was made."""

    index: "Index"
    data: str
    file: str

    @property
    def whole(self) -> bool:
        """Whether all its firms were laid out together."""
        return self.index.stamp == self.data


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One index on disk."""

    data: str  # state of the store
    firms: int
    segments: int
    bytes: int
    built_at: str  # RFC 3339, UTC
    seconds: float  # that the building took
    path: str


@dataclass(frozen=True, slots=True)
class IndexReport:
    """The newest usable index on disk, and what is wrong with newer ones."""

    data: str  # present state of the store
    firms: int  # in the store
    file: IndexFile | None
    faults: tuple[str, ...]  # Chinese


@dataclass(frozen=True, slots=True)
class Estimate:
    """What building an index takes, extrapolated from a sample of the store's own firms."""

    firms: int
    sample: int  # firms that were measured
    bytes: int  # on disk
    memory: int  # bytes at the peak, the program itself included
    seconds: float


class IndexDesk:
    """The index of the firms of one store."""

    worker: tuple[str, ...] = (sys.executable, "-P", "-m", "zyz_match", "worker")
    late_from = 5_000  # firms: fewer are all laid out anew before somebody notices
    tick = 0.2  # seconds between two looks for an index that another process builds
    retry = 10.0  # seconds until a build that failed is tried again, then twice as many, and so on

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self._lock = threading.Lock()
        self._lane = threading.BoundedSemaphore(LANES)
        self._served: Served | None = None  # what lists are made from
        self._whole: Served | None = None  # the last one that was whole
        self._follower: threading.Thread | None = None
        self._closed = False

    def index(self, *, whole: bool = False, progress: Progress = silent) -> "Index":
        """The index of the firms as they are now, built only when too much has changed.

        With `whole` also the newest firms are laid out with all others, which may take the time of
        a build; any two processes then have the same index.
        """
        with self._lock:
            stamp, now = self.store.data_stamp(), self._served
            if now is None or now.data != stamp or (whole and not now.whole):
                now = self._serve(self._found(stamp, whole, progress))
                if now.whole:
                    self._whole = now
                elif self._follower is None:
                    self._follower = threading.Thread(target=self._follow, daemon=True)
                    self._follower.start()
            return now.index

    def close(self) -> None:
        """Have nothing built any more; a build under way is not waited for."""
        self._closed = True

    def _found(self, stamp: str, whole: bool, progress: Progress) -> Served:
        return self._kept(stamp, progress) or self._updated(whole) or self._built(progress)

    # on disk ---------------------------------------------------------------------------------

    @property
    def _shelf(self) -> Shelf:
        from zyz_match.matching.index import Index

        return Shelf(self.settings.index, ".index", Index.FORMAT)

    def _kept(self, stamp: str, progress: Progress = silent) -> Served | None:
        """The index of a state from disk; None when there is none, or none undamaged."""
        about = {"data": stamp, "program": zyz_match.__version__}
        name = self._shelf.latest(about, lambda fault: progress(fault, 0, 1))
        if name is None:
            return None
        try:
            return self._opened(name)
        except StorageError as error:  # no loss: it is built anew
            progress(error.message, 0, 1)
            return None

    def _opened(self, name: str) -> Served:
        from zyz_match.matching.index import Index

        index = Index.from_parts(*self._shelf.open(name))
        return Served(index, index.stamp, name)

    # brought up to date ----------------------------------------------------------------------

    def _updated(self, whole: bool) -> Served | None:
        """An earlier index with what changed since; None when that is too much, or not known."""
        for data, firms, load in self._earlier():
            late = firms >= self.late_from and not whole
            most = max(LATE_FIRMS, int(LATE_SHARE * firms)) if late else 0
            changes = self.store.changes_since(data, most)
            if changes is None:
                continue
            with contextlib.suppress(StorageError):
                base = load()
                if len(gone := _gone(base.index, changes)) <= most:
                    return _with(base, changes, gone)
        return None

    def _earlier(self) -> Iterator[tuple[str, int, Callable[[], Served]]]:
        """State, firms and the way to each whole index that there is, newest first."""
        shelf, known = self._shelf, self._whole
        for name in reversed(shelf.names()):
            if known is not None and name <= known.file:
                break
            if about := self._about(shelf, name):
                yield about["data"], about["firms"], partial(self._opened, name)
        if known is not None:
            yield known.data, len(known.index), lambda: known

    def _about(self, shelf: Shelf, name: str) -> Mapping[str, Any]:
        """What a file says of itself; {} when it is of no use to this program."""
        with contextlib.suppress(StorageError):
            about = shelf.label(name).about
            if about.get("program") == zyz_match.__version__:
                return about
        return {}

    # built -----------------------------------------------------------------------------------

    def _built(self, progress: Progress) -> Served:
        """The index as it is now, built by one process while the others wait for it."""
        if is_held(self._building):
            progress("等待另一进程计算企业特征", 0, 1)
        with held(self._building):
            return self._kept(self.store.data_stamp()) or self._build(progress)

    @property
    def _building(self) -> Path:
        return self.settings.index / _LOCK

    def _build(self, progress: Progress) -> Served:
        built, seconds = self._fitted(progress)
        with contextlib.suppress(StorageError):  # a full or read-only disk keeps no list back
            return self._opened(self._save(built, seconds, progress))
        return built

    def _fitted(self, progress: Progress) -> tuple[Served, float]:
        """A new index in memory, and the seconds that it took."""
        from zyz_match.matching.index import Index

        began = time.monotonic()
        contents = self.store.contents(lambda done, total: progress("读取企业", done, total))
        progress("计算企业特征", 0, 1)
        index = Index(contents.stamp).fit(contents.firms, events=contents.events)
        progress("计算企业特征", 1, 1)
        newest = self._shelf.names()[-1:]
        return Served(index, contents.stamp, "".join(newest)), time.monotonic() - began

    def _save(self, built: Served, seconds: float, progress: Progress) -> str:
        """Keep an index; its name. StorageError when the disk refuses."""
        progress("保存索引", 0, 1)
        self._shelf.sweep()  # who builds is the only one who writes here
        about = {
            "data": built.data, "program": zyz_match.__version__, "firms": len(built.index),
            "seconds": round(seconds, 3),
        }  # fmt: skip
        name = self._shelf.save(*built.index.parts(), about)
        self._shelf.prune(KEPT_INDEXES)
        Registry(self.settings.index).prune(0)  # what earlier programs kept here
        progress("保存索引", 1, 1)
        return name

    # changing over ---------------------------------------------------------------------------

    def _follow(self) -> None:
        """Have the whole index built by a process of its own, and serve it when it is there.

        Of many processes on one store, one builds. What fails is tried again, ever later.
        """
        child: subprocess.Popen[bytes] | None = None
        tried, again, pause = "", 0.0, self.retry
        while (now := self._late()) is not None:
            building = self._goes_on(child)
            if (whole := self._kept(now.data)) is not None:
                self._change_over(whole)
            elif not building and (tried != now.data or time.monotonic() >= again):
                if tried == now.data:
                    pause = min(2 * pause, RETRY_MOST)
                    LOG.warning("index %s is not built, tried again", now.data)
                else:
                    tried, pause = now.data, self.retry
                again = time.monotonic() + pause
                with contextlib.suppress(OSError):
                    child = self._spawn("--index")
            time.sleep(self.tick)
        if child is not None:
            child.wait()

    def _late(self) -> Served | None:
        """What is served, while a whole one is to be had for it; None ends the follower."""
        with self._lock:
            now = self._served
            if self._closed or now is None or now.whole:
                self._follower = now = None
            return now

    def _goes_on(self, child: "subprocess.Popen[bytes] | None") -> bool:
        """Whether anybody builds."""
        return is_held(self._building) or (child is not None and child.poll() is None)

    def _change_over(self, whole: Served) -> None:
        with self._lock:
            if self._whole is None or self._whole.file < whole.file:
                self._whole = whole
            if self._served is not None and self._served.data == whole.data:
                self._serve(whole)

    def _serve(self, new: Served) -> Served:
        """Make lists from another index; what was worked out for the last one lets go of it."""
        if self._served is not None and self._served.index is not new.index:
            self._served.index.forget()
        self._served = new
        return new

    def _spawn(self, *words: str) -> "subprocess.Popen[bytes]":
        """Start a worker that outlives this process."""
        return subprocess.Popen(
            [*self.worker, *words], env=self._child_environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def _child_environment(self) -> dict[str, str]:
        ours = {k: v for k, v in os.environ.items() if not k.startswith("ZYZ_")}
        return ours | self.settings.environment | _ONE_THREAD | {"PYTHONUTF8": "1"}

    # looked at -------------------------------------------------------------------------------

    def index_report(self) -> IndexReport:
        """The newest usable index on disk, checked in full."""
        shelf, faults, file = self._shelf, list[str](), None
        for name in reversed(shelf.names()):
            try:
                self._opened(name)
                file = _described(shelf, name)
                break
            except StorageError as error:
                faults.append(error.message)
        return IndexReport(self.store.data_stamp(), self.store.firm_count(), file, tuple(faults))

    def estimate_index(self, firms: int | None = None, *, progress: Progress = silent) -> Estimate:
        """What a build for so many firms, or those of the store, takes, from a sample of them.

        Raises InputError when there is no firm to go by, or `firms` is below one.
        """
        from zyz_match.matching import cost

        count = self.store.firm_count() if firms is None else firms
        if not self.store.firm_count():
            raise InputError("企业库中还没有企业，无从估算；请先用 zyz-match import 导入企业名单。")
        if count < 1:
            raise InputError(f"企业数应为正整数，现为 {count}。")
        progress("试算样本", 0, 1)
        began = time.monotonic()
        sample = self.store.firm_table(limit=SAMPLE)
        reading = (time.monotonic() - began) / len(sample)
        small, large = (cost.measure(sample[: -(-len(sample) // n)]) for n in (2, 1))
        found = cost.expected(small, large, count)
        progress("试算样本", 1, 1)
        seconds = found.seconds + reading * count
        return Estimate(count, len(sample), found.bytes, found.memory + _PROGRAM, seconds)

    def rebuild_index(self, *, progress: Progress = silent) -> IndexReport:
        """Build the index now, whatever there is; StorageError when it cannot be kept."""
        with held(self._building):
            name = self._save(*self._fitted(progress), progress)
        whole = self._opened(name)
        with self._lock:
            self._whole = self._serve(whole)
        return self.index_report()


def _gone(index: "Index", changes: Contents) -> list[str]:
    """The ids of the firms of an index that are no more."""
    if changes.ids is None:
        return []
    ids = index.frame[Col.FIRM_ID]
    found: list[str] = ids[~ids.isin(changes.ids)].tolist()
    return found


def _with(base: Served, changes: Contents, gone: Sequence[str]) -> Served:
    """A whole index with the firms that changed since, without those gone, and all events."""
    if changes.firms.empty and not gone:  # events are counted alike whenever they come
        index = base.index.with_events(changes.events, stamp=changes.stamp)
    else:
        stamp = f"{changes.stamp}{LATE}{base.data.partition('-')[0]}"
        index = base.index.updated(changes.firms, gone, events=changes.events, stamp=stamp)
    return Served(index, changes.stamp, base.file)


def _described(shelf: Shelf, name: str) -> IndexFile:
    label = shelf.label(name)
    return IndexFile(
        label.about["data"], label.about["firms"], label.meta["segments"], label.size,
        label.written_at.isoformat(), label.about["seconds"], str(shelf.path(name)),
    )  # fmt: skip
