"""Firms: one, its towns, its look-alikes; never a contact."""

import pytest
from starlette.testclient import TestClient

from api.schemas import FirmDetail, Similars, TownFits
from tests.api.api_world import TOWNS, Get, code_of

CASTER = "合成苏州铸造001有限公司"


@pytest.mark.parametrize("text", ["600000", "合成宁波铸造000有限公司"])
def test_a_firm_is_found_by_id_or_name(get: Get, text: str) -> None:
    firm = get(f"/v1/firms/{text}", FirmDetail)
    assert firm["name"] == "合成宁波铸造000有限公司"
    assert firm["capital_10k_cny"] is None
    assert firm["products"] == ["球墨铸铁件", "阀门铸件", "精密铸件"]
    assert firm["founded"] == "2000-03-01"


def test_an_unknown_firm_is_not_found(client: TestClient) -> None:
    assert code_of(client.get("/v1/firms/没有这家企业"), 404) == "not_found"


def test_an_ambiguous_name_offers_the_candidates(client: TestClient) -> None:
    response = client.get("/v1/firms/合成宁波铸造")
    assert code_of(response, 404) == "not_found"
    assert len(response.json()["errors"]) > 1


@pytest.mark.parametrize("tail", ["", "/towns?include=reasons", "/similar"])
def test_contacts_are_never_answered(client: TestClient, tail: str) -> None:
    text = client.get(f"/v1/firms/{CASTER}{tail}").text
    assert CASTER in text
    for secret in ("13800000001", "who1@example.com", "合成人名"):
        assert secret not in text


def test_the_towns_of_a_firm_begin_with_the_fitting_one(get: Get) -> None:
    found = get(f"/v1/firms/{CASTER}/towns", TownFits, limit=200)
    assert found["firm"]["name"] == CASTER
    assert [i["rank"] for i in found["items"]] == list(range(1, len(found["items"]) + 1))
    places = {i["town"]["id"]: i["match"]["rank"] for i in found["items"]}
    assert min(places.get(t["id"], 999) for t in TOWNS) == places["syn-casting"]
    assert found["items"][0]["match"]["contributions"] is None


def test_the_towns_of_a_firm_are_cut_and_reasoned_when_asked(get: Get) -> None:
    found = get(f"/v1/firms/{CASTER}/towns", TownFits, limit=1, include="reasons")
    assert len(found["items"]) == 1
    assert found["items"][0]["match"]["contributions"]


def test_look_alikes_share_words_and_leave_out_the_firm_itself(get: Get) -> None:
    found = get(f"/v1/firms/{CASTER}/similar", Similars, limit=5)
    assert len(found["items"]) == 5
    assert CASTER not in [i["firm"]["name"] for i in found["items"]]
    assert found["items"][0]["shared"]


def test_look_alikes_can_be_filtered(get: Get) -> None:
    found = get(f"/v1/firms/{CASTER}/similar", Similars, limit=5, province="山东省")
    assert {i["firm"]["province"] for i in found["items"]} == {"山东省"}
