"""The description of the interface, and the page that shows it without any outside address."""

import base64
import hashlib
import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from api import examples, schemas, schemas_models
from api.strict_route import StrictRoute

ANSWER_MODELS: dict[str, type[schemas.Answer | schemas.Strict]] = {
    "health": schemas.Health,
    "towns": schemas.TownPage,
    "town": schemas.TownProfile,
    "town_put": schemas.TownPut,
    "matches": schemas.MatchPage,
    "post_matches": schemas.MatchPage,
    "explanation": schemas.ExplanationView,
    "firm": schemas.FirmDetail,
    "firm_towns": schemas.TownFits,
    "similar": schemas.Similars,
    "lead_post": schemas.LeadRecorded,
    "leads": schemas.LeadPage,
    "event_post": schemas.EventRecorded,
    "list": schemas.ListReceipt,
    "job": schemas_models.JobView,
    "jobs": schemas_models.JobList,
    "job_cancel": schemas_models.JobView,
    "retrain": schemas_models.JobView,
    "watch": schemas_models.WatchView,
    "models": schemas_models.ModelList,
    "model": schemas_models.ModelView,
    "promote": schemas_models.ServingView,
    "serving": schemas_models.ServingView,
}


@pytest.fixture(scope="module")
def description(session_client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = session_client.get("/openapi.json").json()
    return found


def operations(description: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(f"{m} {p}", o) for p, ms in description["paths"].items() for m, o in ms.items()]


def test_every_planned_route_is_described(description: dict[str, Any]) -> None:
    assert sorted(name for name, _ in operations(description)) == [
        "get /v1/firms/{firm_id}",
        "get /v1/firms/{firm_id}/similar",
        "get /v1/firms/{firm_id}/towns",
        "get /v1/healthz",
        "get /v1/jobs",
        "get /v1/jobs/{job_id}",
        "get /v1/leads",
        "get /v1/lists/{list_id}",
        "get /v1/models",
        "get /v1/models/{version}",
        "get /v1/towns",
        "get /v1/towns/{town_id}",
        "get /v1/towns/{town_id}/matches",
        "get /v1/towns/{town_id}/matches/{firm_id}",
        "get /v1/watch",
        "post /v1/events",
        "post /v1/jobs/{job_id}:cancel",
        "post /v1/leads",
        "post /v1/matches",
        "post /v1/models/{version}:promote",
        "post /v1/models:retrain",
        "post /v1/models:rollback",
        "put /v1/towns/{town_id}",
    ]


def test_every_route_has_a_chinese_summary_and_an_example(description: dict[str, Any]) -> None:
    for name, operation in operations(description):
        assert re.search("[\u4e00-\u9fff]", operation["summary"]), name
        assert re.search("[\u4e00-\u9fff]", operation["description"]), name
        good = next(a for s, a in operation["responses"].items() if s.startswith("2"))
        assert good["content"]["application/json"]["example"], name
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), (name, parameter["name"])
        if "requestBody" in operation:
            assert operation["requestBody"]["content"]["application/json"]["examples"], name


def test_every_error_is_described_as_a_problem(description: dict[str, Any]) -> None:
    for name, operation in operations(description):
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert answer == {"$ref": f"#/components/responses/Problem{status}"}, name
    for answer in description["components"]["responses"].values():
        assert list(answer["content"]) == ["application/problem+json"]


def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    for ref in re.findall(r"'\$ref': '#/([^']+)'", str(description)):
        node = description
        for part in ref.split("/"):
            node = node[part]


@pytest.mark.parametrize("key", sorted(examples.ANSWERS))
def test_an_example_answer_fits_its_schema(key: str) -> None:
    ANSWER_MODELS[key].model_validate(examples.ANSWERS[key])


def test_the_example_bodies_and_the_example_problem_fit_their_schemas() -> None:
    schemas.TownBody.model_validate(examples.BODIES["town"][1])
    schemas.MatchRequest.model_validate(examples.BODIES["match_request"][1])
    schemas.LeadBody.model_validate(examples.BODIES["lead"][1])
    schemas.EventBody.model_validate(examples.BODIES["event"][1])
    schemas.Problem.model_validate(examples.PROBLEM)


def test_the_example_bodies_work(client: TestClient) -> None:
    put = client.put("/v1/towns/example", json=examples.BODIES["town"][1])
    assert put.status_code == 201, put.text
    ranked = client.post("/v1/matches", json=examples.BODIES["match_request"][1])
    assert ranked.status_code == 200, ranked.text


def test_the_docs_page_loads_nothing_from_outside(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "//" not in re.sub("<!--.*?-->", "", page.text, flags=re.DOTALL)
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(files) == 3
    for file in files:
        assert client.get(file).status_code == 200, file


def test_the_policy_of_the_docs_page_admits_its_own_scripts_only(client: TestClient) -> None:
    page = client.get("/docs")
    policy = page.headers["content-security-policy"]
    (script,) = re.findall("<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert "http" not in policy


def test_data_answers_run_nothing_and_are_not_kept(client: TestClient) -> None:
    headers = client.get("/v1/towns").headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")


def test_every_data_route_is_strict() -> None:
    from api.routes import firms, health, jobs, matches, models, towns

    for module in (firms, health, jobs, matches, models, towns):
        assert all(isinstance(r, StrictRoute) for r in module.router.routes)
