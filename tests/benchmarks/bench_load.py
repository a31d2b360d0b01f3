"""Fifty mixed users at once: lists, searches, writes and job status, beside a bare route.

python tests/benchmarks/bench_load.py [--firms 100000] [--users 50] [--seconds 120] [--write]

Every user thinks between two requests, one second on average. The users run in one process on the
same cores as the server's two workers. Firms and towns are made up.
"""

import argparse
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks import common
from tests.benchmarks.bench_api import home, settings
from tests.benchmarks.common import Spread, Target, memory
from tests.benchmarks.material import TOWNS

WORKERS, THINK, WARM, BUDGET = "2", 1.0, 30, 1.1
LONGEST = 4.0  # seconds of thought; the server closes a connection after five without a word
LISTS, SEARCH, WRITES, JOBS = "ranked lists", "search", "writes", "job status"
SHARES = {LISTS: 60, SEARCH: 20, WRITES: 15, JOBS: 5}
BARE = "-m uvicorn tests.benchmarks.bare:app --loop uvloop --log-level warning --no-access-log"


class Done(NamedTuple):
    """One answer."""

    kind: str
    status: int
    milliseconds: float


class User:
    """Somebody at work, on one kept connection."""

    def __init__(self, port: int, seed: int) -> None:
        self.draws = random.Random(f"{seed} {time.time()}")  # what it writes is new
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, kind: str) -> Done:
        """One request of a kind, to the end of its answer."""
        method, path, body = self._request(kind)
        headers = {"Content-Type": "application/json"} if body else {}
        start = time.perf_counter()
        self.connection.request(method, path, body, headers)
        found = self.connection.getresponse()
        found.read()
        return Done(kind, found.status, 1000 * (time.perf_counter() - start))

    def _request(self, kind: str) -> tuple[str, str, str | None]:
        town, firm = f"long-{self.draws.randrange(TOWNS)}", self._firm()
        if kind == LISTS:
            limit = self.draws.choice((20, 20, 20, 50))
            return "GET", f"/v1/towns/{town}/matches?limit={limit}&include=reasons", None
        if kind == SEARCH:
            path = self.draws.choice((firm, firm, f"{firm}/towns?limit=3"))
            return "GET", f"/v1/firms/{path}", None
        if kind == WRITES:
            entry = {
                "town_id": town, "firm_id": firm,
                "stage": self.draws.choice(("recommended", "contacted", "visited")),
                "date": (date.today() - timedelta(self.draws.randrange(365))).isoformat(),
                "note": f"合成 {self.draws.random()}",
            }  # fmt: skip
            return "POST", "/v1/leads", json.dumps(entry)
        return ("GET", "/v1/jobs", None) if kind == JOBS else ("GET", "/bare", None)

    def _firm(self) -> str:
        return FIRMS[self.draws.randrange(len(FIRMS))]


FIRMS: list[str] = []


def drive(
    port: int, users: int, seconds: float, kinds: Callable[[random.Random], str]
) -> list[Done]:
    """All answers to some users, until the time is over."""
    until, done = time.perf_counter() + seconds, list[Done]()

    def work(number: int) -> None:
        user = User(port, number)
        time.sleep(user.draws.uniform(0, THINK))
        while time.perf_counter() < until:
            done.append(user.ask(kinds(user.draws)))
            time.sleep(min(LONGEST, user.draws.expovariate(1 / THINK)))

    with ThreadPoolExecutor(users) as pool:
        list(pool.map(work, range(users)))  # a user that fails ends the bench
    return done


@contextmanager
def process(command: list[str], environment: dict[str, str], path: str, port: int) -> Iterator[int]:
    """A server until the block ends; gives its process id."""
    child = subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not _answers(port, path):
            if child.poll() is not None:
                raise SystemExit("the server ended")
            time.sleep(0.2)
        yield child.pid
    finally:
        child.terminate()
        child.wait()


def _answers(port: int, path: str) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False


def free_port() -> int:
    """A port nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as some:
        return int(some.getsockname()[1])


def own_memory(parent: int, wait: float = 0) -> float:
    """Megabytes of their own of a process and of its children, some seconds later."""
    time.sleep(wait)
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text("ascii").split()
    return sum(memory("RssAnon", process) for process in (parent, *map(int, children)))


def firm_ids(folder: Path) -> list[str]:
    """Some firms of the store."""
    from zyz_match.storage.store import Store

    with Store.open(f"sqlite:///{folder / 'zyz.db'}") as store:
        return [f.firm_id for f in store.firm_page(None, 2000)]


def main() -> int:
    """Measure, print, and with --write keep the figures in docs/benchmarks.md."""
    options = argparse.ArgumentParser()
    options.add_argument("--firms", type=int, default=100_000)
    options.add_argument("--users", type=int, default=50)
    options.add_argument("--seconds", type=float, default=120)
    options.add_argument("--write", action="store_true")
    given = options.parse_args()
    folder, port = home(given.firms), free_port()
    FIRMS.extend(firm_ids(folder))
    mixed = [kind for kind, share in SHARES.items() for _ in range(share)]
    command = [sys.executable, "-m", "zyz_match", "serve", "--workers", WORKERS]
    environment = {"ZYZ_HOME": str(folder), "ZYZ_PORT": str(port), "ZYZ_RATE": "100000/minute"}
    with process(command, environment, "/v1/healthz", port) as parent:
        drive(port, given.users, WARM, lambda draws: draws.choice(mixed))
        with ThreadPoolExecutor(1) as pool:
            early = pool.submit(own_memory, parent, given.seconds / 4)
            done = drive(port, given.users, given.seconds, lambda draws: draws.choice(mixed))
            before, after = early.result(), own_memory(parent)
    port = free_port()
    command = [sys.executable, *BARE.split(), "--workers", WORKERS, "--port", str(port)]
    with process(command, {"PYTHONPATH": str(ROOT)}, "/bare", port):
        plain = drive(port, given.users, 20, lambda draws: "bare")
    return report(given, done, Spread.of(d.milliseconds for d in plain), before, after)


def report(
    given: argparse.Namespace, done: list[Done], plain: Spread, before: float, after: float
) -> int:
    """Print what came out; 1 when an answer failed or memory grew."""
    kinds = defaultdict(list)
    for d in done:
        kinds[d.kind].append(d.milliseconds)
    spreads = {name: Spread.of(kinds[name]) for name in SHARES} | {
        "all": Spread.of(d.milliseconds for d in done), "a bare route": plain,
    }  # fmt: skip
    rows = [
        (n, f"{s.median:.1f}", f"{s.p99:.1f}", f"{s.median / plain.median:.1f}",
         f"{s.p99 / plain.p99:.1f}")
        for n, s in spreads.items()
    ]  # fmt: skip
    failed = Counter(d.status for d in done if d.status >= 500)
    statuses = Counter(d.status for d in done)
    lines = [
        f"`zyz-match serve --workers {WORKERS}`, SQLite, {given.firms:,} made-up firms, "
        f"{given.users} users for {given.seconds:.0f} s with {THINK:.0f} s of thought on average: "
        f"{len(done):,} answers, {len(done) / given.seconds:.0f} a second "
        f"({', '.join(f'{n} x {s}' for s, n in sorted(statuses.items()))}).",
        "",
        *common.table("asked for | median ms | p99 ms | median x bare | p99 x bare", rows),
        "",
        f"Memory of the workers' own: {before:,.0f} MB after a quarter of the time, "
        f"{after:,.0f} MB at the end.",
        "",
        *common.targets([
            Target.most("answers of 5xx", sum(failed.values()), 0, ""),
            Target.most("memory at the end / after a quarter", after / before, BUDGET),
        ]),
    ]  # fmt: skip
    common.report("Load", common.command(), lines, write=given.write)
    return 1 if failed or after > BUDGET * before else 0


if __name__ == "__main__":
    settings()
    sys.exit(main())
