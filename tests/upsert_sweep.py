"""Upserts, leads and events sent to a server that is killed again and again, then looked for.

Several senders, each with records of its own, send every request until it is acknowledged, always
under the same Idempotency-Key, and note what was. At the end the store must hold exactly that.
"""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from zyz_match.domain import ExternalId
from zyz_match.profiles import town_from
from zyz_match.storage.listing import Listing
from zyz_match.storage.store import Store
from zyz_match.storage.tables import change

ROOT = Path(__file__).parents[1]
SENDERS = 3
STAGES = ("recommended", "contacted", "visited", "negotiating", "signed")


@dataclass
class Server:
    """The parent of the servers, and the one that serves now."""

    process: "subprocess.Popen[str]"
    port: int
    pids: list[int] = field(default_factory=list)


@contextmanager
def running(home: Path, database_url: str) -> Iterator[Server]:
    """A server that comes back when it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.killed_server", str(home), database_url],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    server = Server(process, int(process.stdout.readline()))

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            server.pids.append(int(line))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield server
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()


@dataclass
class Sender:
    """One sender: what it says next, and what was acknowledged."""

    number: int
    port: int
    rng: random.Random
    firms: dict[str, dict[str, Any]] = field(default_factory=dict)  # external id -> content
    leads: dict[str, list[str]] = field(default_factory=dict)  # firm -> stages acknowledged
    events: dict[str, int] = field(default_factory=dict)  # firm -> amount of its event
    firm_calls: int = 0
    sent: int = 0
    repeats: int = 0  # times that a request was sent once more

    def step(self) -> None:
        """One request until it is acknowledged."""
        kinds = ["firm", "firm", "lead", "event", "plain"] if self.firms else ["firm"]
        getattr(self, f"_{self.rng.choice(kinds)}")()
        self.sent += 1

    def _firm(self) -> None:
        if self.firms and self.rng.random() < 0.4:
            key = self.rng.choice(list(self.firms))
            content = self.firms[key] | {"employees": self.firms[key]["employees"] + 1}
        else:
            key = f"{self.number}-{len(self.firms)}"
            content = {"name": f"合成{key}公司", "employees": 1}
        item = content | {"external": {"system": "crm", "object": "Account", "id": key}}
        done = self._post("/v1/firms:upsert", {"items": [item]})
        assert done["rejected"] == 0, done
        assert done["results"][0]["id"] == content["name"], done
        self.firms[key] = content
        self.firm_calls += 1

    def _lead(self) -> None:
        firm = self._some_firm()
        said = self.leads.setdefault(firm, [])
        if len(said) == len(STAGES):
            return
        stage = STAGES[len(said)]
        item = {"external": {"system": "crm", "object": "Lead", "id": firm}, "town_id": "t",
                "firm_id": firm, "stage": stage, "date": "2025-03-01"}  # fmt: skip
        done = self._post("/v1/leads:upsert", {"items": [item]})
        assert done["rejected"] == 0, done
        said.append(stage)

    def _event(self) -> None:
        firm = self._some_firm()
        amount = self.events.get(firm, 0) + 1
        item = {"external": {"system": "crm", "object": "Event", "id": firm}, "firm_id": firm,
                "date": "2025-03-01", "amount_10k_cny": amount}  # fmt: skip
        done = self._post("/v1/events:upsert", {"items": [item]})
        assert done["rejected"] == 0, done
        self.events[firm] = amount

    def _plain(self) -> None:
        """An entry without an external id, in a town of its own for each round."""
        firm = self._some_firm()
        said = self.leads.setdefault(f"plain {firm}", [])
        note = f"第 {len(said)} 次"
        body = {"town_id": "p", "firm_id": firm, "stage": "contacted", "date": "2025-03-01",
                "note": note}  # fmt: skip
        assert self._post("/v1/leads", body)["lead"]["note"] == note
        said.append(note)

    def _some_firm(self) -> str:
        return str(self.rng.choice(list(self.firms.values()))["name"])

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        key, again = uuid.uuid4().hex, False
        while True:
            self.repeats += again
            again = True
            try:
                status, answer = self._ask(path, body, key)
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
                continue
            if status in (200, 201):
                return answer
            assert (status, answer["code"]) in (
                (409, "idempotency_in_flight"), (503, "storage_failed"),
            ), answer  # fmt: skip
            time.sleep(0.1)

    def _ask(self, path: str, body: dict[str, Any], key: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"Content-Type": "application/json", "Idempotency-Key": key}
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


@dataclass(frozen=True)
class Swept:
    """How a sweep went."""

    requests: int
    kills: int
    repeats: int
    seconds: float


def sweep(home: Path, database_url: str, requests: int, kills: int, seed: int) -> Swept:
    """At least so many requests and so many kills, then a look at everything."""
    began = time.monotonic()
    with Store.open(database_url) as store:
        for town_id in ("t", "p"):
            store.put_town(town_from({"id": town_id, "name": f"合成{town_id}镇"}))
    rng, over = random.Random(seed), threading.Event()
    with running(home, database_url) as server:
        senders = [Sender(n, server.port, random.Random(seed + n)) for n in range(SENDERS)]
        faults: list[BaseException] = []

        def send(sender: Sender) -> None:
            try:
                while not (over.is_set() and sender.sent >= requests / SENDERS):
                    sender.step()
            except BaseException as error:
                faults.append(error)

        threads = [threading.Thread(target=send, args=(s,), daemon=True) for s in senders]
        for thread in threads:
            thread.start()
        done = _kill(server, senders, kills, rng, faults)
        over.set()
        for thread in threads:
            thread.join(600)
            assert not thread.is_alive(), "a sender never got its answer"
    if faults:
        raise faults[0]
    _look(database_url, senders)
    sent, repeats = sum(s.sent for s in senders), sum(s.repeats for s in senders)
    return Swept(sent, done, repeats, time.monotonic() - began)


def _kill(
    server: Server,
    senders: list[Sender],
    kills: int,
    rng: random.Random,
    faults: list[BaseException],
) -> int:
    """Kill each server at a random moment: some while they start, most while they answer."""
    done = 0
    while done < kills and not faults:
        before = sum(s.sent for s in senders)
        while len(server.pids) <= done:
            time.sleep(0.005)
            assert server.process.poll() is None, "the parent of the servers died"
        at_work = rng.random() < 0.8
        while at_work and not faults and sum(s.sent for s in senders) == before:
            time.sleep(0.002)
        time.sleep(rng.uniform(0.0, 0.1 if at_work else 0.5))
        os.kill(server.pids[done], signal.SIGKILL)
        done += 1
    return done


def _look(database_url: str, senders: list[Sender]) -> None:
    """Nothing acknowledged is lost, nothing is there twice."""
    with Store.open(database_url) as store:
        every = store.lists.firms(Listing(100_000))
        own = {k: c for s in senders for k, c in s.firms.items()}
        assert sorted(f.thing.name for f in every) == sorted(c["name"] for c in own.values())
        for stored in every:
            (external,) = stored.external
            content = own[external.id]
            found = (stored.thing.name, stored.thing.employees)
            assert found == (content["name"], content["employees"]), external
        changed = sum(s.firm_calls for s in senders)
        assert len(store.batches()) == changed, "a firm was written twice"
        _look_at_leads(store, senders)
        amounts = {f: a for s in senders for f, a in s.events.items()}
        events = store.events()
        assert dict(zip(events["firm_id"], events["amount"], strict=True)) == amounts
        assert len(events) == len(amounts)
        assert store.audit.verify().fault == ""


def _look_at_leads(store: Store, senders: list[Sender]) -> None:
    said = {f: stages for s in senders for f, stages in s.leads.items() if stages}
    entries = store.lead_entries(limit=100_000)
    kept: dict[str, list[str]] = {}
    for entry in sorted(entries, key=lambda e: e.id):
        name = entry.firm_id if entry.town_id == "t" else f"plain {entry.firm_id}"
        word = entry.stage.value if entry.town_id == "t" else entry.note
        kept.setdefault(name, []).append(word)
    assert kept == said
    for firm, stages in said.items():
        if not firm.startswith("plain "):
            (last,) = store.lists.leads(Listing(2, external=ExternalId("crm", "Lead", firm)))
            assert last.thing.stage.value == stages[-1]
            assert last.thing.effective
    with store._database.read() as connection:
        told = sa.select(sa.func.count()).where(change.c.type == "lead.changed")
        assert connection.execute(told).scalar_one() == len(entries)
