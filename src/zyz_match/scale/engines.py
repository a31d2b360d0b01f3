"""Who does the tasks of a pass: this process one by one, or the workers of a Dask cluster."""

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from typing import Any

import zyz_match
from zyz_match.errors import InputError, ZyzError
from zyz_match.matching.threads import alone
from zyz_match.scale.steps import Done, Task, do
from zyz_match.scale.work import opened

LOCAL_WORKERS = 2  # processes, where no cluster is named
WAIT_SECONDS = 60  # for a scheduler, and for the first of its workers
# Workers of ours keep the memory that a task gave back, for the next one to use, and are not
# interrupted a hundred times a second to be watched
SETTINGS = {
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
    "distributed.worker.profile.enabled": False,
}
_TALKERS = ("distributed", "distributed.client", "distributed.core", "distributed.utils")
Run = Callable[[Sequence[Task]], Iterator[Done]]  # tasks -> what was done, in any order


@contextmanager
def loop() -> Iterator[Run]:
    """One task after the other, in this process."""
    yield lambda tasks: map(do, tasks)


@contextmanager
def dask(folder: str, job: str, scheduler: str | None = None) -> Iterator[Run]:
    """Tasks by the workers of a cluster, or of two processes here when no scheduler is named.

    A task whose worker dies is done again by another one. Raises InputError for a cluster that
    cannot be reached, or whose workers cannot do the job.
    """
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(distributed|dask|tornado|bokeh)\b")
        _distributed()  # sets the levels
        for name in _TALKERS:  # what matters of it we say ourselves
            log = logging.getLogger(name)
            stack.callback(log.setLevel, log.level)
            log.setLevel(logging.CRITICAL)
        client = stack.enter_context(_client(scheduler, stack))
        _check(client, folder, job)
        yield lambda tasks: _run(client, tasks)


def _run(client: Any, tasks: Sequence[Task]) -> Iterator[Done]:
    distributed = _distributed()
    futures = client.map(do_alone, tasks, pure=False)
    try:
        for _, done in distributed.as_completed(futures, loop=client.loop, with_results=True):
            if not isinstance(done, Done):  # it was cancelled, with all others
                raise ConnectionError(str(done))
            yield done
    except (OSError, distributed.client.FuturesCancelledError) as error:
        raise ZyzError(
            "与 Dask 集群断开了（调度器停了，或网络中断）。做完的分区都在，集群恢复后再运行同一"
            "命令，会接着已做完的继续。"
        ) from error
    except distributed.KilledWorker as error:
        raise ZyzError(
            "同一分区一再使工作进程中断，多半是内存不足。请给工作进程更多内存，或把 parquet "
            "的行组改小，再运行同一命令，会接着已做完的继续。"
        ) from error
    finally:
        with suppress(OSError, TimeoutError):  # nobody is there any more
            client.cancel(futures)


def do_alone(task: Task) -> Done:
    """Do a task on one thread, since every core has a worker of its own."""
    with alone():
        return do(task)


def _distributed() -> Any:
    try:
        return import_module("distributed")
    except ImportError as error:
        raise InputError(
            "--engine dask 需要扩展 dask，请先安装：pip install 'zyz-match[dask]'。"
        ) from error


def _client(scheduler: str | None, stack: ExitStack) -> Any:
    distributed = _distributed()
    if scheduler is None:
        with _interrupts_for_us(), import_module("dask").config.set(SETTINGS):
            cluster = distributed.LocalCluster(
                n_workers=LOCAL_WORKERS, threads_per_worker=1, processes=True, host="127.0.0.1",
                dashboard_address=None, memory_limit=0, silence_logs=logging.CRITICAL,
            )  # fmt: skip
        return distributed.Client(stack.enter_context(cluster), set_as_default=False)
    try:
        return distributed.Client(scheduler, timeout=WAIT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"连不上 Dask 调度器“{scheduler}”。请核对地址（如 tcp://主机:8786），并确认它已启动。"
        ) from error


@contextmanager
def _interrupts_for_us() -> Iterator[None]:
    """Children that are started here leave Ctrl+C to us, who see to their end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _check(client: Any, folder: str, job: str) -> None:
    """That there are workers, of this program, which see the folder."""
    here: dict[str, Any] = {}
    while not here:
        try:
            client.wait_for_workers(1, timeout=WAIT_SECONDS)
        except TimeoutError as error:
            raise InputError(
                "Dask 集群里没有工作进程。请先用 dask worker 启动，再运行。"
            ) from error
        found = client.run(probe, folder, job, on_error="return")
        here = {w: told for w, told in found.items() if not isinstance(told, OSError)}  # died since
    for worker, told in here.items():
        if told != zyz_match.__version__:
            raise InputError(f"工作进程 {worker} 不能参与：{_told(told)}。")


def probe(folder: str, job: str) -> str:
    """The version of the program where this runs; raises where the job cannot be seen."""
    assert opened(folder, job).job
    return zyz_match.__version__


def _told(found: Any) -> str:
    if isinstance(found, ZyzError):
        return found.message.rstrip("。")
    if isinstance(found, str):
        return f"其 zyz-match 版本为 {found}，这里是 {zyz_match.__version__}，请装同一版本"
    return f"其中没有装好 zyz-match（{found}）"
