"""Lists that a system reconciles from: pages, moments, filters, cursors."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.pages import seal
from api.schemas import EventPage, FirmPage, LeadPage, TownPage
from tests.api.api_world import client_of, code_of, firm_rows, make_world

MODELS: dict[str, Any] = {
    "firms": FirmPage, "towns": TownPage, "leads": LeadPage, "events": EventPage,
}  # fmt: skip


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A world with a few records of each kind."""
    with client_of(make_world(tmp_path_factory.mktemp("lists"), firm_rows(30))) as client:
        for n in range(1, 8):
            when = f"2025-01-0{n}"
            firm = f"{600000 + 5 * (n % 6)}"
            lead = {"town_id": "syn-silk", "firm_id": firm, "stage": "contacted", "date": when}
            assert client.post("/v1/leads", json=lead).status_code == 201
            event = {"firm_id": firm, "date": when, "kind": f"扩产{n}"}
            assert client.post("/v1/events", json=event).status_code == 201
        yield client


def pages(client: TestClient, what: str, limit: int, **params: Any) -> list[Any]:
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        response = client.get(f"/v1/{what}", params={"limit": limit, **params, **cursor})
        assert response.status_code == 200, response.text
        MODELS[what].model_validate_json(response.content)
        page = response.json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        assert len(page["items"]) == limit
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize("what", sorted(MODELS))
@pytest.mark.parametrize("sort", ["id", "updated_at", ""])
def test_pages_together_are_the_whole_list(own: TestClient, what: str, sort: str) -> None:
    params = {"sort": sort} if sort else {}
    whole = pages(own, what, 200, **params)
    assert pages(own, what, 2, **params) == whole
    assert whole
    if sort == "updated_at":
        moments = [i.get("updated_at") or i.get("recorded_at") for i in whole]
        assert moments == sorted(moments)


@pytest.mark.parametrize("what", sorted(MODELS))
def test_who_asks_since_the_newest_moment_gets_the_newest_and_what_came_after(
    own: TestClient, what: str
) -> None:
    newest = pages(own, what, 200, sort="updated_at")[-1]
    moment = newest.get("updated_at") or newest["recorded_at"]
    for text in (moment, moment.replace("+00:00", "Z"), moment.replace("+", " ")):
        assert newest in pages(own, what, 200, updated_since=text)
    assert pages(own, what, 200, updated_since="9999-12-31T23:59:59.999Z") == []
    assert pages(own, what, 200, updated_since="0001-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "text", ["2026-13-01T00:00:00Z", "2026-11-24", "now", "1700000000", "2026-11-24T02:00:00",
             "0001-01-01T00:00:00+23:59"],
)  # fmt: skip
def test_what_is_no_moment_is_refused(own: TestClient, text: str) -> None:
    response = own.get("/v1/firms", params={"updated_since": text})
    assert code_of(response, 422) == "validation_failed"


def test_filters_narrow_the_list(own: TestClient) -> None:
    firms = pages(own, "firms", 200)
    for name, value, holds in (
        ("province", "浙江省", lambda f: f["province"] == "浙江省"),
        ("city", "宁波市", lambda f: f["city"] == "宁波市"),
        ("mark", "高新技术企业", lambda f: "高新技术企业" in f["marks"]),
    ):
        found = pages(own, "firms", 3, **{name: value})
        assert found == [f for f in firms if holds(f)]
        assert 0 < len(found) < len(firms)
    two = own.get("/v1/firms?province=浙江省&province=江苏省&limit=200").json()["items"]
    assert {f["province"] for f in two} == {"浙江省", "江苏省"}
    leads = pages(own, "leads", 200)
    assert pages(own, "leads", 2, firm="600005") == [e for e in leads if e["firm_id"] == "600005"]
    assert pages(own, "leads", 2, town="syn-silk", stage="contacted") == leads
    assert pages(own, "leads", 2, stage="visited") == []
    assert {e["firm_id"] for e in pages(own, "events", 2, firm="600005")} == {"600005"}


@pytest.mark.parametrize("what", sorted(MODELS))
def test_a_cursor_of_elsewhere_or_tampered_with_is_refused(own: TestClient, what: str) -> None:
    path = f"/v1/{what}"
    cursor = own.get(path, params={"limit": 2}).json()["next_cursor"]
    other = "towns" if what == "firms" else "firms"
    flipped = ("B" if cursor[0] == "A" else "A") + cursor[1:]
    made = (seal(["r1", f"list_{what}", "x", "x", "0" * 16]), seal(["r1"]), seal(["z9", "a"]))
    for bad in (flipped, cursor[:-2], "x", "é", "a" * 2000, *made):
        assert code_of(own.get(path, params={"cursor": bad}), 422) == "invalid_cursor"
    for params in ({"sort": "updated_at"}, {"updated_since": "2020-01-01T00:00:00Z"}):
        asked = own.get(path, params={"cursor": cursor, **params})
        assert code_of(asked, 422) == "invalid_cursor"
    assert code_of(own.get(f"/v1/{other}", params={"cursor": cursor}), 422) == "invalid_cursor"
    assert own.get(path, params={"cursor": cursor, "limit": 7}).status_code == 200


@pytest.mark.parametrize("text", ["a", "a:b", ":b:c", "a::c", "a:b:"])
def test_what_is_no_external_id_is_refused(own: TestClient, text: str) -> None:
    assert code_of(own.get("/v1/firms", params={"external": text}), 422) == "validation_failed"


def test_an_unknown_external_id_finds_nothing(own: TestClient) -> None:
    assert own.get("/v1/firms", params={"external": "a:b:c:d"}).json()["items"] == []


def test_one_lead_is_read_by_its_number(own: TestClient) -> None:
    entry = own.get("/v1/leads", params={"limit": 1}).json()["items"][0]
    assert own.get(f"/v1/leads/{entry['id']}").json() == entry
    assert code_of(own.get("/v1/leads/999999"), 404) == "not_found"
    for bad in ("0", "-1", "x", str(2**31), str(2**63)):
        assert code_of(own.get(f"/v1/leads/{bad}"), 422) == "validation_failed"
