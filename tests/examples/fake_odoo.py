"""A stand-in for Odoo 17, as a process: `python fake_odoo.py PORT FILE`.

Nothing here was recorded from a live server. The shapes follow the sources of Odoo 17.0, read in
public copies: `odoo/http.py` (JSON-RPC: status 200 with `error: {code: 200, message: "Odoo Server
Error", data: {name, debug, message, arguments, context}}`), `odoo/models.py` (`search_read`, `load`
-> {ids, messages, nextrow}, `get_external_id`), `addons/crm/models/crm_lead.py` (`action_set_lost`,
`toggle_active`, `write`), `odoo/sql_db.py` (`now()` is when the transaction began; it is kept with
microseconds and answered without).
"""

import json
import os
import random
import sqlite3
import sys
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STAGES = {1: "New", 2: "Qualified", 3: "Proposition", 4: "Won"}
REASONS = {1: "Too expensive", 2: "We don't have people/skills", 3: "Not enough stock",
           4: "No interest", 5: "Not suitable"}  # fmt: skip
TABLES = """
    PRAGMA journal_mode=WAL;
    CREATE TABLE IF NOT EXISTS lead (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, partner_name TEXT, city TEXT,
        description TEXT, type TEXT, active INT DEFAULT 1, probability REAL DEFAULT 10,
        stage_id INT DEFAULT 1, lost_reason_id INT, user_id INT, date_last_stage_update TEXT,
        date_closed TEXT, write_date TEXT);
    CREATE TABLE IF NOT EXISTS data (name TEXT PRIMARY KEY, res_id INT);
"""
OPERATORS = {"=": "=", ">": ">", ">=": ">=", "in": "IN"}


class Fault(Exception):
    """What the server reports."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class Database:
    """One transaction at a time; a moment is taken before the turn comes, as `now()` is there."""

    def __init__(self, path: str) -> None:
        self.lock = threading.Lock()
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.executescript(TABLES)

    def call(self, model: str, method: str, args: list[Any], more: dict[str, Any]) -> Any:
        """One method of a model."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        time.sleep(random.random() * 0.03)
        active_test = more.pop("context", {}).get("active_test", True)
        with self.lock:
            self.db.execute("BEGIN")
            try:
                found = self._call(model, method, args, more, now, active_test)
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
            self.db.execute("COMMIT")
            return found

    def _call(
        self, model: str, method: str, args: list[Any], more: dict[str, Any], now: str, active: bool
    ) -> Any:
        if model in ("crm.stage", "crm.lost.reason") and method == "search":
            names = STAGES if model == "crm.stage" else REASONS
            return [i for i, name in names.items() if [["name", "=", name]] == args[0]]
        if model != "crm.lead":
            raise Fault("builtins.KeyError", model)
        if method == "search_read":
            return self._search_read(*args, **{**more, "active": active})
        if method == "get_external_id":
            rows = self.db.execute("SELECT name, res_id FROM data").fetchall()
            names = {r["res_id"]: r["name"] for r in rows}
            return {str(i): names.get(i, "") for i in args[0]}
        if method == "load":
            return self._load(args[0], args[1], now)
        if method == "write":
            return self._write(args[0], args[1], now)
        if method == "action_set_lost":
            lost = {"active": 0, "probability": 0, "lost_reason_id": more.get("lost_reason_id")}
            return self._write(args[0], lost | {"date_closed": now}, now)
        if method == "action_unarchive":
            for i in args[0]:
                back = {"active": 1, "lost_reason_id": None, "probability": 10}
                if not self.db.execute("SELECT active FROM lead WHERE id = ?", (i,)).fetchone()[0]:
                    self._write([i], back, now)
            return None
        raise Fault("builtins.AttributeError", f"'crm.lead' object has no attribute '{method}'")

    def _search_read(
        self,
        domain: list[Any],
        fields: list[str] | None = None,
        order: str = "id",
        limit: int | None = None,
        active: bool = True,
    ) -> list[dict[str, Any]]:
        where, values = ["active = 1"] if active else ["1 = 1"], []
        for field, operator, value in domain:
            many = value if isinstance(value, list) else [value]
            marks = ", ".join("?" * len(many))
            where.append(f"{field} {OPERATORS[operator]} ({marks})")
            values += many
        sql = f"SELECT * FROM lead WHERE {' AND '.join(where)} ORDER BY {order} LIMIT {limit or -1}"
        rows = self.db.execute(sql, values).fetchall()
        names = [*(fields or rows[0].keys() if rows else []), "id"]
        return [{n: _shown(n, row[n]) for n in names} for row in rows]

    def _load(self, fields: list[str], rows: list[list[Any]], now: str) -> dict[str, Any]:
        ids = []
        for row in rows:
            name, *values = row
            known = self.db.execute("SELECT res_id FROM data WHERE name = ?", (name,)).fetchone()
            if not row[fields.index("name")]:
                fault = {"type": "error", "record": 0, "rows": {"from": 0, "to": 0},
                         "field": "name", "message": "Missing required value"}  # fmt: skip
                return {"ids": False, "messages": [fault], "nextrow": 0}
            if known:
                ids.append(known[0])
                self._write([known[0]], dict(zip(fields[1:], values, strict=True)), now)
                continue
            columns = [*fields[1:], "write_date", "date_last_stage_update"]
            made = self.db.execute(
                f"INSERT INTO lead ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                (*values, now, now),
            )
            ids.append(made.lastrowid)
            self.db.execute("INSERT INTO data VALUES (?, ?)", (name, made.lastrowid))
        return {"ids": ids, "messages": [], "nextrow": 0}

    def _write(self, ids: list[int], values: dict[str, Any], now: str) -> bool:
        if "stage_id" in values:
            won = values["stage_id"] == 4
            values = values | {"date_last_stage_update": now, "probability": 100 if won else 30}
        values = values | {"write_date": now}
        sets = ", ".join(f"{name} = ?" for name in values)
        for i in ids:
            self.db.execute(f"UPDATE lead SET {sets} WHERE id = ?", (*values.values(), i))
        return True


def _shown(name: str, value: Any) -> Any:
    if name == "active":
        return bool(value)
    if name.startswith("date_") or name == "write_date":
        return value[:19] if value else False
    if name == "stage_id":
        return [value, STAGES[value]]
    if name == "lost_reason_id":
        return [value, REASONS[value]] if value else False
    if name == "user_id":
        return [value, f"合成业务员{value}"] if value else False
    return False if value is None else value


class Handler(BaseHTTPRequestHandler):
    database: Database

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": asked["id"]}
        try:
            answer["result"] = self._answer(asked["params"])
        except Fault as fault:
            data = {"name": fault.name, "debug": "Traceback ...", "message": str(fault),
                    "arguments": [str(fault)], "context": {}}  # fmt: skip
            answer["error"] = {"code": 200, "message": "Odoo Server Error", "data": data}
        if random.random() < float(os.environ.get("LOSE", "0")):
            return  # done, and nobody is told
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, params: dict[str, Any]) -> Any:
        if params["service"] == "common":
            assert params["method"] == "authenticate"
            return 2 if params["args"][2] == "right" else False
        assert params["method"] == "execute_kw"
        _, uid, password, model, method, args, *more = params["args"]
        if (uid, password) != (2, "right"):
            raise Fault("odoo.exceptions.AccessDenied", "Access Denied")
        return self.database.call(model, method, args, dict(more[0]) if more else {})


if __name__ == "__main__":
    Handler.database = Database(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
