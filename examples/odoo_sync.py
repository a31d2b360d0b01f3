"""Two-way sync with Odoo 17 (CRM): `python odoo_sync.py [--every 60]`.

Settings: MATCH_URL, MATCH_KEY (key of role crm), ODOO_URL, ODOO_DB, ODOO_USER, ODOO_PASSWORD (an
API key of that user), SYNC_STATE (file, default odoo_sync.db). Field mappings and traps:
docs/crm/odoo.md. Needs only httpx2 besides Python.
"""

import base64
import html
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
from zyz import BATCH, ENDS, Memory, Outcome, Pair, SyncError, Wanted, day_of, run, setting

# stage of Odoo as it is called in English -> ours; put your own stages here. A stage that is not
# here is not reported. "New" is where our leads begin: that they were recommended we know.
STAGES = {
    "New": "recommended",
    "Qualified": "contacted",
    "Proposition": "negotiating",
    "Won": "signed",
}
# lost reason of Odoo -> how it ended, and why; the first with an end is used the other way round
LOST = {
    "No interest": ("no_interest", "no_plan"),
    "Not suitable": ("unfit", "supply_chain"),
    "Too expensive": ("no_interest", "other"),
    "We don't have people/skills": ("unfit", "labour"),
    "Not enough stock": ("unfit", "other"),
}
LOST_ELSE = ("lost", "other")

PREFIX = "__zyz__.lead_"  # of our external ids in ir.model.data
FIELDS = [
    "active", "probability", "stage_id", "lost_reason_id", "user_id", "date_last_stage_update",
    "date_closed", "write_date",
]  # fmt: skip
# archived leads count (lost is archived), and names are not translated
CONTEXT = {"active_test": False, "lang": "en_US"}


def name_of(pair: Pair) -> str:
    """The external id of a pair, of a-z and 2-7, from which the pair can be read again."""
    raw = base64.b32encode("\n".join(pair).encode()).decode()
    return PREFIX + raw.rstrip("=").lower()


def pair_of(name: str) -> Pair:
    """The pair of an external id of ours."""
    raw = name.removeprefix(PREFIX).upper()
    town_id, firm_id = base64.b32decode(raw + "=" * (-len(raw) % 8)).decode().split("\n")
    return town_id, firm_id


class Odoo:
    """crm.lead by the external API (JSON-RPC, which unlike XML-RPC can carry null)."""

    system, object = "odoo", "crm.lead"
    columns = (*STAGES.values(), *ENDS)
    overlap = timedelta(seconds=300)  # write_date is when the transaction began; 120 s is its limit

    def __init__(self, url: str, db: str, user: str, password: str) -> None:
        self._http = httpx2.Client(base_url=url, timeout=60)
        self._login = (db, user, password)
        self._uid = 0

    def _rpc(self, service: str, method: str, *args: Any) -> Any:
        params = {"service": service, "method": method, "args": args}
        body = {"jsonrpc": "2.0", "method": "call", "id": 1, "params": params}
        answer = self._http.post("/jsonrpc", json=body)
        if answer.status_code != 200:
            raise SyncError(f"Odoo 返回 HTTP {answer.status_code}")
        found = answer.json()
        if "error" in found:  # the status is 200 all the same
            data = found["error"].get("data") or found["error"]
            raise SyncError(f"Odoo 报错：{data.get('name', '')} {data.get('message', '')}")
        return found.get("result")

    def _do(self, model: str, method: str, *args: Any, **more: Any) -> Any:
        db, user, password = self._login
        if not self._uid:
            self._uid = self._rpc("common", "authenticate", db, user, password, {})
            if not self._uid:  # a wrong password is no error there, only false
                raise SyncError("Odoo 不接受这个用户名或密码")
        more["context"] = CONTEXT | more.get("context", {})
        return self._rpc("object", "execute_kw", db, self._uid, password, model, method, args, more)

    def newest(self) -> str:
        """See `zyz.Crm`."""
        found = self._do(
            "crm.lead", "search_read", [], ["write_date"], order="write_date desc", limit=1
        )
        return str(found[0]["write_date"]) if found else ""

    def changed(self, since: str, after: str) -> tuple[list[Outcome], str]:
        """See `zyz.Crm`."""
        domain: list[Any] = [["id", ">", int(after)]]
        if since:
            domain.append(["write_date", ">=", since])
        rows = self._do("crm.lead", "search_read", domain, FIELDS, order="id", limit=BATCH)
        ids = [row["id"] for row in rows]
        names = self._do("crm.lead", "get_external_id", ids) if ids else {}
        ours = [(row, str(names.get(str(row["id"])) or "")) for row in rows]
        outcomes = [_outcome(row, pair_of(name)) for row, name in ours if name.startswith(PREFIX)]
        return outcomes, str(ids[-1]) if len(ids) == BATCH else ""

    def make(self, leads: list[Wanted]) -> dict[Pair, str]:
        """See `zyz.Crm`: `load` makes a record and its external id at once, and never two."""
        columns = ["id", "type", "name", "partner_name", "city", "description"]
        made: dict[Pair, str] = {}
        for some in (leads[i : i + BATCH] for i in range(0, len(leads), BATCH)):
            rows = [
                [name_of(w.pair), "opportunity", f"{w.firm['name']}（{w.town}）",
                 w.firm["name"], w.firm["city"] or "", f"<p>{html.escape(w.why)}</p>"]
                for w in some
            ]  # fmt: skip
            done = self._do("crm.lead", "load", columns, rows)
            if not done["ids"]:  # all or none; the messages say why
                raise SyncError(
                    f"Odoo 没有导入：{'；'.join(m['message'] for m in done['messages'])}"
                )
            made |= {w.pair: str(i) for w, i in zip(some, done["ids"], strict=True)}
        return made

    def stage(self, crm_id: str) -> str | None:
        """See `zyz.Crm`."""
        rows = self._do("crm.lead", "search_read", [["id", "=", int(crm_id)]], FIELDS)
        return _stage(rows[0])[0] if rows else None

    def move(self, crm_id: str, stage: str, reason: str | None) -> None:
        """See `zyz.Crm`."""
        ids = [int(crm_id)]
        if stage in ENDS:
            name = next((n for n, end in LOST.items() if end == (stage, reason)), None) or next(
                (n for n, end in LOST.items() if end[0] == stage), None
            )
            found = self._do("crm.lost.reason", "search", [["name", "=", name]], limit=1)
            self._do(
                "crm.lead",
                "action_set_lost",
                ids,
                **({"lost_reason_id": found[0]} if found else {}),
            )
            return
        name = next(n for n, ours in STAGES.items() if ours == stage)
        found = self._do("crm.stage", "search", [["name", "=", name]], limit=1)
        if not found:
            raise SyncError(f"Odoo 里没有“{name}”这个阶段，请核对 STAGES。")
        self._do("crm.lead", "action_unarchive", ids)
        self._do("crm.lead", "write", ids, {"stage_id": found[0]})


def _stage(row: dict[str, Any]) -> tuple[str | None, str | None]:
    """Our stage and reason of a lead: lost is archived *and* without a chance."""
    if not row["active"]:
        name = row["lost_reason_id"][1] if row["lost_reason_id"] else ""
        return LOST.get(name, LOST_ELSE) if not row["probability"] else (None, None)
    return STAGES.get(row["stage_id"][1] if row["stage_id"] else ""), None


def _outcome(row: dict[str, Any], pair: Pair) -> Outcome:
    stage, reason = _stage(row)
    when = row["date_closed"] if stage in ENDS else row["date_last_stage_update"]
    return Outcome(
        str(row["id"]), pair, None if stage == "recommended" else stage,
        day_of(str(when or row["write_date"])), reason, row["user_id"][1] if row["user_id"] else "",
    )  # fmt: skip


if __name__ == "__main__":
    run(
        Odoo(
            setting("ODOO_URL"), setting("ODOO_DB"), setting("ODOO_USER"), setting("ODOO_PASSWORD")
        ),
        Memory(Path(setting("SYNC_STATE", "odoo_sync.db"))),
    )
