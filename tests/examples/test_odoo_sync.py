"""examples/odoo_sync.py between a real zyz-match and a stand-in for Odoo."""

import base64
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.examples.sync_world import (
    ROOT,
    Lead,
    Pair,
    Side,
    World,
    survives_being_killed,
    world,
)  # fmt: skip

pytestmark = pytest.mark.slow

STAGES = {"recommended": 1, "contacted": 2, "negotiating": 3, "signed": 4}
NAMES = {"New": "recommended", "Qualified": "contacted", "Proposition": "negotiating",
         "Won": "signed"}  # fmt: skip
REASONS = {"no_interest": 4, "unfit": 5, "lost": None}


def rpc(url: str, model: str, method: str, *args: Any, **more: Any) -> Any:
    arguments = ["city", 2, "right", model, method, args, more]
    params = {"service": "object", "method": "execute_kw", "args": arguments}
    body = {"jsonrpc": "2.0", "method": "call", "id": 1, "params": params}
    answer = httpx2.post(f"{url}/jsonrpc", json=body).json()
    assert "error" not in answer, answer
    return answer["result"]


def pair_of(name: str) -> Pair:
    raw = name.removeprefix("__zyz__.lead_").upper()
    town_id, firm_id = base64.b32decode(raw + "=" * (-len(raw) % 8)).decode().split("\n")
    return town_id, firm_id


def leads(url: str) -> list[Lead]:
    everyone = {"context": {"active_test": False}}
    rows = rpc(url, "crm.lead", "search_read", [], order="id", **everyone)
    names = rpc(url, "crm.lead", "get_external_id", [r["id"] for r in rows])
    found = []
    for row in rows:
        stage = NAMES[row["stage_id"][1]]
        if not row["active"]:
            reason = row["lost_reason_id"] and row["lost_reason_id"][1]
            stage = {"No interest": "no_interest", "Not suitable": "unfit"}.get(reason, "lost")
        found.append((str(row["id"]), pair_of(names[str(row["id"])]), stage))
    return found


def move(url: str, crm_id: str, stage: str) -> None:
    if stage in REASONS:
        why = REASONS[stage]
        rpc(url, "crm.lead", "action_set_lost", [int(crm_id)], lost_reason_id=why)
    else:
        rpc(url, "crm.lead", "write", [int(crm_id)], {"stage_id": STAGES[stage]})


def settings(url: str) -> dict[str, str]:
    return {"ODOO_URL": url, "ODOO_DB": "city", "ODOO_USER": "sync", "ODOO_PASSWORD": "right"}


ODOO = Side("odoo_sync.py", "fake_odoo.py", settings, leads, move)


@pytest.mark.timeout(240)
def test_nothing_is_lost_or_doubled_when_either_side_is_killed(tmp_path: Path) -> None:
    survives_being_killed(ODOO, tmp_path)


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(ODOO, tmp_path_factory.mktemp("odoo")) as at:
        yield at


def test_what_happens_on_one_side_is_seen_on_the_other(at: World) -> None:
    firms = at.publish("syn-silk", 3)
    at.once()
    made = at.leads("syn-silk")
    assert [pair for _, pair, _ in made] == [("syn-silk", f) for f in firms]
    assert {stage for _, _, stage in made} == {"recommended"}
    rows = rpc(at.crm_url, "crm.lead", "search_read", [])
    assert all(r["type"] == "opportunity" and r["partner_name"] in r["name"] for r in rows)
    at.move(made[0][0], "contacted")
    at.move(made[1][0], "no_interest")  # archived: default searches do not show it
    at.record(made[2][1], "signed")
    at.once()
    at.once()
    stages = [stage for _, _, stage in at.leads("syn-silk")]
    assert stages == ["contacted", "no_interest", "signed"]
    entries = {e["firm_id"]: (e["stage"], e["reason"]) for e in at.entries("syn-silk")}
    assert [entries[f] for f in firms] == [
        ("contacted", None), ("no_interest", "no_plan"), ("signed", None),
    ]  # fmt: skip
    assert len(at.entries("syn-silk")) == 3


def test_a_lead_that_ends_here_and_begins_anew_does_so_there(at: World) -> None:
    (firm,) = at.publish("syn-casting", 1)
    at.once()
    for ago, stage in ((3, "contacted"), (2, "unfit"), (1, "negotiating")):
        at.record(("syn-casting", firm), stage, ago)
        at.once()
        assert [s for _, _, s in at.leads("syn-casting")] == [stage]
    assert len(at.entries("syn-casting")) == 3


def test_a_wrong_password_is_said_and_nothing_is_forgotten(at: World) -> None:
    at.publish("syn-ceramics", 1)
    assert "不接受这个用户名或密码" in at.round(ODOO_PASSWORD="wrong")
    assert at.leads("syn-ceramics") == []
    at.once()
    assert len(at.leads("syn-ceramics")) == 1


def test_a_lead_that_is_behind_never_goes_back(at: World) -> None:
    at.publish("syn-ceramics", 1)
    at.once()
    ((crm_id, pair, _),) = at.leads("syn-ceramics")
    at.move(crm_id, "signed")
    at.record(pair, "contacted", 5)
    at.once()
    assert [s for _, _, s in at.leads("syn-ceramics")] == ["signed"]
    assert {e["stage"] for e in at.entries("syn-ceramics")} == {"contacted", "signed"}


def test_an_external_id_names_its_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    odoo_sync = importlib.import_module("odoo_sync")
    for pair in (("syn-silk", "600000"), ("镇", "合成宁波机械012有限公司"), ("a", "b" * 200)):
        name = odoo_sync.name_of(pair)
        assert odoo_sync.pair_of(name) == pair
        assert re.fullmatch(r"__zyz__\.lead_[a-z2-7]+", name)
