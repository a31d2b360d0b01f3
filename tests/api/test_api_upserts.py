"""Upserts over the interface: results in order, bad input, all or none, ETags."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.schemas import FirmDetail, LeadView, MatchPage
from api.schemas_upsert import UpsertResult
from tests.api.api_world import client_of, code_of, firm_rows, make_world

KEY = {"system": "espocrm", "object": "Account", "id": "a1"}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A world of its own, since upserts change it."""
    home: Path = tmp_path_factory.mktemp("upserts")
    with client_of(make_world(home, firm_rows(20))) as client:
        yield client


def upsert(client: TestClient, what: str, *items: Any, **more: Any) -> Any:
    response = client.post(f"/v1/{what}:upsert", json={"items": list(items), **more})
    assert response.status_code == 200, response.text
    UpsertResult.model_validate_json(response.content)
    return response.json()


def test_items_are_judged_apart_and_answered_in_order(own: TestClient) -> None:
    done = upsert(
        own, "firms",
        {"external": KEY, "name": "合成接口公司", "capital_10k_cny": 1200.5,
         "marks": ["高新技术企业"],
         "products": ["阀门铸件", "水泵"], "founded": "2010-05-06", "industry": "3391"},
        {"name": "合成坏一公司", "uscc": "123", "external": {**KEY, "id": "a2"}},
        {"name": "合成坏二公司", "employees": "many", "external": {**KEY, "id": "a3"}},
        {"name": "合成坏三公司", "colour": "red"},
        "no item",
        {"external": KEY, "employees": 12},
    )  # fmt: skip
    assert [(r["index"], r["status"]) for r in done["results"]] == [
        (0, "created"), (1, "rejected"), (2, "rejected"), (3, "rejected"), (4, "rejected"),
        (5, "updated"),
    ]  # fmt: skip
    assert (done["created"], done["updated"], done["unchanged"], done["rejected"]) == (1, 1, 0, 4)
    errors = [r["error"] for r in done["results"][1:5]]
    assert [e["code"] for e in errors] == ["invalid_field"] + ["validation_failed"] * 3
    assert [e["errors"][0]["pointer"] for e in errors] == [
        "/items/1/uscc", "/items/2/employees", "/items/3/colour", "/items/4",
    ]  # fmt: skip
    assert [r["external"] and r["external"]["id"] for r in done["results"]] == [
        "a1", "a2", "a3", None, None, "a1",
    ]  # fmt: skip
    found = own.get(f"/v1/firms/{done['results'][0]['id']}")
    FirmDetail.model_validate_json(found.content)
    firm = found.json()
    assert (firm["capital_10k_cny"], firm["employees"], firm["capital_text"]) == (
        1200.5, 12, "1200.5万元",
    )  # fmt: skip
    assert (firm["products"], firm["marks"]) == (["阀门铸件", "水泵"], ["高新技术企业"])
    assert firm["external"] == [KEY]
    again = own.get("/v1/firms", params={"external": "espocrm:Account:a1"}).json()["items"]
    assert again == [firm]


def test_null_and_missing_leave_a_field_as_it_is(own: TestClient) -> None:
    key = {**KEY, "id": "n1"}
    upsert(own, "firms", {"external": key, "name": "合成空值公司", "employees": 5})
    done = upsert(own, "firms", {"external": key, "employees": None, "name": None})
    assert done["results"][0]["status"] == "unchanged"
    assert done["batch"] is None


def test_an_upserted_firm_is_ranked_at_once(own: TestClient) -> None:
    upsert(
        own, "firms",
        {"name": "合成新铸件公司", "status": "存续", "products": ["球墨铸铁件", "阀门铸件"],
         "industry": "3391", "province": "浙江省"},
    )  # fmt: skip
    page = own.get("/v1/towns/syn-casting/matches", params={"limit": 50, "include": "features"})
    MatchPage.model_validate_json(page.content)
    items = page.json()["items"]
    assert "合成新铸件公司" in [m["firm"]["name"] for m in items]
    assert items[0]["contributions"] is None
    assert all(v is None or 0 <= v <= 1 for v in items[0]["features"].values())
    assert "words" in items[0]["features"]


def test_all_or_none_answers_422_with_every_reason_and_writes_nothing(own: TestClient) -> None:
    items = [{"name": "合成全或无公司"}, {"uscc": "1"}, {"name": 3}]
    response = own.post("/v1/firms:upsert", json={"items": items, "all_or_none": True})
    assert code_of(response, 422) == "items_rejected"
    assert [e["pointer"] for e in response.json()["errors"]] == ["/items/1/uscc", "/items/2/name"]
    assert code_of(own.get("/v1/firms/合成全或无公司"), 404) == "not_found"


def test_a_lead_and_an_event_are_followed_by_their_external_ids(own: TestClient) -> None:
    key = {"system": "espocrm", "object": "Lead", "id": "l1"}
    said = {"external": key, "town_id": "syn-silk", "firm_id": "600005", "stage": "contacted",
            "date": "2025-03-01"}  # fmt: skip
    first = upsert(own, "leads", said)["results"][0]
    assert upsert(own, "leads", said)["results"][0]["status"] == "unchanged"
    second = upsert(own, "leads", {**said, "stage": "visited"})["results"][0]
    assert (first["status"], second["status"]) == ("created", "updated")
    lead = own.get(f"/v1/leads/{second['id']}")
    LeadView.model_validate_json(lead.content)
    assert lead.json()["corrects"] == int(first["id"])
    assert lead.json()["external"] == [key]
    event = {"external": {**key, "object": "Event"}, "firm_id": "600005", "date": "2025-01-02",
             "amount_10k_cny": 7}  # fmt: skip
    assert [
        upsert(own, "events", e)["results"][0]["status"]
        for e in (event, event, {**event, "amount_10k_cny": 8})
    ] == ["created", "unchanged", "updated"]
    events = own.get("/v1/events", params={"external": "espocrm:Event:l1"}).json()["items"]
    assert [e["amount_10k_cny"] for e in events] == [8]


def test_a_town_is_replaced_and_shows_its_external_id(own: TestClient) -> None:
    key = {"system": "espocrm", "object": "Town", "id": "t1"}
    town = {"external": key, "id": "syn-upserted", "name": "合成批量专业镇", "products": ["阀门"]}
    assert upsert(own, "towns", town)["results"][0]["status"] == "created"
    del town["id"]
    assert upsert(own, "towns", town)["results"][0]["status"] == "unchanged"
    items = own.get("/v1/towns", params={"external": "espocrm:Town:t1"}).json()["items"]
    assert [(t["id"], t["external"]) for t in items] == [("syn-upserted", [key])]


# bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["firms", "towns", "leads", "events"])
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"items": []}', 422, "validation_failed"),
        (b'{"items": [' + b",".join([b"{}"] * 201) + b"]}", 422, "validation_failed"),
        (b'{"items": {}}', 422, "validation_failed"),
        (b'{"items": [{}], "all_or_none": "yes"}', 422, "validation_failed"),
        (b'{"items": [{}], "more": 1}', 422, "validation_failed"),
        (b'{"items": [{"name": NaN}]}', 422, "invalid_number"),
        (b'{"items": [{"name": 1e400}]}', 422, "invalid_number"),
        (b'{"items": [{"name": 9223372036854775808}]}', 422, "invalid_number"),
        (b'{"items": [{"name": "a\\u0000"}]}', 422, "invalid_text"),
        (b'{"items": [{"name": "\\ud800"}]}', 422, "invalid_text"),
        (b'{"items": [{"name": "a", "name": "b"}]}', 422, "duplicate_key"),
        (b'{"items": [' + b"[" * 40 + b"]" * 40 + b"]}", 422, "too_deep"),
        (b"[", 400, "invalid_json"),
        (b'{"items": ["' + b"x" * 1_000_000 + b'"]}', 413, "body_too_large"),
    ],
)
def test_doubtful_bodies_are_refused_as_a_whole(
    own: TestClient, what: str, body: bytes, status: int, code: str
) -> None:
    headers = {"Content-Type": "application/json"}
    response = own.post(f"/v1/{what}:upsert", content=body, headers=headers)
    assert code_of(response, status) == code


@pytest.mark.parametrize(
    "item",
    [
        {"name": "合成", "capital_10k_cny": 1e13}, {"name": "合成", "capital_10k_cny": -1},
        {"name": "合成", "employees": 2**62}, {"name": "合成", "employees": 1.5},
        {"name": "合成", "employees": True}, {"name": "合" * 201}, {"name": ["合成"]},
        {"name": "合成", "founded": "2999-01-01"}, {"name": "合成", "founded": "昨天"},
        {"name": "合成", "marks": ["国家队"]}, {"name": "合成", "firm_id": ""},
        {"name": "合成", "uscc": "91140500011000000X"}, {"name": "合成", "stock_code": "abc!"},
        {"name": "合成", "external": {"system": "a", "object": "b"}},
        {"name": "合成", "external": {"system": "a b", "object": "b", "id": "1"}},
        {"name": "合成", "external": {"system": "a:b", "object": "c", "id": "1"}},
        {"name": "合成", "external": {"system": "a", "object": "b:c", "id": "1"}},
        {"name": "合成", "external": "a:b:1"}, {"name": "—"}, {}, None, 7, [],
    ],
)  # fmt: skip
def test_an_item_that_cannot_be_believed_is_rejected_alone(own: TestClient, item: Any) -> None:
    done = upsert(own, "firms", item, {"name": "合成好公司"})
    assert done["results"][0]["status"] == "rejected", done
    assert done["results"][1]["status"] in ("created", "unchanged")


def test_an_external_id_may_hold_colons_and_is_found_its_system_and_object_may_not(
    own: TestClient,
) -> None:
    key = {"system": "crm", "object": "Account", "id": "7:a::b"}
    upsert(own, "firms", {"external": key, "name": "合成冒号公司"})
    (found,) = own.get("/v1/firms", params={"external": "crm:Account:7:a::b"}).json()["items"]
    assert (found["name"], found["external"]) == ("合成冒号公司", [key])
    done = upsert(own, "firms", {"external": {**key, "object": "a:b"}, "name": "合成冒号二公司"})
    error = done["results"][0]["error"]
    assert "冒号" in error["detail"]
    assert [e["pointer"] for e in error["errors"]] == ["/items/0/external/object"]


@pytest.mark.parametrize("town_id", [".", "..", "...."])
def test_a_town_that_no_address_could_name_is_not_made(own: TestClient, town_id: str) -> None:
    (done,) = upsert(own, "towns", {"id": town_id, "name": f"合成点镇{town_id}"})["results"]
    assert (done["status"], "点" in done["error"]["detail"]) == ("rejected", True)
    assert town_id not in {t["id"] for t in own.get("/v1/towns?limit=200").json()["items"]}


def test_formulas_are_stored_as_text(own: TestClient) -> None:
    text = '=HYPERLINK("http://x","y")<script>'
    (done,) = upsert(own, "firms", {"name": "合成公式公司", "scope": text})["results"]
    assert own.get(f"/v1/firms/{done['id']}").json()["scope"] == text


# ETag, If-Match ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/v1/towns/syn-silk", "/v1/firms/600005", "/v1/towns", "/v1/firms"]
)
def test_what_has_not_changed_is_not_sent_again(own: TestClient, path: str) -> None:
    plain = {"Accept-Encoding": "identity"}
    first = own.get(path, headers=plain)
    tag = first.headers["etag"]
    assert tag.startswith('"')
    for known in (tag, f'"a,b", W/{tag}', "*"):
        again = own.get(path, headers={"If-None-Match": known, **plain})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    packed = own.get(path).headers["etag"]
    assert own.get(path, headers={"If-None-Match": packed}).status_code == 304
    assert own.get(path, headers={"If-None-Match": '"x"', **plain}).content == first.content
    assert code_of(own.get(path, headers={"If-None-Match": "x"}), 400) == "invalid_etag"


def test_a_town_that_is_there_is_not_made_anew(own: TestClient) -> None:
    path, town = "/v1/towns/syn-once", {"name": "合成只建一次镇"}
    new = {"If-None-Match": "*"}
    assert code_of(own.put(path, json=town, headers={"If-None-Match": "x"}), 400) == "invalid_etag"
    assert own.put(path, json=town, headers=new).status_code == 201
    there = own.get(path)
    for known in ("*", there.headers["etag"], f'"x", W/{there.headers["etag"]}'):
        other = {**town, "city": "阳泉市"}
        refused = own.put(path, json=other, headers={"If-None-Match": known})
        assert code_of(refused, 412) == "precondition_failed"
        assert own.get(path).content == there.content
    changed = own.put(path, json={**town, "city": "晋城市"}, headers={"If-None-Match": '"x"'})
    assert changed.json()["change"] == "updated"


def test_a_stale_change_of_a_town_is_refused(own: TestClient) -> None:
    path, town = "/v1/towns/syn-etag", {"name": "合成标签专业镇"}
    absent = own.put(path, json=town, headers={"If-Match": "*"})
    assert code_of(absent, 412) == "precondition_failed"
    assert own.put(path, json=town).status_code == 201
    tag = own.get(path).headers["etag"]
    assert (
        own.put(path, json={**town, "city": "晋城市"}, headers={"If-Match": tag}).status_code == 200
    )
    stale = own.put(path, json={**town, "city": "阳泉市"}, headers={"If-Match": tag})
    assert code_of(stale, 412) == "precondition_failed"
    weak = own.get(path).headers["etag"]
    assert own.put(path, json=town, headers={"If-Match": f"W/{weak}"}).status_code == 412
    assert own.get(path).json()["city"] == "晋城市"
    assert own.put(path, json=town, headers={"If-Match": f'"x", {weak}'}).status_code == 200
