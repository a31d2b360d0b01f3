"""Lists of matches: pages, filters, reasons, explanations, profiles sent along."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.pages import seal, unseal
from api.schemas import ExplanationView, MatchPage
from tests.api.api_world import TOWNS, Get, client_of, code_of, firm_rows, make_world, write_firms
from zyz_match.service import Service

MATCHES = "/v1/towns/syn-casting/matches"


def pages(get: Get, **params: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = get(MATCHES, MatchPage, **params, **cursor)
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        assert len(page["items"]) == params["limit"]
        cursor = {"cursor": page["next_cursor"]}


def test_a_list_is_ranked_and_every_firm_has_one_reason(get: Get) -> None:
    page = get(MATCHES, MatchPage)
    assert [m["rank"] for m in page["items"]] == list(range(1, 21))
    scores = [m["score"] for m in page["items"]]
    assert scores == sorted(scores, reverse=True)
    assert all(m["reason"] and m["contributions"] is None for m in page["items"])
    assert page["town"] == {"id": "syn-casting", "name": "合成铸造专业镇"}
    assert page["total"] == 60
    assert page["items"][0]["firm"]["industry"] == "3391"


def test_a_stored_towns_list_leaves_a_receipt(get: Get) -> None:
    assert get(MATCHES, MatchPage)["shortlist_id"]


def test_contributions_come_when_asked_for_and_sum_to_the_score(get: Get) -> None:
    for match in get(MATCHES, MatchPage, include="reasons")["items"]:
        parts = match["contributions"]
        assert sum(p["points"] for p in parts) == pytest.approx(match["score"], abs=1e-9)
        assert any(p["evidence"] for p in parts)


@pytest.mark.parametrize("limit", [1, 7, 50])
def test_pages_are_equal_to_the_one_long_list(get: Get, limit: int) -> None:
    whole = get(MATCHES, MatchPage, limit=200)
    assert whole["next_cursor"] is None
    assert pages(get, limit=limit) == whole["items"]
    assert len(whole["items"]) == whole["pool"]


def test_pages_of_a_filtered_list_are_equal_to_the_one_long_list(get: Get) -> None:
    filters = {"province": ["浙江省", "江苏省"], "capital_min": 500}
    whole = get(MATCHES, MatchPage, limit=200, **filters)["items"]
    assert pages(get, limit=4, **filters) == whole


def test_a_page_that_ends_with_the_list_has_no_next_page(get: Get) -> None:
    pool = get(MATCHES, MatchPage)["pool"]
    assert get(MATCHES, MatchPage, limit=pool)["next_cursor"] is None
    assert get(MATCHES, MatchPage, limit=pool - 1)["next_cursor"] is not None


Firm = dict[str, Any]
HOLDS: list[tuple[dict[str, Any], Callable[[Firm], bool]]] = [
    ({"province": "浙江省"}, lambda f: f["province"] == "浙江省"),
    ({"province": ["浙江省", "山东省"]}, lambda f: f["province"] in ("浙江省", "山东省")),
    ({"city": "苏州市"}, lambda f: f["city"] == "苏州市"),
    ({"industry": "3391"}, lambda f: f["industry"] == "3391"),
    ({"industry": ["3391", "1742"]}, lambda f: f["industry"] in ("3391", "1742")),
    ({"capital_min": 1000}, lambda f: (f["capital_10k_cny"] or 0) >= 1000),
    ({"capital_max": 900.5}, lambda f: (f["capital_10k_cny"] or 1e9) <= 900.5),
    ({"employees_min": 100, "employees_max": 300}, lambda f: 100 <= (f["employees"] or 0) <= 300),
    ({"mark": "高新技术企业"}, lambda f: "高新技术企业" in f["marks"]),
    ({"listed": "true"}, lambda f: f["stock_code"] is not None),
    ({"listed": "false"}, lambda f: f["stock_code"] is None),
    ({"status": "存续"}, lambda f: f["status"] == "存续"),
    ({"text": "阀门"}, lambda f: f["industry"] in ("3391", "3443")),
]


@pytest.mark.parametrize(("params", "holds"), HOLDS, ids=[str(params) for params, _ in HOLDS])
def test_a_filter_keeps_the_firms_it_should_and_no_other(
    get: Get, params: dict[str, Any], holds: Callable[[Firm], bool]
) -> None:
    every = get(MATCHES, MatchPage, limit=200)["items"]
    wanted = [m["firm"]["firm_id"] for m in every if holds(m["firm"])]
    found = get(MATCHES, MatchPage, limit=200, **params)
    assert [m["firm"]["firm_id"] for m in found["items"]] == wanted
    assert found["pool"] == len(wanted)
    assert 0 < len(wanted) <= len(every)


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "1.5"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"capital_min": "NaN"}, "capital_min"),
        ({"capital_max": "Infinity"}, "capital_max"),
        ({"capital_min": "1e400"}, "capital_min"),
        ({"capital_min": "-1"}, "capital_min"),
        ({"employees_min": str(2**63)}, "employees_min"),
        ({"mark": "世界五百强"}, "mark"),
        ({"listed": "maybe"}, "listed"),
        ({"province": ""}, "province"),
        ({"text": ""}, "text"),
        ({"text": "长" * 201}, "text"),
        ({"include": "contacts"}, "include"),
        ({"cursor": ""}, "cursor"),
        ({"city": ["宁波市"] * 51}, "city"),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_name(
    client: TestClient, params: dict[str, Any], parameter: str
) -> None:
    response = client.get(MATCHES, params=params)
    assert code_of(response, 422) == "validation_failed"
    assert {e["parameter"] for e in response.json()["errors"]} == {parameter}


@pytest.mark.parametrize(
    "params",
    [
        {"capital_min": 2, "capital_max": 1},
        {"employees_min": 2, "employees_max": 1},
        {"province": "火星省"},
        {"industry": "不存在的行业"},
    ],
)
def test_a_filter_that_means_nothing_is_refused(client: TestClient, params: dict[str, Any]) -> None:
    assert code_of(client.get(MATCHES, params=params), 422) == "invalid_input"


def test_a_diversified_list_is_one_page(client: TestClient, get: Get) -> None:
    page = get(MATCHES, MatchPage, limit=8, diversify="true")
    assert len(page["items"]) == 8
    assert page["next_cursor"] is None
    cursor = get(MATCHES, MatchPage, limit=1)["next_cursor"]
    response = client.get(MATCHES, params={"diversify": "true", "cursor": cursor})
    assert code_of(response, 422) == "invalid_cursor"


# cursors -----------------------------------------------------------------------------------


def flipped(cursor: str) -> str:
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    raw[len(raw) // 2] ^= 1
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def forged(cursor: str) -> str:
    return seal(["m1", "nan", *unseal(cursor, "m1", 8)[2:]])


@pytest.mark.parametrize(
    "spoil",
    [
        flipped, forged, lambda c: c[:-3], lambda c: c + "AAAA", lambda c: c + "=",
        lambda c: "x", lambda c: "游标", lambda c: "A" * 2000, lambda c: seal(["m1"]),
        lambda c: seal(["t1", "syn-silk"]), lambda c: seal([]),
    ],
)  # fmt: skip
def test_a_cursor_that_is_not_ours_is_refused(
    client: TestClient, get: Get, spoil: Callable[[str], str]
) -> None:
    cursor = get(MATCHES, MatchPage, limit=1)["next_cursor"]
    response = client.get(MATCHES, params={"cursor": spoil(cursor)})
    assert code_of(response, 422) == "invalid_cursor"


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/v1/towns/syn-silk/matches", {}),
        (MATCHES, {"province": "浙江省"}),
        (MATCHES, {"text": "铸"}),
    ],
)
def test_a_cursor_of_another_query_is_refused(
    client: TestClient, get: Get, path: str, params: dict[str, str]
) -> None:
    cursor = get(MATCHES, MatchPage, limit=1)["next_cursor"]
    response = client.get(path, params={**params, "cursor": cursor})
    assert code_of(response, 422) == "invalid_cursor"


def test_a_cursor_goes_on_with_another_limit_and_with_reasons(get: Get) -> None:
    cursor = get(MATCHES, MatchPage, limit=3)["next_cursor"]
    page = get(MATCHES, MatchPage, limit=2, cursor=cursor, include="reasons")
    assert [m["rank"] for m in page["items"]] == [4, 5]


def test_a_cursor_is_stale_after_the_profile_changed(client: TestClient, get: Get) -> None:
    town = {"name": "合成游标镇", "products": ["真丝绸"]}
    client.put("/v1/towns/cursor-town", json=town)
    cursor = get("/v1/towns/cursor-town/matches", MatchPage, limit=1)["next_cursor"]
    client.put("/v1/towns/cursor-town", json={**town, "products": ["水泵"]})
    response = client.get("/v1/towns/cursor-town/matches", params={"cursor": cursor})
    assert code_of(response, 400) == "stale_cursor"


def test_a_cursor_is_stale_after_an_import_and_the_new_firm_is_ranked(tmp_path: Path) -> None:
    settings = make_world(tmp_path, firm_rows(20))
    with client_of(settings) as client:
        first = client.get(MATCHES, params={"limit": 2}).json()
        service = client.app.state.service  # type: ignore[attr-defined]
        service.import_firms(write_firms(tmp_path / "more.csv", firm_rows(4, first=100)))
        response = client.get(MATCHES, params={"cursor": first["next_cursor"]})
        assert code_of(response, 400) == "stale_cursor"
        anew = client.get(MATCHES, params={"limit": 200}).json()
        assert anew["data"] != first["data"]
        assert anew["total"] == 24


def test_a_cursor_of_newly_added_firms_holds_until_the_index_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "late_from", 0)
    monkeypatch.setattr(Service, "_follow", lambda self: None)
    settings = make_world(tmp_path, firm_rows(20))
    with client_of(settings) as client:
        service = client.app.state.service  # type: ignore[attr-defined]
        service.import_firms(write_firms(tmp_path / "more.csv", firm_rows(4, first=100)))
        first = client.get(MATCHES, params={"limit": 2}).json()
        assert first["total"] == 24
        second = client.get(MATCHES, params={"limit": 2, "cursor": first["next_cursor"]}).json()
        assert [m["rank"] for m in second["items"]] == [3, 4]
        assert second["data"] == first["data"] == service.index().stamp
        service.index(whole=True)
        response = client.get(MATCHES, params={"cursor": first["next_cursor"]})
        assert code_of(response, 400) == "stale_cursor"


# explanations ------------------------------------------------------------------------------


def test_an_explanation_agrees_with_the_list(get: Get) -> None:
    third = get(MATCHES, MatchPage, include="reasons")["items"][2]
    found = get(f"{MATCHES}/{third['firm']['firm_id']}", ExplanationView)
    assert found["rank"] == 3
    assert found["excluded"] is None
    assert found["match"] == third


def test_an_excluded_firm_is_explained(get: Get) -> None:
    found = get(f"{MATCHES}/合成晋城铸造003有限公司", ExplanationView)
    assert (found["rank"], found["match"]) == (None, None)
    assert "晋城市" in found["excluded"]


@pytest.mark.parametrize("path", [f"{MATCHES}/没有这家", "/v1/towns/没有这镇/matches/600000"])
def test_an_explanation_of_the_unknown_is_not_found(client: TestClient, path: str) -> None:
    assert code_of(client.get(path), 404) == "not_found"


# a profile sent along ----------------------------------------------------------------------


def post(client: TestClient, **body: Any) -> dict[str, Any]:
    response = client.post("/v1/matches", json={"town": TOWNS[0], **body})
    assert response.status_code == 200, response.text
    MatchPage.model_validate_json(response.content)
    found: dict[str, Any] = response.json()
    return found


def test_a_profile_sent_along_ranks_as_the_stored_one(client: TestClient, get: Get) -> None:
    sent, stored = post(client, limit=200), get(MATCHES, MatchPage, limit=200)
    assert sent["items"] == stored["items"]
    assert sent["shortlist_id"] not in (None, "", stored["shortlist_id"])


def test_a_profile_sent_along_is_not_kept(client: TestClient) -> None:
    post(client, town={**TOWNS[0], "id": "not-kept"})
    assert client.get("/v1/towns/not-kept").status_code == 404


def test_pages_of_a_profile_sent_along_are_equal_to_the_one_long_list(client: TestClient) -> None:
    body: dict[str, Any] = {
        "filters": {"province": ["浙江省", "江苏省"], "listed": False, "capital_min": 100},
        "include": ["reasons"],
    }
    whole = post(client, limit=200, **body)["items"]
    first = post(client, limit=5, **body)
    second = post(client, limit=200, cursor=first["next_cursor"], **body)
    assert first["items"] + second["items"] == whole
    assert whole[0]["contributions"]


def test_a_changed_profile_makes_its_cursor_stale(client: TestClient) -> None:
    cursor = post(client, limit=1)["next_cursor"]
    body = {"town": {**TOWNS[0], "products": ["水泵"]}, "cursor": cursor}
    assert code_of(client.post("/v1/matches", json=body), 400) == "stale_cursor"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/town"),
        ({"town": {"name": "无编号"}}, "/town/id"),
        ({"town": TOWNS[0], "limit": 0}, "/limit"),
        ({"town": TOWNS[0], "limit": "20"}, "/limit"),
        ({"town": TOWNS[0], "limit": 20.5}, "/limit"),
        ({"town": TOWNS[0], "top": 5}, "/top"),
        ({"town": TOWNS[0], "filters": {"provinces": ["浙江省"]}}, "/filters/provinces"),
        ({"town": TOWNS[0], "filters": {"province": "浙江省"}}, "/filters/province"),
        ({"town": TOWNS[0], "filters": {"mark": ["五百强"]}}, "/filters/mark/0"),
        ({"town": TOWNS[0], "filters": {"listed": "true"}}, "/filters/listed"),
        ({"town": TOWNS[0], "include": ["contacts"]}, "/include/0"),
    ],
)
def test_a_wrong_request_is_refused_by_the_name_of_the_field(
    client: TestClient, body: dict[str, Any], pointer: str
) -> None:
    response = client.post("/v1/matches", json=body)
    assert code_of(response, 422) == "validation_failed"
    assert [e["pointer"] for e in response.json()["errors"]] == [pointer]
