"""Leads, events and receipts at the door."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.pages import seal
from api.schemas import EventRecorded, LeadPage, LeadRecorded, ListReceipt, MatchPage
from tests.api.api_world import TOWNS, client_of, code_of, firm_rows, make_world
from zyz_match.days import today

TOWN, FIRM, OTHER = "syn-casting", "合成宁波铸造000有限公司", "合成苏州铸造001有限公司"
BODY: dict[str, Any] = {
    "town_id": TOWN, "firm_id": FIRM, "stage": "contacted", "date": "2024-03-01",
}  # fmt: skip


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """An application of its own: what is written here must not reach the other tests."""
    with client_of(make_world(tmp_path_factory.mktemp("leads"), firm_rows(24))) as client:
        yield client


def post(client: TestClient, status: int = 201, **more: Any) -> dict[str, Any]:
    response = client.post("/v1/leads", json={**BODY, **more})
    assert response.status_code == status, response.text
    LeadRecorded.model_validate_json(response.content)
    lead: dict[str, Any] = response.json()["lead"]
    return lead


# leads -------------------------------------------------------------------------------------


def test_a_lead_is_created_once(own: TestClient) -> None:
    lead = post(own, owner="张三", reason="land", note="电话")
    assert (lead["stage"], lead["via"], lead["effective"]) == ("contacted", "api", True)
    assert lead["note"] == "电话"
    assert post(own, 200, owner="张三", reason="land", note="电话") == lead


def test_a_lead_has_today_as_its_date_and_may_name_by_name(own: TestClient) -> None:
    body = {"town_id": "合成丝绸", "firm_id": OTHER, "stage": "recommended"}
    lead = own.post("/v1/leads", json=body).json()["lead"]
    assert (lead["date"], lead["town_id"]) == (today().isoformat(), "syn-silk")
    assert lead["reason"] is lead["owner"] is lead["note"] is lead["list_id"] is None


def test_a_correction_is_an_entry_of_its_own(own: TestClient) -> None:
    wrong = post(own, firm_id=OTHER, stage="signed", town_id="syn-ceramics")
    fixed = post(own, firm_id=OTHER, stage="visited", town_id="syn-ceramics", corrects=wrong["id"])
    found = own.get("/v1/leads", params={"town": "syn-ceramics"}).json()["items"]
    assert {e["id"]: e["effective"] for e in found} == {wrong["id"]: False, fixed["id"]: True}
    again = {"firm_id": OTHER, "town_id": "syn-ceramics", "corrects": wrong["id"]}
    assert code_of(own.post("/v1/leads", json=BODY | again), 422) == "invalid_input"


@pytest.mark.parametrize(
    ("wrong", "status", "code", "said"),
    [
        ({"stage": "飞了"}, 422, "validation_failed", "已推荐"),
        ({"stage": 3}, 422, "validation_failed", "文字"),
        ({"reason": "路远"}, 422, "validation_failed", "用地"),
        ({"date": "2024-02-30"}, 422, "validation_failed", "2025-06-30"),
        ({"date": "20240301T00"}, 422, "validation_failed", "2025-06-30"),
        ({"date": str(today() + timedelta(2))}, 422, "invalid_input", "晚于今天"),
        ({"date": "1999-01-01"}, 422, "invalid_input", "早于企业成立日期"),
        ({"note": "长" * 2001}, 422, "validation_failed", "2000"),
        ({"corrects": 0}, 422, "validation_failed", "不小于 1"),
        ({"corrects": 2**40}, 404, "not_found", "没有第"),
        ({"town_id": "哪里"}, 404, "not_found", "相近"),
        ({"firm_id": "合成"}, 404, "not_found", "多家"),
        ({"list_id": "L0"}, 422, "invalid_input", "没有名单"),
        ({"who": "x"}, 422, "validation_failed", "不认识的字段"),
    ],
)
def test_a_wrong_lead_is_a_problem_with_the_cure(
    own: TestClient, wrong: dict[str, Any], status: int, code: str, said: str
) -> None:
    before = own.get("/v1/leads").json()
    response = own.post("/v1/leads", json={**BODY, **wrong})
    assert code_of(response, status) == code
    assert said in response.text
    assert own.get("/v1/leads").json() == before


def test_a_stage_that_goes_backwards_is_a_problem(own: TestClient) -> None:
    post(own, firm_id=OTHER, stage="negotiating")
    late = {"firm_id": OTHER, "stage": "recommended", "date": "2024-04-01"}
    response = own.post("/v1/leads", json={**BODY, **late})
    assert code_of(response, 422) == "invalid_input"
    assert "先后矛盾" in response.json()["detail"]


def test_pages_of_leads_together_are_all_leads(own: TestClient) -> None:
    for day in range(10, 17):
        post(own, firm_id=OTHER, stage="unfit", date=f"2024-05-{day}")
    every = own.get("/v1/leads", params={"firm": OTHER, "limit": 200}).json()["items"]
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        response = own.get("/v1/leads", params={"firm": OTHER, "limit": 3, **cursor})
        LeadPage.model_validate_json(response.content)
        page = response.json()
        found += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == every
    assert [e["date"] for e in every] == sorted((e["date"] for e in every), reverse=True)
    foreign = own.get("/v1/leads", params={"limit": 3, **cursor})
    assert code_of(foreign, 422) == "invalid_cursor"


@pytest.mark.parametrize("place", [("x", "1"), ("2024-01-01", "x"), ("2024-01-01", "1")])
def test_a_cursor_that_was_made_up_is_refused(own: TestClient, place: tuple[str, str]) -> None:
    cursor = seal(["l1", *place, "0" * 16])
    assert code_of(own.get("/v1/leads", params={"cursor": cursor}), 422) == "invalid_cursor"


def test_leads_of_an_unknown_town_are_not_found(own: TestClient) -> None:
    assert code_of(own.get("/v1/leads", params={"town": "哪里"}), 404) == "not_found"
    assert code_of(own.get("/v1/leads", params={"city": "x"}), 422) == "invalid_query"


def test_a_list_tells_how_far_a_firm_has_come(own: TestClient) -> None:
    post(own, stage="visited", date="2024-09-01", owner="李四")
    response = own.get(f"/v1/towns/{TOWN}/matches")
    MatchPage.model_validate_json(response.content)
    told = {m["firm"]["name"]: m for m in response.json()["items"]}
    assert (told[FIRM]["care_stage"], told[FIRM]["care_owner"]) == ("visited", "李四")
    assert sum(m["care_stage"] is None for m in told.values()) > 5
    explained = own.get(f"/v1/towns/{TOWN}/matches/{FIRM}").json()
    assert explained["match"]["care_stage"] == "visited"


# events ------------------------------------------------------------------------------------

EVENT: dict[str, Any] = {
    "firm_id": FIRM, "date": "2024-03-01", "region": "晋城市", "target": "合成乙",
    "amount_10k_cny": 300.0,
}  # fmt: skip


def test_an_event_is_created_once_and_changes_the_data(own: TestClient) -> None:
    before = own.get("/v1/healthz").json()["data"]
    response = own.post("/v1/events", json=EVENT)
    EventRecorded.model_validate_json(response.content)
    assert (response.status_code, response.json()["event"]["amount_10k_cny"]) == (201, 300.0)
    assert own.post("/v1/events", json=EVENT).status_code == 200
    assert own.get("/v1/healthz").json()["data"] != before


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"date": str(today() + timedelta(2))}, 422), ({"firm_id": "没有的公司"}, 404),
        ({"amount_10k_cny": -1}, 422), ({"amount_10k_cny": "300"}, 422), ({"date": None}, 422),
    ],
)  # fmt: skip
def test_a_wrong_event_is_a_problem(own: TestClient, wrong: dict[str, Any], status: int) -> None:
    assert code_of(own.post("/v1/events", json={**EVENT, **wrong}), status)


# receipts ----------------------------------------------------------------------------------


def receipt(client: TestClient, number: str) -> dict[str, Any]:
    response = client.get(f"/v1/lists/{number}")
    assert response.status_code == 200, response.text
    ListReceipt.model_validate_json(response.content)
    found: dict[str, Any] = response.json()
    return found


def test_every_page_that_is_shown_can_be_looked_up_and_made_again(own: TestClient) -> None:
    where = f"/v1/towns/{TOWN}/matches"
    params: dict[str, Any] = {"limit": 4, "province": "浙江省", "capital_min": 100}
    first = own.get(where, params=params).json()
    second = own.get(where, params={**params, "cursor": first["next_cursor"]}).json()
    for page in (first, second):
        found = receipt(own, page["shortlist_id"])
        assert found["reproduction"] == {"same": True, "remarks": []}
        assert [(i["rank"], i["score"]) for i in found["items"]] == [
            (m["rank"], m["score"]) for m in page["items"]
        ]
        assert (found["filters"]["province"], found["limit"]) == (["浙江省"], 4)
    spread = own.get(where, params={"diversify": True}).json()
    assert receipt(own, spread["shortlist_id"])["reproduction"]["same"] is True


def test_a_list_for_a_profile_sent_along_can_be_made_again(own: TestClient) -> None:
    sent = own.post("/v1/matches", json={"town": {**TOWNS[0], "id": "try"}}).json()
    assert receipt(own, sent["shortlist_id"])["reproduction"]["same"] is True


def test_a_list_does_not_change_with_the_profile_of_its_town(own: TestClient) -> None:
    shown = own.get("/v1/towns/syn-ceramics/matches").json()
    changed = {k: v for k, v in TOWNS[2].items() if k != "id"} | {"products": ["蚕丝被"]}
    assert own.put("/v1/towns/syn-ceramics", json=changed).status_code == 200
    assert receipt(own, shown["shortlist_id"])["reproduction"]["same"] is True


def test_a_list_says_which_inputs_are_gone(own: TestClient) -> None:
    shown = own.get(f"/v1/towns/{TOWN}/matches").json()
    assert own.post("/v1/events", json={**EVENT, "date": "2024-04-01"}).status_code == 201
    verdict = receipt(own, shown["shortlist_id"])["reproduction"]
    assert verdict["same"] is None
    assert "企业数据已更新" in verdict["remarks"][0]


def test_a_list_nobody_was_shown_is_not_found(own: TestClient) -> None:
    assert code_of(own.get("/v1/lists/L0"), 404) == "not_found"


@pytest.mark.sqlite
def test_warming_up_leaves_no_receipt(tmp_path: Path) -> None:
    settings = make_world(tmp_path, firm_rows(8))
    with client_of(settings):
        pass
    with closing(sqlite3.connect(tmp_path / "zyz.db")) as connection:
        assert connection.execute("SELECT count(*) FROM shortlist").fetchone() == (0,)
