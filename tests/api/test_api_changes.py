"""The changes for who polls: the same events, from any place, within one's towns."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from api.pages import seal
from api.schemas_hooks import ChangePage
from tests.api.api_world import code_of, firm_rows, make_world
from tests.api.hook_world import first_firm, hooked, wait_for
from tests.receiver import receiver
from zyz_match.acting import Actor, Role, acting
from zyz_match.hooks_desk import Place
from zyz_match.service import Service
from zyz_match.storage import tables
from zyz_match.storage.outbox import KEPT

STAGES = ("contacted", "visited", "negotiating")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """A world in which a firm came a few steps further."""
    with hooked(make_world(tmp_path, firm_rows(20)), tmp_path / "systems") as client:
        firm = first_firm(client)
        for day, stage in enumerate(STAGES, 1):
            body = {"town_id": "syn-silk", "firm_id": firm, "stage": stage, "note": "备注不外传"}
            done = client.post("/v1/leads", json=body | {"date": f"2024-05-0{day}"})
            assert done.status_code == 201, done.text
        yield client


def read(client: TestClient, **params: Any) -> dict[str, Any]:
    found = client.get("/v1/changes", params=params)
    assert found.status_code == 200, found.text
    ChangePage.model_validate_json(found.content)
    return dict(found.json())


def service_of(client: TestClient) -> Service:
    found: Service = client.app.state.service  # type: ignore[attr-defined]
    return found


def test_changes_are_read_from_the_beginning_page_by_page(client: TestClient) -> None:
    every = read(client)["items"]
    assert [c["type"] for c in every] == ["import.finished", *["lead.changed"] * 3]
    assert [c["data"]["stage"] for c in every[1:]] == list(STAGES)
    found: list[Any] = []
    page = read(client, limit=1)
    while True:
        found += page["items"]
        if not page["more"]:
            break
        page = read(client, limit=1, since=page["next_cursor"])
    assert found == every


def test_who_has_read_everything_goes_on_from_there(client: TestClient) -> None:
    end = read(client)["next_cursor"]
    assert read(client, since=end) == {"items": [], "next_cursor": end, "more": False}
    list_id = client.get("/v1/towns/syn-silk/matches").json()["shortlist_id"]
    client.post(f"/v1/lists/{list_id}:publish")
    [told] = read(client, since=end)["items"]
    assert (told["type"], told["data"]["list_id"]) == ("list.published", list_id)


def test_types_are_chosen(client: TestClient) -> None:
    only = read(client, types=["import.finished", "model.promoted"])
    assert [c["type"] for c in only["items"]] == ["import.finished"]
    assert read(client, since=only["next_cursor"])["items"] == []
    assert code_of(client.get("/v1/changes?types=lead.gone"), 422) == "validation_failed"


def test_a_change_says_nothing_that_was_written_for_the_office_alone(client: TestClient) -> None:
    text = client.get("/v1/changes").text
    assert "备注不外传" not in text
    assert "138000" not in text


def test_who_is_limited_to_towns_is_told_of_those_alone(client: TestClient) -> None:
    service = service_of(client)
    for town, seen in (("syn-silk", 3), ("syn-casting", 0)):
        with acting(Actor("key:crm", Role.CRM, "api", frozenset({town}))):
            found = service.changes(Place(), (), 100)
        assert [c.type for c in found.changes] == ["lead.changed"] * seen


def test_a_change_that_is_pushed_is_the_one_that_is_polled(tmp_path: Path) -> None:
    world = make_world(tmp_path, firm_rows(20))
    with receiver() as taker, hooked(world, tmp_path / "s", taker.target) as client:
        client.post("/v1/webhooks", json={"url": taker.url})
        body = {"town_id": "syn-silk", "firm_id": first_firm(client), "stage": "visited"}
        client.post("/v1/leads", json=body)
        wait_for(lambda: taker.log)
        assert taker.bodies() == [read(client)["items"][-1]]


def test_a_place_that_is_kept_no_more_says_what_to_do(client: TestClient) -> None:
    first = read(client, limit=1)["next_cursor"]
    end = read(client)["next_cursor"]
    store = service_of(client).store
    old = (datetime.now(UTC) - KEPT - timedelta(days=1)).isoformat()
    with store._database.write() as connection:
        connection.execute(sa.update(tables.change).values(at=old))
    assert store.outbox.sweep() == 3
    gone = client.get("/v1/changes", params={"since": first})
    assert code_of(gone, 410) == "cursor_too_old"
    assert "updated_since" in gone.json()["detail"]
    assert read(client, since=end)["items"] == []


@pytest.mark.parametrize("since", [
    "x", "AAAA", "é", seal(["t1", "a"]), seal(["c1", "-1", "u"]), seal(["c1", "9" * 40, "u"]),
    seal(["c1", "²", "u"]), seal(["c1", "1"]),
])  # fmt: skip
def test_a_tampered_cursor_is_refused(client: TestClient, since: str) -> None:
    refused = client.get("/v1/changes", params={"since": since})
    assert code_of(refused, 422) == "invalid_cursor"


def test_parameters_are_checked(client: TestClient) -> None:
    for query in ("limit=0", "limit=201", "limit=x", "since="):
        assert code_of(client.get(f"/v1/changes?{query}"), 422) == "validation_failed", query
    for query in ("cursor=x", "since=a&since=b"):
        assert code_of(client.get(f"/v1/changes?{query}"), 422) == "invalid_query", query
