"""examples/espocrm_sync.py between a real zyz-match and a stand-in for EspoCRM."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.examples.fake_espo import KEY, SECRET
from tests.examples.sync_world import Lead, Side, World, survives_being_killed, world

pytestmark = pytest.mark.slow

STATUSES = {"recommended": "New", "contacted": "Assigned", "negotiating": "In Process",
            "signed": "Converted", "no_interest": "Recycled", "lost": "Dead"}  # fmt: skip
NAMES = {status: stage for stage, status in STATUSES.items()}
ALL = "id,status,cZyzTownId,cZyzFirmId"


def call(url: str, method: str, path: str, **more: Any) -> Any:
    headers = {"X-Api-Key": KEY}
    answer = httpx2.request(method, f"{url}/api/v1{path}", headers=headers, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def leads(url: str) -> list[Lead]:
    rows = call(url, "GET", "/Lead", params={"attributeSelect": ALL})["list"]
    return [(r["id"], (r["cZyzTownId"], r["cZyzFirmId"]), NAMES[r["status"]]) for r in rows]


def move(url: str, crm_id: str, stage: str) -> None:
    call(url, "PUT", f"/Lead/{crm_id}", json={"status": STATUSES[stage]})


def by_key(url: str) -> dict[str, str]:
    return {"ESPO_URL": url, "ESPO_KEY": KEY}


def by_signature(url: str) -> dict[str, str]:
    return by_key(url) | {"ESPO_SECRET": SECRET}


ESPO = Side("espocrm_sync.py", "fake_espo.py", by_key, leads, move)
SIGNED = Side("espocrm_sync.py", "fake_espo.py", by_signature, leads, move)


@pytest.mark.timeout(240)
def test_nothing_is_lost_or_doubled_when_either_side_is_killed(tmp_path: Path) -> None:
    survives_being_killed(ESPO, tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("espo")


@pytest.fixture(scope="module")
def at(folder: Path) -> Iterator[World]:
    with world(SIGNED, folder) as at:
        yield at


def test_what_happens_on_one_side_is_seen_on_the_other(at: World) -> None:
    firms = at.publish("syn-silk", 3)
    at.once()
    assert {stage for _, _, stage in at.leads("syn-silk")} == {"recommended"}
    made = {pair: crm_id for crm_id, pair, _ in at.leads("syn-silk")}
    ids = [made["syn-silk", f] for f in firms]
    at.move(ids[0], "negotiating")
    at.move(ids[1], "no_interest")
    at.record(("syn-silk", firms[2]), "unfit")
    at.once()
    at.once()
    stages = {crm_id: stage for crm_id, _, stage in at.leads("syn-silk")}
    assert [stages[i] for i in ids] == ["negotiating", "no_interest", "lost"]
    entries = {e["firm_id"]: (e["stage"], e["reason"]) for e in at.entries("syn-silk")}
    assert [entries[f] for f in firms] == [
        ("negotiating", None), ("no_interest", "no_plan"), ("unfit", None),
    ]  # fmt: skip
    assert len(at.entries("syn-silk")) == 3


def test_a_lead_that_was_deleted_there_is_not_made_again(at: World, folder: Path) -> None:
    at.publish("syn-ceramics", 2)
    at.once()
    (gone, first, _), (_, second, _) = at.leads("syn-ceramics")
    with closing(sqlite3.connect(folder / "crm.db")) as db, db:
        db.execute("DELETE FROM lead WHERE id = ?", (gone,))
    at.publish("syn-ceramics", 2)
    at.record(first, "contacted")
    at.record(second, "contacted")
    at.once()
    left = [(pair, stage) for _, pair, stage in at.leads("syn-ceramics")]
    assert left == [(second, "contacted")]


def test_leads_are_found_again_when_the_memory_is_lost(at: World, folder: Path) -> None:
    at.publish("syn-casting", 2)
    at.once()
    at.move(at.leads("syn-casting")[0][0], "contacted")
    for file in folder.glob("sync.db*"):
        file.unlink()
    at.once()
    assert len(at.leads("syn-casting")) == 2
    assert [e["stage"] for e in at.entries("syn-casting")] == ["contacted"]
