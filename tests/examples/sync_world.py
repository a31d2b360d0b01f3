"""Real processes, any of which may be killed: zyz-match, the stand-in of a CRM, a sync."""

import atexit
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx2

from tests.api.api_world import firm_rows, make_world

ROOT = Path(__file__).parents[2]
KILLS = 20
LISTS = {3: "syn-silk", 9: "syn-ceramics"}  # published before these kills
WAYS = (  # what happens to a lead, in our words
    ("contacted", "negotiating", "signed"),
    ("contacted", "lost"),
    ("negotiating",),
    ("contacted", "negotiating", "no_interest"),
)
Json = dict[str, Any]
Pair = tuple[str, str]  # town and firm
Lead = tuple[str, Pair, str]  # id, of whom, our stage


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def base_environment() -> dict[str, str]:
    """What a process of ours finds in its environment besides its own settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ZYZ_", "SYNC_", "MATCH_"))}
    return kept | {"PYTHONUTF8": "1"}


@cache
def _template() -> Path:
    """A home with the synthetic world; fitting its index costs time, so there is one a process."""
    folder = tempfile.mkdtemp(prefix="zyz-world-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    make_world(Path(folder) / "home", firm_rows())
    return Path(folder) / "home"


def synthetic_home(folder: Path) -> Path:
    """A home of its own with the synthetic world, in a folder."""
    return Path(shutil.copytree(_template(), folder / "home"))


def answers(url: str) -> bool:
    """Whether somebody answers there, whatever it is."""
    try:
        httpx2.get(url, timeout=2)
    except httpx2.ReadError:
        return True
    except httpx2.TransportError:
        return False
    return True


@dataclass
class Program:
    """A process that can be killed and started again."""

    command: list[str]
    environment: dict[str, str]
    log: Path
    url: str = ""  # answers once it is ready
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.command], env=self.environment, cwd=ROOT,
                stdout=log, stderr=log,
            )  # fmt: skip
        for _ in range(600):
            if not self.url or answers(self.url):
                return
            assert self.process.poll() is None, self.log.read_text("utf-8")
            time.sleep(0.05)
        raise AssertionError(self.log.read_text("utf-8"))

    def kill(self) -> None:
        """Kill it at once; it must not have ended by itself."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text("utf-8")
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@dataclass
class Side:
    """A CRM as its users see it."""

    script: str  # of the sync
    fake: str  # of the stand-in
    environment: Callable[[str], dict[str, str]]  # of the sync, by the address of the stand-in
    leads: Callable[[str], list[Lead]]  # of the stand-in at an address
    move: Callable[[str, str, str], None]  # address, id, our stage: what a user does


def persistently(work: Callable[[], Any]) -> Any:
    """What a user does who tries again when the other side is away or did not answer."""
    for _ in range(200):
        try:
            return work()
        except httpx2.TransportError:
            time.sleep(0.05)
    raise AssertionError("no answer in ten seconds")


class World:
    """Everything at work."""

    def __init__(self, side: Side, folder: Path, lose: float) -> None:
        self.side = side
        home = synthetic_home(folder)
        base = base_environment()
        port, crm_port = free_port(), free_port()
        self.url, self.crm_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{crm_port}"
        self.zyz = Program(
            ["-m", "zyz_match", "serve"], base | {"ZYZ_HOME": str(home), "ZYZ_PORT": str(port)},
            folder / "zyz.log", f"{self.url}/v1/healthz",
        )  # fmt: skip
        fake = str(ROOT / "tests" / "examples" / side.fake)
        self.crm = Program(
            [fake, str(crm_port), str(folder / "crm.db")], base | {"LOSE": str(lose)},
            folder / "crm.log", self.crm_url,
        )  # fmt: skip
        told = {"MATCH_URL": self.url, "SYNC_STATE": str(folder / "sync.db"), "SYNC_GRACE": "0.5"}
        self._script = str(ROOT / "examples" / side.script)
        self._told = base | told | side.environment(self.crm_url)
        self.sync = Program([self._script, "--every", "0.05"], self._told, folder / "sync.log")
        self.http = httpx2.Client(base_url=self.url, timeout=20)

    def post(self, path: str, body: Json) -> Json:
        """What an official does in zyz-match."""
        return self._answered(lambda: self.http.post(path, json=body))

    def get(self, path: str, **params: Any) -> Json:
        """What zyz-match says."""
        return self._answered(lambda: self.http.get(path, params=params))

    @staticmethod
    def _answered(work: Callable[[], Any]) -> Json:
        answer = persistently(work)
        assert answer.status_code < 300, answer.text
        found: Json = answer.json()
        return found

    def record(self, pair: Pair, stage: str, ago: int = 0) -> None:
        """What an official writes down, of some days ago."""
        day = (datetime.now(UTC) - timedelta(days=ago)).date().isoformat()
        town_id, firm_id = pair
        body = {"town_id": town_id, "firm_id": firm_id, "stage": stage, "date": day}
        self.post("/v1/leads", body)

    def publish(self, town_id: str, limit: int) -> list[str]:
        """Rank and publish; the firms of the list."""
        ranked = self.get(f"/v1/towns/{town_id}/matches", limit=limit)
        self.post(f"/v1/lists/{ranked['shortlist_id']}:publish", {})
        return [m["firm"]["firm_id"] for m in ranked["items"]]

    def round(self, **other: str) -> str:
        """One round of the sync: what it complains of, "" when it came to its end."""
        done = subprocess.run(
            [sys.executable, self._script], env=self._told | other, cwd=ROOT,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done.stderr if done.returncode else ""

    def once(self) -> None:
        """A round to its end, however often it takes (answers get lost)."""
        assert any(not self.round() for _ in range(60))

    def leads(self, town_id: str = "") -> list[Lead]:
        """The leads of the CRM, of one town or all."""
        found: list[Lead] = persistently(lambda: self.side.leads(self.crm_url))
        return [lead for lead in found if town_id in ("", lead[1][0])]

    def move(self, crm_id: str, stage: str) -> None:
        """A user moves a lead."""
        persistently(lambda: self.side.move(self.crm_url, crm_id, stage))

    def entries(self, town_id: str = "") -> list[Json]:
        """What zyz-match wrote down and still stands, of one town or all."""
        found: list[Json] = []
        page = self.get("/v1/leads", limit=200)
        found += page["items"]
        while page["next_cursor"]:
            page = self.get("/v1/leads", limit=200, cursor=page["next_cursor"])
            found += page["items"]
        return [e for e in found if e["effective"] and town_id in ("", e["town_id"])]


@contextmanager
def world(side: Side, folder: Path, lose: float = 0.0) -> Iterator[World]:
    """All three, running but for the sync; none is left behind.

    `lose` is the share of requests that the stand-in does and does not answer.
    """
    made = World(side, folder, lose)
    try:
        made.zyz.start()
        made.crm.start()
        yield made
    finally:
        for program in (made.sync, made.crm, made.zyz):
            program.stop()
        made.http.close()


def survives_being_killed(side: Side, folder: Path) -> None:
    """Kill either side and the sync again and again while work goes on, then compare both."""
    chance = random.Random(20261126)
    with world(side, folder, lose=0.05) as at:
        pairs = {("syn-casting", f) for f in at.publish("syn-casting", 10)}
        at.once()
        made = sorted(at.leads())
        by_users = [(i, pair, list(WAYS[n % 4])) for n, (i, pair, _) in enumerate(made[:7])]
        by_officials = [pair for _, pair, _ in made[7:]]
        final = {pair: way[-1] for _, pair, way in by_users}
        at.sync.start()
        for n in range(KILLS):
            for crm_id, _, way in chance.sample(by_users, 3):
                if way:
                    at.move(crm_id, way.pop(0))
            if n in LISTS:
                pairs |= {(LISTS[n], f) for f in at.publish(LISTS[n], 10)}
            if n in (5, 8, 11):
                at.record(by_officials[n // 3 - 1], "visited")
            time.sleep(chance.uniform(0.02, 0.6))
            killed = [at.sync]
            killed += [at.crm] if n % 3 == 1 else []
            killed += [at.zyz] if n in (6, 14) else []
            for program in killed:
                program.kill()
            for program in reversed(killed):
                program.start()
        at.sync.kill()
        for crm_id, _, way in by_users:
            for stage in way:
                at.move(crm_id, stage)
        time.sleep(0.6)  # as long as a try without an answer rests
        at.once()
        at.once()
        _compare(at, pairs, final, by_officials)


def _compare(at: World, pairs: set[Pair], final: dict[Pair, str], by_officials: list[Pair]) -> None:
    times = Counter(pair for _, pair, _ in at.leads())
    assert set(times) == pairs, "a lead is missing or nobody asked for it"
    assert set(times.values()) == {1}, "a lead was made twice"
    stages = {pair: stage for _, pair, stage in at.leads()}
    entries = at.entries()
    steps = Counter((e["town_id"], e["firm_id"], e["stage"]) for e in entries)
    assert set(steps.values()) == {1}, "an entry was written twice"
    newest: dict[Pair, str] = {}
    for e in reversed(entries):  # the newest comes first
        newest[e["town_id"], e["firm_id"]] = e["stage"]
    for pair, stage in final.items():
        assert (stages[pair], newest[pair]) == (stage, stage), "what users did did not arrive"
    for pair in by_officials:
        assert (stages[pair], newest[pair]) == ("contacted", "visited"), "what officials did"
    assert set(newest) == {*final, *by_officials}


@contextmanager
def served(folder: Path, key_name: str, **more: str) -> Iterator[tuple[str, str, Path]]:
    """Address and key of a real server that asks for one, and its data folder.

    `more` are further settings.
    """
    home, port = synthetic_home(folder), free_port()
    environment = base_environment() | {"ZYZ_HOME": str(home), "ZYZ_PORT": str(port)} | more
    added = subprocess.run(
        [sys.executable, "-m", "zyz_match", "key", "add", key_name, "--role", "admin"],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    key = re.search(r"zyz_\S+", added.stdout)
    assert key
    url = f"http://127.0.0.1:{port}"
    server = Program(
        ["-m", "zyz_match", "serve"], environment, folder / "serve.log", f"{url}/v1/healthz"
    )
    server.start()
    try:
        yield url, key[0], home
    finally:
        server.stop()
