"""What the two sync examples share: our API, a small memory on disk, and the rounds of a sync.

One round is: tell zyz-match what happened in the CRM (`pull`), then do in the CRM what happened in
zyz-match (`follow`). Whoever is killed where, the next round does what is left, and nothing twice:
a batch is written down with its Idempotency-Key before it is sent, a cursor moves on in the same
transaction that forgets the batch, and what is made in the CRM carries a key by which it is found.
"""

import argparse
import json
import os
import sqlite3
import sys
import time
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import httpx2

BATCH = 200  # items of an upsert, and of a page
TRIES, PAUSE = 6, 0.5  # seconds, doubled from try to try
TYPES = ["list.published", "lead.changed"]
WAY = ("recommended", "contacted", "visited", "negotiating", "signed", "landed")
ENDS = ("no_interest", "unfit", "lost")
STAMP = "%Y-%m-%d %H:%M:%S"  # how both CRMs write moments, in UTC
Json = dict[str, Any]
Pair = tuple[str, str]  # town_id and firm_id


class SyncError(Exception):
    """One side answered what cannot be worked with; the next round tries again."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


# the words both sides need ------------------------------------------------------------------


def target(columns: Collection[str], now: str | None, wanted: str) -> str | None:
    """The stage to which a lead of the CRM should move, None when it should stay.

    `columns` are the stages and ends that the CRM has, "lost" among them. A lead moves on, ends, or
    begins anew after an end; it never goes back: who is further knows more.
    """
    if wanted in ENDS:
        return None if now in ENDS else wanted if wanted in columns else "lost"
    reach = [s for s in columns if s in WAY and WAY.index(s) <= WAY.index(wanted)]
    if not reach:
        return None
    best = max(reach, key=WAY.index)
    behind = now in ENDS or (now in WAY and WAY.index(now) < WAY.index(best))
    return best if behind else None


@dataclass(frozen=True)
class Wanted:
    """A lead that should be in the CRM."""

    pair: Pair
    firm: Json  # GET /v1/firms/{firm_id}
    town: str  # its name
    why: str


def day_of(moment: str) -> str:
    """The day in China of a CRM's moment, which is UTC."""
    known = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return known.astimezone(timezone(timedelta(hours=8))).date().isoformat()


@dataclass(frozen=True)
class Outcome:
    """How far a lead of the CRM has come, in our words."""

    crm_id: str
    pair: Pair
    stage: str | None  # None: nothing to tell
    date: str
    reason: str | None = None
    owner: str = ""


class Crm(Protocol):
    """What the rounds ask of a CRM."""

    system: str  # by these two our side keeps the ids of that side
    object: str
    columns: tuple[str, ...]  # the stages and ends it can show
    overlap: timedelta  # how long a change may stay unseen after its own time stamp

    def newest(self) -> str:
        """The moment of the newest change, by the CRM's clock; "" without any."""

    def changed(self, since: str, after: str) -> tuple[list[Outcome], str]:
        """Our leads changed since then with ids above `after`; the last id read, "" at the end."""

    def make(self, leads: list[Wanted]) -> dict[Pair, str]:
        """The ids of the leads, made unless they are there; some may be missing until later."""

    def stage(self, crm_id: str) -> str | None:
        """The stage at which a lead is now, in our words; None when it is gone or set aside."""

    def move(self, crm_id: str, stage: str, reason: str | None) -> None:
        """Move a lead to one of the columns."""


# our API ------------------------------------------------------------------------------------


class Zyz:
    """The few calls a sync needs."""

    def __init__(self, url: str, key: str = "") -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=30)

    def call(self, method: str, path: str, *, key: str = "", **more: Any) -> Json:
        """One call; tried again while the other side is away, busy or still at the same key."""
        headers = {"Idempotency-Key": key} if key else {}
        for tries in range(TRIES):
            try:
                answer = self._http.request(method, path, headers=headers, **more)
            except httpx2.TransportError as error:
                if tries == TRIES - 1:
                    raise SyncError(f"zyz-match 没有应答：{error}") from None
                time.sleep(PAUSE * 2**tries)
                continue
            if answer.status_code < 400:
                found: Json = answer.json()
                return found
            problem = _problem(answer)
            again = answer.status_code in (429, 503) or problem["code"] == "idempotency_in_flight"
            if not again or tries == TRIES - 1:
                said = f"zyz-match 拒绝了 {method} {path}：{problem['detail']}"
                raise SyncError(said, problem["code"])
            time.sleep(float(answer.headers.get("retry-after", PAUSE * 2**tries)))
        raise AssertionError("unreachable")

    def get(self, path: str, **params: Any) -> Json:
        """GET with the parameters that are not None."""
        return self.call("GET", path, params={k: v for k, v in params.items() if v is not None})

    def lead(self, town_id: str, firm_id: str) -> Json | None:
        """The entry that stands for a pair now; None without one, or when the pair is gone."""
        try:
            found = self.get("/v1/leads", town=town_id, firm=firm_id, limit=50)["items"]
        except SyncError as error:
            if error.code != "not_found":
                raise
            return None
        return next((e for e in found if e["effective"]), None)

    def changes(self, since: str | None) -> Iterator[tuple[list[Json], str]]:
        """Pages of the feed, each with the cursor behind it."""
        while True:
            page = self.get("/v1/changes", since=since, types=TYPES, limit=BATCH)
            since = page["next_cursor"]
            yield page["items"], page["next_cursor"]
            if not page["more"]:
                return


def _problem(answer: httpx2.Response) -> Json:
    try:
        found = answer.json()
        return {"code": found["code"], "detail": found["detail"]}
    except (ValueError, KeyError, TypeError):
        return {"code": "", "detail": f"HTTP {answer.status_code}"}


# the memory ---------------------------------------------------------------------------------


class Memory:
    """What a sync must not forget, in one SQLite file."""

    TABLES = """
        CREATE TABLE IF NOT EXISTS cursor (name TEXT PRIMARY KEY, value TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS made (
            town_id TEXT, firm_id TEXT, crm_id TEXT NOT NULL, PRIMARY KEY (town_id, firm_id));
        CREATE TABLE IF NOT EXISTS moved (crm_id TEXT PRIMARY KEY, stage TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS trying (key TEXT PRIMARY KEY, at REAL NOT NULL);
        CREATE TABLE IF NOT EXISTS told (crm_id TEXT PRIMARY KEY, what TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS echo (entry_id TEXT PRIMARY KEY);
        CREATE TABLE IF NOT EXISTS batch (
            key TEXT PRIMARY KEY, body TEXT NOT NULL, told TEXT NOT NULL);
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + self.TABLES)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a question finds."""
        return self._db.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> Any:
        """The first value of the first row, None without any."""
        row = self._db.execute(sql, values).fetchone()
        return row[0] if row else None

    def write(self, *steps: tuple[Any, ...]) -> None:
        """Statements with their values, all or none."""
        self._db.execute("BEGIN IMMEDIATE")
        for sql, *values in steps:
            self._db.execute(sql, values)
        self._db.execute("COMMIT")

    def cursor(self, name: str) -> str | None:
        """How far something was read."""
        found: str | None = self.one("SELECT value FROM cursor WHERE name = ?", name)
        return found


def _at(name: str, value: str) -> tuple[str, ...]:
    return ("INSERT OR REPLACE INTO cursor VALUES (?, ?)", name, value)


# the rounds ---------------------------------------------------------------------------------


class Sync:
    """A CRM and zyz-match, kept alike."""

    def __init__(self, zyz: Zyz, crm: Crm, memory: Memory) -> None:
        self.zyz, self.crm, self.memory = zyz, crm, memory

    def round(self) -> None:
        """Everything once: what an earlier round left, then the CRM's news, then ours."""
        self._send()
        self.pull()
        self.follow()

    # from the CRM to zyz-match

    def pull(self) -> None:
        """Tell what changed in the CRM.

        The cursor is the newest moment *before* the first page was read, by the CRM's own clock,
        and the next round looks a little further back: a change is seen once it is committed, which
        may be after its time stamp. Pages go by id, which never changes while we read.
        """
        newest, since = self.crm.newest(), self.memory.cursor("crm")
        if not newest:
            return
        back = datetime.strptime(since or newest, STAMP) - self.crm.overlap
        after = "0"
        while after:
            outcomes, after = self.crm.changed(back.strftime(STAMP) if since else "", after)
            self._tell(outcomes)
        self.memory.write(_at("crm", newest))

    def _tell(self, outcomes: list[Outcome]) -> None:
        items, told = [], {}
        for o in outcomes:
            what = json.dumps([o.stage, o.reason, o.owner])
            if o.stage is None or self._known(o, what):
                continue
            town_id, firm_id = o.pair
            entry = f"{o.crm_id}:{o.stage}:{o.date}"  # one entry for each stage that is reached
            external = {"system": self.crm.system, "object": self.crm.object, "id": entry}
            told[o.crm_id] = what
            items.append(
                {"town_id": town_id, "firm_id": firm_id, "stage": o.stage, "date": o.date,
                 "reason": o.reason, "owner": o.owner, "external": external}
            )  # fmt: skip
        if items:
            batch = (uuid.uuid4().hex, json.dumps({"items": items}), json.dumps(told))
            self.memory.write(("INSERT INTO batch VALUES (?, ?, ?)", *batch))
            self._send()

    def _known(self, outcome: Outcome, what: str) -> bool:
        """Whether this was told before, or comes from here."""
        told = self.memory.one("SELECT what FROM told WHERE crm_id = ?", outcome.crm_id)
        moved = self.memory.one("SELECT stage FROM moved WHERE crm_id = ?", outcome.crm_id)
        return bool(told == what or moved == outcome.stage)

    def _send(self) -> None:
        """Send what was written down; sent again with the same key, it counts once."""
        for key, body, told in self.memory.rows("SELECT key, body, told FROM batch"):
            answer = self.zyz.call("POST", "/v1/leads:upsert", key=key, json=json.loads(body))
            steps: list[tuple[Any, ...]] = [("DELETE FROM batch WHERE key = ?", key)]
            for crm_id, what in json.loads(told).items():
                steps.append(("INSERT OR REPLACE INTO told VALUES (?, ?)", crm_id, what))
                steps.append(("DELETE FROM moved WHERE crm_id = ?", crm_id))
            for result in answer["results"]:
                if result["status"] == "rejected":
                    say(f"第 {result['index']} 条未被接受：{result['error']['detail']}")
                else:
                    steps.append(("INSERT OR IGNORE INTO echo VALUES (?)", str(result["id"])))
            self.memory.write(*steps)

    # from zyz-match to the CRM

    def follow(self) -> None:
        """Do in the CRM what the feed tells; a page counts as read once all of it was done."""
        try:
            self._follow(self.memory.cursor("feed"))
        except SyncError as error:
            if error.code != "cursor_too_old":
                raise
            say("变更已不保留到上次读到的地方，从头再读一遍。")  # what is there is not made again
            self._follow(None)

    def _follow(self, since: str | None) -> None:
        for changes, cursor in self.zyz.changes(since):
            done = True
            for change in changes:
                if change["type"] == "list.published":
                    done &= self.push(change["data"]["list_id"])
                else:
                    self.settle(change["data"]["town_id"], change["data"]["firm_id"])
            if not done:
                return
            if cursor != self.memory.cursor("feed"):
                self.memory.write(_at("feed", cursor))

    def push(self, list_id: str) -> bool:
        """Bring the firms of a list into the CRM; whether all of them are there."""
        receipt = self.zyz.get(f"/v1/lists/{quote(list_id, safe='')}")
        town_id = receipt["town_id"]
        wanted = [
            lead
            for item in receipt["items"]
            if self._crm_id((town_id, item["firm_id"])) is None
            and (lead := self._wanted(town_id, item, list_id))
        ]
        made = self.crm.make(wanted) if wanted else {}
        self.memory.write(
            *(("INSERT OR REPLACE INTO made VALUES (?, ?, ?)", *p, i) for p, i in made.items())
        )
        for item in receipt["items"]:
            self.settle(town_id, item["firm_id"])
        return len(made) == len(wanted)

    def _crm_id(self, pair: Pair) -> str | None:
        found: str | None = self.memory.one(
            "SELECT crm_id FROM made WHERE town_id = ? AND firm_id = ?", *pair
        )
        return found

    def _wanted(self, town_id: str, item: Json, list_id: str) -> Wanted | None:
        """What to make of an item; None when its town or firm is gone."""
        try:
            town = self.zyz.get(f"/v1/towns/{quote(town_id, safe='')}")
            firm = self.zyz.get(f"/v1/firms/{quote(item['firm_id'], safe='')}")
        except SyncError as error:
            if error.code != "not_found":
                raise
            say(f"名单 {list_id} 第 {item['rank']} 名跳过：{error}")
            return None
        why = f"第 {item['rank']} 名，得分 {item['score']:.1f}，名单 {list_id}"
        return Wanted((town_id, item["firm_id"]), firm, town["name"], why)

    def settle(self, town_id: str, firm_id: str) -> None:
        """Move a lead of the CRM to where the pair stands here, unless the CRM said so itself."""
        crm_id = self._crm_id((town_id, firm_id))
        entry = self.zyz.lead(town_id, firm_id) if crm_id else None
        if crm_id is None or entry is None:
            return
        if self.memory.one("SELECT 1 FROM echo WHERE entry_id = ?", str(entry["id"])):
            return
        stage = target(self.crm.columns, self.crm.stage(crm_id), entry["stage"])
        if stage:  # written down first: what is done from here is not news of the CRM
            self.memory.write(("INSERT OR REPLACE INTO moved VALUES (?, ?)", crm_id, stage))
            self.crm.move(crm_id, stage, entry["reason"])


# running ------------------------------------------------------------------------------------


def setting(name: str, default: str | None = None) -> str:
    """A setting from the environment; SystemExit when it is missing."""
    value = os.environ.get(name) or default
    if value is None:
        raise SystemExit(f"请设置环境变量 {name}。")
    return value


def say(text: str) -> None:
    """A line for whoever runs the sync."""
    sys.stderr.write(f"{datetime.now():%H:%M:%S} {text}\n")


def run(crm: Crm, memory: Memory) -> None:
    """Once, or every so many seconds (`--every`)."""
    options = argparse.ArgumentParser(description="与 zyz-match 双向同步。")
    options.add_argument(
        "--every", type=float, metavar="秒", help="每隔多少秒同步一次，默认只做一次"
    )
    every = options.parse_args().every
    zyz = Zyz(setting("MATCH_URL", "http://127.0.0.1:8000"), os.environ.get("MATCH_KEY", ""))
    sync = Sync(zyz, crm, memory)
    while True:
        try:
            sync.round()
        except (SyncError, httpx2.HTTPError) as error:
            if every is None:
                raise SystemExit(str(error)) from None
            say(f"这一轮没有做完，稍后再来：{error}")
        if every is None:
            return
        time.sleep(every)
