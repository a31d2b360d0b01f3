"""Towns: list, read, put."""

import pytest
from starlette.testclient import TestClient

from api.schemas import MatchPage, TownPage, TownProfile, TownPut
from tests.api.api_world import TOWNS, Get, code_of

TOWN = {
    "name": "合成阀门专业镇",
    "products": [{"term": "工业阀门", "weight": 2.5}, "水泵"],
    "industries": ["3443"],
    "chain": [{"segment": "阀体", "role": "upstream", "need": None, "terms": ["阀门铸件"]}],
    "preferences": {"备注": ["合成", 1, 2.5, None, True]},
}


def test_pages_of_towns_are_equal_to_the_one_long_list(get: Get) -> None:
    whole = get("/v1/towns", TownPage, limit=200)
    paged: list[dict[str, str]] = []
    cursor: dict[str, str] = {}
    while True:
        page = get("/v1/towns", TownPage, limit=1, **cursor)
        assert len(page["items"]) == 1
        paged += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert paged == whole["items"]
    assert whole["total"] == len(paged) >= len(TOWNS)
    assert [t["id"] for t in paged] == sorted(t["id"] for t in paged)


@pytest.mark.parametrize("text", ["syn-casting", "合成铸造专业镇", "合成铸造"])
def test_a_town_is_found_by_id_or_name(get: Get, text: str) -> None:
    town = get(f"/v1/towns/{text}", TownProfile)
    assert town["id"] == "syn-casting"
    assert town["products"] == [{"term": "球墨铸铁件", "weight": 3.0}, "阀门铸件"]


def test_an_unknown_town_offers_the_nearest_names(client: TestClient) -> None:
    response = client.get("/v1/towns/合成丝調")
    assert code_of(response, 404) == "not_found"
    assert any("合成丝绸" in e["detail"] for e in response.json()["errors"])


def test_an_ambiguous_name_is_not_guessed(client: TestClient) -> None:
    assert code_of(client.get("/v1/towns/合成"), 404) == "not_found"


def test_a_new_town_is_created_and_ranks_at_once(client: TestClient, get: Get) -> None:
    response = client.put("/v1/towns/新-阀门", json=TOWN)
    assert response.status_code == 201
    assert response.headers["location"] == "/v1/towns/%E6%96%B0-%E9%98%80%E9%97%A8"
    put = TownPut.model_validate_json(response.content)
    assert put.change == "created"
    assert get(response.headers["location"], TownProfile)["name"] == "合成阀门专业镇"
    page = get("/v1/towns/新-阀门/matches", MatchPage, limit=5)
    assert page["items"][0]["firm"]["industry"] == "3443"


def test_putting_the_same_twice_changes_nothing(client: TestClient) -> None:
    town = {**TOWN, "name": "合成两次镇"}
    first = client.put("/v1/towns/twice", json=town)
    again = client.put("/v1/towns/twice", json={**town, "id": "twice"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["change"] == "unchanged"
    assert again.json()["town"] == first.json()["town"]


def test_a_changed_profile_updates_and_reorders_at_once(client: TestClient, get: Get) -> None:
    client.put("/v1/towns/changing", json={"name": "合成变化镇", "products": ["真丝绸"]})
    before = get("/v1/towns/changing/matches", MatchPage, limit=1)["items"][0]["firm"]
    put = client.put("/v1/towns/changing", json={"name": "合成变化镇", "products": ["琉璃瓦"]})
    assert (put.status_code, put.json()["change"]) == (200, "updated")
    after = get("/v1/towns/changing/matches", MatchPage, limit=1)["items"][0]["firm"]
    assert (before["industry"], after["industry"]) == ("1742", "3071")


def test_what_is_read_can_be_put_back(client: TestClient, get: Get) -> None:
    town = get("/v1/towns/syn-casting", TownProfile)
    assert client.put("/v1/towns/syn-casting", json=town).json()["change"] == "unchanged"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"nmae": "错"}, "/nmae"),
        ({"name": None}, "/name"),
        ({"name": ""}, "/name"),
        ({"products": "阀门"}, "/products"),
        ({"products": [7]}, "/products/0"),
        ({"products": [{"term": "阀门", "wieght": 2}]}, "/products/0/wieght"),
        ({"products": [{"term": "阀门", "weight": True}]}, "/products/0/weight"),
        ({"products": [{"term": "阀门", "weight": -1}]}, "/products/0/weight"),
        ({"industries": [3391]}, "/industries/0"),
        ({"chain": [{"segment": "阀体", "role": "middle"}]}, "/chain/0/role"),
        ({"chain": [{"segment": "阀体", "a/b": 1}]}, "/chain/0/a~1b"),
        ({"preferences": []}, "/preferences"),
    ],
)
def test_a_wrong_profile_is_refused_by_the_name_of_the_field(
    client: TestClient, change: dict[str, object], pointer: str
) -> None:
    response = client.put("/v1/towns/wrong", json={**TOWN, **change})
    assert code_of(response, 422) == "validation_failed"
    assert [e["pointer"] for e in response.json()["errors"]] == [pointer]
    assert client.get("/v1/towns/wrong").status_code == 404


def test_a_missing_name_is_refused(client: TestClient) -> None:
    response = client.put("/v1/towns/wrong", json={"products": ["阀门"]})
    assert response.json()["errors"] == [
        {"detail": "缺少必填的“name”，请补上。", "pointer": "/name"}
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"chain": [{"segment": "阀体"}, {"segment": "阀体"}]},
        {"name": " 合成 "},
        {"preferences": {"深": [[[[[[[[[1]]]]]]]]]}},
        {"city": "晋\u2028城"},
    ],
)
def test_what_only_the_profile_rules_know_is_refused_too(
    client: TestClient, change: dict[str, object]
) -> None:
    assert code_of(client.put("/v1/towns/wrong", json={**TOWN, **change}), 422) == "invalid_profile"


def test_the_id_of_the_body_must_be_that_of_the_path(client: TestClient) -> None:
    response = client.put("/v1/towns/wrong", json={**TOWN, "id": "other"})
    assert code_of(response, 422) == "id_mismatch"


def test_an_id_with_a_blank_is_refused(client: TestClient) -> None:
    assert code_of(client.put("/v1/towns/a%20b", json=TOWN), 422) == "invalid_profile"


def test_a_cursor_of_matches_is_no_cursor_of_towns(client: TestClient, get: Get) -> None:
    cursor = get("/v1/towns/syn-casting/matches", MatchPage, limit=1)["next_cursor"]
    response = client.get("/v1/towns", params={"cursor": cursor})
    assert code_of(response, 422) == "invalid_cursor"
