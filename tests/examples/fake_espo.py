"""A stand-in for EspoCRM, as a process: `python fake_espo.py PORT FILE`.

Nothing here was recorded from a live server. The shapes follow the sources of EspoCRM 9/10:
`Core/Record/Collection.php` ({total, list}), `Core/Record/SearchParamsFetcher.php` (more than 200
asked: 403), `Core/Record/Service.php` (a duplicate: 409, `X-Status-Reason: duplicate`, the body a
list of the records), `Core/Record/CreateParamsFetcher.php` (`X-Skip-Duplicate-Check`),
`Core/Authentication/Logins/{ApiKey,Hmac}.php`. As there, "is there one" and "write it" are two
steps without a lock.
"""

import base64
import hashlib
import hmac
import json
import os
import random
import sqlite3
import sys
import time
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY, SECRET = "espo-key", "espo-secret"
FIELDS = ("status", "accountName", "addressCity", "addressState", "description", "cZyzKey",
          "cZyzTownId", "cZyzFirmId", "assignedUserName")  # fmt: skip
OPERATORS = {"greaterThan": "> ?", "greaterThanOrEquals": ">= ?", "isNotNull": "IS NOT NULL"}


class Stop(Exception):
    """An error answer."""

    def __init__(self, status: int, reason: str = "", body: Any = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.body = status, reason, body


def connect() -> sqlite3.Connection:
    db = sqlite3.connect(sys.argv[2], timeout=30, isolation_level=None)
    db.row_factory = sqlite3.Row
    columns = ", ".join(f"{f} TEXT" for f in FIELDS)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(f"CREATE TABLE IF NOT EXISTS lead (id TEXT PRIMARY KEY, {columns}, modifiedAt TEXT)")
    return db


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def _serve(self, method: str) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, reason, body = 200, "", None
        try:
            body = self._answer(method, json.loads(sent) if sent else {})
        except Stop as stop:
            status, reason, body = stop.status, stop.reason, stop.body
        if random.random() < float(os.environ.get("LOSE", "0")):
            return  # done, and nobody is told
        raw = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        if reason:
            self.send_header("X-Status-Reason", reason)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _answer(self, method: str, sent: dict[str, Any]) -> Any:
        url = urlsplit(self.path)
        path = url.path.removeprefix("/api/v1")
        self._authenticate(method, path)
        db = connect()
        try:
            if method == "GET" and path == "/Lead":
                return _listed(db, parse_qs(url.query, keep_blank_values=True))
            if method == "POST" and path == "/Lead":
                return self._create(db, sent)
            return _one(db, method, path.removeprefix("/Lead/"), sent)
        finally:
            db.close()

    def _authenticate(self, method: str, path: str) -> None:
        signed = self.headers.get("X-Hmac-Authorization")
        if signed:
            key, _, given = base64.b64decode(signed).decode().partition(":")
            right = hmac.new(SECRET.encode(), f"{method} {path}".encode(), hashlib.sha256)
            if (key, given) == (KEY, right.hexdigest()):
                return
        elif self.headers.get("X-Api-Key") == KEY:
            return
        raise Stop(401)

    def _create(self, db: sqlite3.Connection, sent: dict[str, Any]) -> dict[str, Any]:
        if unknown := sent.keys() - set(FIELDS):
            raise Stop(400, f"unknown {unknown}")
        alike = db.execute("SELECT * FROM lead WHERE cZyzKey = ?", (sent["cZyzKey"],)).fetchall()
        if alike and self.headers.get("X-Skip-Duplicate-Check") != "true":
            raise Stop(409, "duplicate", [dict(row) for row in alike])
        time.sleep(random.random() * 0.05)
        row = {"id": uuid.uuid4().hex[:17], "modifiedAt": now(), "status": "New", **sent}
        marks = ", ".join("?" * len(row))
        db.execute(f"INSERT INTO lead ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
        return row


def _listed(db: sqlite3.Connection, query: dict[str, list[str]]) -> dict[str, Any]:
    size = int(query.get("maxSize", ["200"])[0])
    if size > 200:
        raise Stop(403, "Max size should not exceed 200. Use offset and limit.")
    where, values = ["1 = 1"], []
    for i in range(10):
        kind = query.get(f"where[{i}][type]", [""])[0]
        name = query.get(f"where[{i}][attribute]", [""])[0]
        if kind == "in":
            many = query[f"where[{i}][value][]"]
            where.append(f"{name} IN ({', '.join('?' * len(many))})")
            values += many
        elif kind:
            where.append(f"{name} {OPERATORS[kind]}")
            values += query[f"where[{i}][value]"] if "?" in OPERATORS[kind] else []
    order = f"{query['orderBy'][0]} {query['order'][0]}" if "orderBy" in query else "id"
    text = " AND ".join(where)
    rows = db.execute(f"SELECT * FROM lead WHERE {text} ORDER BY {order} LIMIT {size}", values)
    total = db.execute(f"SELECT count(*) FROM lead WHERE {text}", values).fetchone()[0]
    wanted = query["attributeSelect"][0].split(",")
    return {"total": total, "list": [{n: row[n] for n in wanted} for row in rows]}


def _one(db: sqlite3.Connection, method: str, which: str, sent: dict[str, Any]) -> dict[str, Any]:
    if method == "PUT":
        sets = ", ".join(f"{name} = ?" for name in sent)
        db.execute(
            f"UPDATE lead SET {sets}, modifiedAt = ? WHERE id = ?", (*sent.values(), now(), which)
        )
    row = db.execute("SELECT * FROM lead WHERE id = ?", (which,)).fetchone()
    if row is None:
        raise Stop(404)
    return dict(row)


if __name__ == "__main__":
    connect().close()
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
