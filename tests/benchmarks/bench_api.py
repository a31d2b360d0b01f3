"""How fast does the interface answer: a real server over many firms, 50 explained matches a list.

python tests/benchmarks/bench_api.py [--firms 1000000] [--rounds 5] [--write]
"""

import argparse
import hashlib
import http.client
import itertools
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response

sys.path.insert(0, str(Path(__file__).parents[2]))

from api.main import create_app
from api.permissions import EVERYBODY, RULES, TABLE, Rule, Table
from tests.benchmarks import common
from tests.benchmarks.common import Spread, Target, milliseconds
from tests.benchmarks.corpus import CACHE, SEED, Corpus, kept
from tests.benchmarks.making import version
from tests.benchmarks.material import TERMS, TOWNS, names
from zyz_match.matching.model import Model
from zyz_match.matching.pool import candidates
from zyz_match.service import KEPT_LISTS, Service
from zyz_match.settings import Settings, load_settings

ITEMS, PART = 50, 100_000
CONNECTIONS, SECONDS = 8, 15.0
NEW, AGAIN = "50 explained matches, made anew", "50 explained matches, asked for again"
RANKED = "as many, ranked anew as well"  # of what is made anew the ranking is kept (decision 23)
LENGTHS = 1 + KEPT_LISTS // TOWNS  # of so many lists a town none is kept until its next turn
READY, KERNEL = "ready body of that size", "score and top 50 alone"
BODY = "ZYZ_TEST_BODY"  # bytes of the ready body
BENCH = {
    ("GET", f"/bench/{name}"): Rule(EVERYBODY) for name in ("ready", "kernel/{town_id}", "worker")
}  # beside the product's own rows: what has no row is nobody's


def settings() -> Settings:
    """Those of the environment; where benches keep things is none of the product's."""
    return load_settings({k: v for k, v in os.environ.items() if k != CACHE})


def application() -> FastAPI:
    """The product's application, and beside it what it is held against."""
    vars(TABLE).update(vars(Table(RULES | BENCH)))
    app = create_app(settings())
    body = b"x" * int(os.environ[BODY])

    @app.get("/bench/ready")
    async def ready() -> Response:
        return Response(body, media_type="application/json")

    @app.get("/bench/kernel/{town_id}")
    def kernel(town_id: str) -> float:
        service: Service = app.state.service
        index, town = service.index(), service.town(town_id)
        return milliseconds(lambda: Model().score(town, index).best(ITEMS, candidates(index, town)))

    @app.get("/bench/worker")
    def worker() -> int:
        return os.getpid()

    return app


def home(firms: int) -> Path:
    """A data folder with the firms and the towns, made once, and an index that is not stale."""
    folder = kept(
        f"served-{firms}-{SEED}", "", lambda to: run("--fill", str(firms), ZYZ_HOME=str(to))
    )
    mark = folder / "version"
    if not mark.exists() or mark.read_text("utf-8") != version():
        shutil.rmtree(folder / "index", ignore_errors=True)
        run("--index", ZYZ_HOME=str(folder))
        mark.write_text(version(), "utf-8")
    return folder


def run(*arguments: str, **environment: str) -> None:
    """This script in a process of its own, to its end."""
    subprocess.run([sys.executable, __file__, *arguments], env=os.environ | environment, check=True)


def fill(firms: int) -> None:
    """Import the firms part by part, and the towns."""
    corpus = Corpus()
    with Service.open(settings(), seed=False) as service:
        for low in range(0, firms, PART):
            frame = corpus.table(low, min(firms, low + PART)).to_pandas()
            name = f"made-up-{low}"
            service.store.import_firms(
                frame, None, file_name=name, file_hash=hashlib.sha256(name.encode()).hexdigest()
            )
        for name in names("long"):
            service.put_town(corpus.town(name, TERMS["long"]))


@contextmanager
def server(folder: Path, workers: int, body: int) -> Iterator[int]:
    """A server on a free port until the block ends; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as some:
        port = some.getsockname()[1]
    environment = {"ZYZ_HOME": str(folder), "ZYZ_PORT": str(port), BODY: str(body)}
    command = [sys.executable, __file__, "--serve", str(workers)]
    child = subprocess.Popen(command, env=os.environ | environment)
    try:
        wait_for(child, port)
        yield port
    finally:
        child.terminate()
        child.wait()


def serve(workers: int) -> None:
    """Until it is told to stop."""
    uvicorn.run(
        "tests.benchmarks.bench_api:application", factory=True, workers=workers, loop="auto",
        port=settings().port, log_level="warning", access_log=False, server_header=False,
        timeout_worker_healthcheck=60,  # longer than loading takes on a busy machine
        app_dir=str(Path(__file__).parents[2]),
    )  # fmt: skip


def wait_for(child: subprocess.Popen[bytes], port: int) -> None:
    """Until it answers."""
    while child.poll() is None:
        try:
            Client(port).get("/bench/ready")
            return
        except OSError:
            time.sleep(0.25)
    raise SystemExit("the server ended")


class Client:
    """One kept connection."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def get(self, path: str) -> bytes:
        """The body of an answer that is well."""
        self.connection.request("GET", path)
        found = self.connection.getresponse()
        body = found.read()
        if found.status != 200:
            raise SystemExit(f"{path}: {found.status} {body.decode()}")
        return body


_COUNTER = itertools.count()


def matches(town: str, *, new: bool, items: int = ITEMS) -> str:
    """The path of a list; a new one is written as none of late, so that no answer is ready."""
    zeros = "0" * (1 + next(_COUNTER) % 97) if new else ""
    return f"/v1/towns/{town}/matches?limit={zeros}{items}&include=reasons"


def latency(port: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each kind of answer, in turn, town by town, on one connection."""
    client = Client(port)
    taken = defaultdict(list)
    for r in range(rounds + 1):
        for town in names("long"):
            found = {
                NEW: milliseconds(partial(client.get, matches(town, new=True))),
                AGAIN: milliseconds(partial(client.get, matches(town, new=False))),
                READY: milliseconds(partial(client.get, "/bench/ready")),
                KERNEL: float(client.get(f"/bench/kernel/{town}")),
            }
            for name, some in found.items() if r else ():
                taken[name].append(some)
    for r in range(rounds + 1):  # by themselves: they push the kept lists out
        for town in names("long"):
            path = matches(town, new=True, items=ITEMS + r % LENGTHS)
            some = milliseconds(partial(client.get, path))
            if r:
                taken[RANKED].append(some)
    return taken


def throughput(port: int, workers: int) -> float:
    """New lists a second, over some connections at once, once all workers answer."""
    seen: set[bytes] = set()
    while len(seen) < workers:
        seen.add(Client(port).get("/bench/worker"))
    until = time.perf_counter() + SECONDS
    done = []

    def ask(first: int) -> None:
        client, i = Client(port), first
        while time.perf_counter() < until:
            client.get(matches(f"long-{i % TOWNS}", new=True))
            done.append(time.perf_counter())
            i += 1

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(CONNECTIONS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(done) / (max(done) - start)


def size(folder: Path) -> int:
    """Bytes of a list."""
    with server(folder, 1, 1) as port:
        return len(Client(port).get(matches("long-0", new=False)))


def main() -> None:
    """Measure, print, and with --write keep the figures in docs/benchmarks.md."""
    options = argparse.ArgumentParser()
    options.add_argument("--firms", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--write", action="store_true")
    given = options.parse_args()
    folder = home(given.firms)
    body = size(folder)
    with server(folder, 1, body) as port:
        taken = latency(port, given.rounds)
        one = throughput(port, 1)
    with server(folder, 2, body) as port:
        two = throughput(port, 2)
    spreads = {name: Spread.of(times) for name, times in taken.items()}
    rows = [(name, f"{s.median:.2f}", f"{s.p99:.2f}") for name, s in spreads.items()]
    least = spreads[KERNEL].median + 1.5 * spreads[READY].median
    lines = [
        f"uvicorn, one worker, one connection, {given.firms:,} made-up firms; a list of {ITEMS} "
        f"with reasons has {body:,} bytes.",
        "",
        *common.table("answer | median ms | p99 ms", rows),
        "",
        f"{CONNECTIONS} connections at once for {SECONDS:.0f} s, client on the same cores: "
        f"{one:.1f} new lists/s with one worker, {two:.1f} with two.",
        "",
        *common.targets(
            [
                Target.most(
                    f"{name}, median, against the kernel's + 1.5 x that of a ready body",
                    spreads[name].median, round(least, 2), "ms",
                )
                for name in (NEW, AGAIN, RANKED)
            ]
            + [
                Target.least("two workers / one, new lists a second", two / one, 1.8),
            ]
        ),
    ]  # fmt: skip
    common.report("Interface", common.command(), lines, write=given.write)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--fill", firms]:
            fill(int(firms))
        case ["--index"]:
            Service.open(settings(), seed=False).index()
        case ["--serve", workers]:
            serve(int(workers))
        case _:
            main()
