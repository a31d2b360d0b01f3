"""The description of the interface, and the page that shows it without any outside address."""

import base64
import hashlib
import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from api import (
    examples,
    schemas,
    schemas_access,
    schemas_hooks,
    schemas_models,
    schemas_ops,
    schemas_upsert,
)
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
    "events": schemas.EventPage,
    "firms": schemas.FirmPage,
    "lead": schemas.LeadView,
    "firms_upsert": schemas_upsert.UpsertResult,
    "towns_upsert": schemas_upsert.UpsertResult,
    "leads_upsert": schemas_upsert.UpsertResult,
    "events_upsert": schemas_upsert.UpsertResult,
    "import_post": schemas_models.JobView,
    "imports": schemas_upsert.BatchPage,
    "import": schemas_upsert.BatchView,
    "import_undo": schemas_upsert.UndoView,
    "session": schemas_access.CallerView,
    "sign_in": schemas_access.CallerView,
    "sign_out": schemas_access.SignedOut,
    "session_password": schemas_access.CallerView,
    "accounts": schemas_access.AccountList,
    "account": schemas_access.AccountView,
    "account_post": schemas_access.AccountIssued,
    "account_change": schemas_access.AccountView,
    "account_reset": schemas_access.AccountIssued,
    "account_disable": schemas_access.AccountView,
    "account_enable": schemas_access.AccountView,
    "keys": schemas_access.KeyList,
    "key": schemas_access.KeyView,
    "key_post": schemas_access.KeyIssued,
    "key_revoke": schemas_access.KeyView,
    "webhooks": schemas_hooks.WebhookList,
    "webhook": schemas_hooks.WebhookView,
    "webhook_post": schemas_hooks.WebhookIssued,
    "webhook_change": schemas_hooks.WebhookView,
    "webhook_rotate": schemas_hooks.WebhookIssued,
    "webhook_enable": schemas_hooks.WebhookView,
    "webhook_remove": schemas_hooks.WebhookRemoved,
    "webhook_test": schemas_hooks.WebhookTested,
    "deliveries": schemas_hooks.DeliveryPage,
    "redeliver": schemas_hooks.DeliveryView,
    "changes": schemas_hooks.ChangePage,
    "list_publish": schemas_hooks.ListPublishView,
    "hook": schemas_hooks.MessageTaken,
    "messages": schemas_hooks.MessagePage,
    "message_retry": schemas_hooks.MessageView,
    "list": schemas.ListReceipt,
    "livez": schemas_ops.Probe,
    "readyz": schemas_ops.Probe,
    "audit": schemas_ops.AuditPage,
    "contacts": schemas_ops.ContactList,
    "contacts_delete": schemas_ops.Erased,
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
        "delete /v1/firms/{firm_id}/contacts",
        "delete /v1/session",
        "delete /v1/webhooks/{webhook_id}",
        "get /livez",
        "get /readyz",
        "get /v1/accounts",
        "get /v1/accounts/{account_id}",
        "get /v1/audit",
        "get /v1/changes",
        "get /v1/events",
        "get /v1/firms",
        "get /v1/firms/{firm_id}",
        "get /v1/firms/{firm_id}/contacts",
        "get /v1/firms/{firm_id}/similar",
        "get /v1/firms/{firm_id}/towns",
        "get /v1/healthz",
        "get /v1/hooks/{system}/messages",
        "get /v1/imports",
        "get /v1/imports/{batch}",
        "get /v1/jobs",
        "get /v1/jobs/{job_id}",
        "get /v1/jobs/{job_id}/rejects",
        "get /v1/keys",
        "get /v1/keys/{key_id}",
        "get /v1/leads",
        "get /v1/leads/{lead_id}",
        "get /v1/lists/{list_id}",
        "get /v1/models",
        "get /v1/models/{version}",
        "get /v1/session",
        "get /v1/towns",
        "get /v1/towns/{town_id}",
        "get /v1/towns/{town_id}/matches",
        "get /v1/towns/{town_id}/matches/{firm_id}",
        "get /v1/watch",
        "get /v1/webhooks",
        "get /v1/webhooks/{webhook_id}",
        "get /v1/webhooks/{webhook_id}/deliveries",
        "patch /v1/accounts/{account_id}",
        "patch /v1/webhooks/{webhook_id}",
        "post /v1/accounts",
        "post /v1/accounts/{account_id}:disable",
        "post /v1/accounts/{account_id}:enable",
        "post /v1/accounts/{account_id}:reset",
        "post /v1/deliveries/{delivery_id}:redeliver",
        "post /v1/events",
        "post /v1/events:upsert",
        "post /v1/firms:upsert",
        "post /v1/hooks/{system}",
        "post /v1/hooks/{system}/messages/{message_id}:retry",
        "post /v1/imports",
        "post /v1/imports/{batch}:undo",
        "post /v1/jobs/{job_id}:cancel",
        "post /v1/keys",
        "post /v1/keys/{key_id}:revoke",
        "post /v1/leads",
        "post /v1/leads:upsert",
        "post /v1/lists/{list_id}:publish",
        "post /v1/matches",
        "post /v1/models/{version}:promote",
        "post /v1/models:retrain",
        "post /v1/models:rollback",
        "post /v1/session",
        "post /v1/session/password",
        "post /v1/towns:upsert",
        "post /v1/webhooks",
        "post /v1/webhooks/{webhook_id}:enable",
        "post /v1/webhooks/{webhook_id}:rotate",
        "post /v1/webhooks/{webhook_id}:test",
        "put /v1/towns/{town_id}",
    ]


def test_every_route_has_a_chinese_summary_and_an_example(description: dict[str, Any]) -> None:
    for name, operation in operations(description):
        assert re.search("[\u4e00-\u9fff]", operation["summary"]), name
        assert re.search("[\u4e00-\u9fff]", operation["description"]), name
        good = next(a for s, a in operation["responses"].items() if s.startswith("2"))
        assert all(kind["example"] for kind in good["content"].values()), name
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), (name, parameter["name"])
        if "application/json" in operation.get("requestBody", {}).get("content", {}):
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
    schemas_access.SignInBody.model_validate(examples.BODIES["sign_in"][1])
    schemas_access.PasswordBody.model_validate(examples.BODIES["password"][1])
    schemas_access.AccountBody.model_validate(examples.BODIES["account"][1])
    schemas_access.AccountChange.model_validate(examples.BODIES["account_change"][1])
    schemas_access.KeyBody.model_validate(examples.BODIES["key"][1])
    schemas_upsert.FirmsUpsert.model_validate(examples.BODIES["firms_upsert"][1])
    schemas_upsert.TownsUpsert.model_validate(examples.BODIES["towns_upsert"][1])
    schemas_upsert.LeadsUpsert.model_validate(examples.BODIES["leads_upsert"][1])
    schemas_upsert.EventsUpsert.model_validate(examples.BODIES["events_upsert"][1])
    schemas_hooks.WebhookBody.model_validate(examples.BODIES["webhook"][1])
    schemas_hooks.WebhookChange.model_validate(examples.BODIES["webhook_change"][1])
    schemas.Problem.model_validate(examples.PROBLEM)


def test_the_example_bodies_work(client: TestClient) -> None:
    put = client.put("/v1/towns/example", json={**examples.BODIES["town"][1], "name": "合成示例镇"})
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
