"""Two-way sync with EspoCRM: `python espocrm_sync.py [--every 60]`.

Settings: MATCH_URL, MATCH_KEY (key of role crm), ESPO_URL, ESPO_KEY (of an API user), ESPO_SECRET
(only if that user signs by HMAC), SYNC_STATE (file, default espocrm_sync.db). The Lead needs three
more fields, cZyzKey, cZyzTownId and cZyzFirmId: docs/crm/espocrm.md. Needs only httpx2 besides
Python.
"""

import base64
import hashlib
import hmac
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
from zyz import BATCH, ENDS, Memory, Outcome, Pair, SyncError, Wanted, day_of, run, setting

# status of the Lead -> our stage, and the reason of an end; put your own statuses here. A status
# that is not here is not reported. "New" is where our leads begin: that they were recommended we
# know. The other way round the first of a stage is used, and that of "lost" for ends without one.
STATUSES: dict[str, tuple[str, str | None]] = {
    "New": ("recommended", None),
    "Assigned": ("contacted", None),
    "In Process": ("negotiating", None),
    "Converted": ("signed", None),
    "Recycled": ("no_interest", "no_plan"),
    "Dead": ("lost", "other"),
}
SELECT = "id,status,cZyzKey,cZyzTownId,cZyzFirmId,assignedUserName,modifiedAt"
LOOKED_FOR = 50  # keys in one address, which servers allow some thousand letters
MISSING, CONFLICT = 404, 409


def key_of(pair: Pair) -> str:
    """A short name of a pair, the same every time and whatever the letter case."""
    return hashlib.sha256("\n".join(pair).encode()).hexdigest()[:40]


class Espo:
    """Lead by the REST API."""

    system, object = "espocrm", "Lead"
    columns = tuple(stage for stage, _ in STATUSES.values())
    overlap = timedelta(seconds=60)  # modifiedAt is set just before the row is written

    def __init__(self, url: str, key: str, secret: str, memory: Memory, grace: float) -> None:
        self._http = httpx2.Client(base_url=f"{url}/api/v1", timeout=30)
        self._key, self._secret = key, secret
        self._memory, self._grace = memory, grace

    def _call(self, method: str, path: str, **more: Any) -> httpx2.Response:
        headers = {"X-Api-Key": self._key}
        if self._secret:  # of method and path, hexadecimal (since EspoCRM 8.4.1)
            said = f"{method} {path}".encode()
            signed = hmac.new(self._secret.encode(), said, hashlib.sha256).hexdigest()
            token = base64.b64encode(f"{self._key}:{signed}".encode()).decode()
            headers = {"X-Hmac-Authorization": token}
        answer = self._http.request(method, path, headers=headers | more.pop("headers", {}), **more)
        if answer.status_code >= 400 and answer.status_code not in (MISSING, CONFLICT):
            why = answer.headers.get("x-status-reason", "")  # the body is empty or HTML
            raise SyncError(f"EspoCRM 返回 HTTP {answer.status_code} {why}")
        return answer

    def _list(self, *where: tuple[str, str, Any], **more: Any) -> list[dict[str, Any]]:
        params: dict[str, Any] = {"attributeSelect": SELECT, "maxSize": BATCH, **more}
        for i, (kind, attribute, value) in enumerate(where):
            many = isinstance(value, list)
            params |= {f"where[{i}][type]": kind, f"where[{i}][attribute]": attribute,
                       f"where[{i}][value]{'[]' if many else ''}": value}  # fmt: skip
        answer = self._call("GET", "/Lead", params=params)
        if answer.status_code != 200:
            raise SyncError(f"EspoCRM 返回 HTTP {answer.status_code}，请核对 ESPO_URL。")
        found: list[dict[str, Any]] = answer.json()["list"]
        return found

    def newest(self) -> str:
        """See `zyz.Crm`."""
        found = self._list(orderBy="modifiedAt", order="desc", maxSize=1)
        return str(found[0]["modifiedAt"]) if found else ""

    def changed(self, since: str, after: str) -> tuple[list[Outcome], str]:
        """See `zyz.Crm`."""
        where = [("greaterThan", "id", after), ("isNotNull", "cZyzKey", "")]
        if since:
            where.append(("greaterThanOrEquals", "modifiedAt", since))
        rows = self._list(*where, orderBy="id", order="asc")
        outcomes = [_outcome(row) for row in rows if row["cZyzKey"]]
        return outcomes, rows[-1]["id"] if len(rows) == BATCH else ""

    def make(self, leads: list[Wanted]) -> dict[Pair, str]:
        """See `zyz.Crm`. There is no bulk create and no unique key, so each is looked for first.

        A request of a process that was killed may still be at work over there. So that it is not
        made twice, every try is written down, and one without an answer rests for a while.
        """
        made: dict[Pair, str] = {}
        for some in (leads[i : i + LOOKED_FOR] for i in range(0, len(leads), LOOKED_FOR)):
            found = self._list(("in", "cZyzKey", [key_of(w.pair) for w in some]))
            made |= {(row["cZyzTownId"], row["cZyzFirmId"]): row["id"] for row in found}
        for lead in leads:
            key = key_of(lead.pair)
            tried = self._memory.one("SELECT at FROM trying WHERE key = ?", key)
            rests = tried is not None and abs(time.time() - tried) < self._grace
            if lead.pair not in made and not rests:
                trying = ("INSERT OR REPLACE INTO trying VALUES (?, ?)", key, time.time())
                self._memory.write(trying)
                made[lead.pair] = self._create(lead, key)
        self._memory.write(*(("DELETE FROM trying WHERE key = ?", key_of(p)) for p in made))
        return made

    def _create(self, lead: Wanted, key: str) -> str:
        town_id, firm_id = lead.pair
        body = {
            "accountName": lead.firm["name"], "status": "New", "cZyzKey": key,
            "cZyzTownId": town_id, "cZyzFirmId": firm_id,
            "addressCity": lead.firm["city"], "addressState": lead.firm["province"],
            "description": f"{lead.town}：{lead.why}",
        }  # fmt: skip
        answer = self._call("POST", "/Lead", json=body)
        if answer.status_code == CONFLICT:  # the body is a list of those it takes for the same
            alike = [row for row in answer.json() if row.get("cZyzKey") == key]
            if alike:
                return str(alike[0]["id"])
            skip = {"X-Skip-Duplicate-Check": "true"}
            answer = self._call("POST", "/Lead", json=body, headers=skip)
        return str(answer.json()["id"])

    def stage(self, crm_id: str) -> str | None:
        """See `zyz.Crm`."""
        answer = self._call("GET", f"/Lead/{crm_id}")
        if answer.status_code == MISSING:
            return None
        return STATUSES.get(answer.json()["status"], (None, None))[0]

    def move(self, crm_id: str, stage: str, reason: str | None) -> None:
        """See `zyz.Crm`."""
        status = next(name for name, (ours, _) in STATUSES.items() if ours == stage)
        self._call("PUT", f"/Lead/{crm_id}", json={"status": status})


def _outcome(row: dict[str, Any]) -> Outcome:
    stage, reason = STATUSES.get(row["status"], (None, None))
    pair = (row["cZyzTownId"], row["cZyzFirmId"])
    return Outcome(
        row["id"], pair, None if stage == "recommended" else stage,
        day_of(row["modifiedAt"]), reason if stage in ENDS else None, row["assignedUserName"] or "",
    )  # fmt: skip


if __name__ == "__main__":
    memory = Memory(Path(setting("SYNC_STATE", "espocrm_sync.db")))
    run(
        Espo(setting("ESPO_URL"), setting("ESPO_KEY"), os.environ.get("ESPO_SECRET", ""), memory,
             float(setting("SYNC_GRACE", "60"))),
        memory,
    )  # fmt: skip
