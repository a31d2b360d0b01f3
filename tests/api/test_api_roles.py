"""Every route for every role: what is not allowed is refused, what is allowed is not."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount
from starlette.testclient import TestClient

from api.permissions import RULES, TABLE, Rule
from tests.api.access_world import LIMITED, OTHER, OWN, AccessWorld, guarded_world
from tests.api.api_world import TOWNS, client_of, code_of, firm_rows, make_world
from zyz_match.access import Scope
from zyz_match.acting import Role
from zyz_match.domain import Stage
from zyz_match.service import Service
from zyz_match.settings import load_settings
from zyz_match.targets import targets_of

DENIED = {"not_signed_in", "forbidden", "insufficient_scope", "identity_off", "invalid_key"}
VALUES = {
    "town_id": OWN, "firm_id": "600000", "version": "nothing", "list_id": "L0", "system": "nothing",
    "path:path": "swagger-ui.css",
}  # fmt: skip
CELLS = [
    (method, template, role)
    for (method, template), rule in RULES.items() if rule.roles is not None
    for role in (None, *Role)
]  # fmt: skip


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> AccessWorld:
    return guarded_world(tmp_path_factory.mktemp("角色"))


@pytest.fixture(scope="module")
def client(guarded: AccessWorld) -> Iterator[TestClient]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Service, "_start_worker", lambda *_: None)  # no training is done here
        with guarded.client() as client:
            yield client


def rows_of(app: FastAPI) -> set[tuple[str, str]]:
    """Method and path template of everything that an application answers."""
    found = set()
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, Mount):
            found.add(("GET", f"{route.path}/{{path:path}}"))
            continue
        methods: Any = getattr(route._effective_route, "methods", None) or {"GET"}
        found |= {(m, str(route.path)) for m in methods if m != "HEAD"}
    return found


def filled(template: str) -> str:
    """A path that fits a template."""
    return re.sub(r"\{([^}]+)\}", lambda m: VALUES.get(m[1], "nothing"), template)


def ask(client: TestClient, method: str, path: str, headers: dict[str, str]) -> Any:
    body: dict[str, Any] | None = {} if method in ("POST", "PUT", "PATCH") else None
    return client.request(method, path, headers=headers, follow_redirects=False, json=body)


# the table -----------------------------------------------------------------------------------


def test_every_route_has_its_row(client: TestClient) -> None:
    assert rows_of(client.app) <= set(RULES)  # type: ignore[arg-type]


def test_every_row_has_its_route(client: TestClient) -> None:
    assert set(RULES) <= rows_of(client.app)  # type: ignore[arg-type]


@pytest.mark.parametrize(("method", "template"), RULES)
def test_a_request_falls_under_the_row_of_its_route(method: str, template: str) -> None:
    found = TABLE.find(method, filled(template))
    assert found is not None
    assert (found.method, found.template) == (method, template)


def test_the_public_rows_are_these() -> None:
    assert {row for row, rule in RULES.items() if rule.roles is None} == {
        ("GET", "/livez"), ("GET", "/readyz"), ("POST", "/v1/session"),
        ("GET", "/v1/session/oidc"), ("GET", "/v1/session/oidc/callback"),
        ("POST", "/v1/hooks/{system}"),
    }  # fmt: skip


def test_the_roles_are_kept_apart() -> None:
    business = re.compile(r"/v1/(towns|firms|leads|events|lists|matches|changes|imports|jobs|models"
                          r"|watch|webhooks|deliveries)\b")  # fmt: skip
    for (method, template), rule in RULES.items():
        roles = rule.roles or frozenset()
        if business.match(template):
            assert not roles & {Role.SECURITY, Role.AUDITOR}, template
        if re.match(r"/v1/(accounts|keys)\b", template):
            assert roles == {Role.SECURITY}, template
        if template.startswith("/v1/audit"):
            assert roles == {Role.AUDITOR}
        if Role.ANALYST in roles and template not in ("/v1/session", "/v1/session/password"):
            assert rule.scope is Scope.READ, (method, template)


# every cell ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "template", "role"), CELLS)
def test_a_cell_of_the_table(
    guarded: AccessWorld, client: TestClient, method: str, template: str, role: Role | None
) -> None:
    if (method, template) not in rows_of(client.app):  # type: ignore[arg-type]
        return  # test_every_row_has_its_route says it
    rule: Rule = RULES[method, template]
    headers = guarded.bearer(role) if role else {}
    answer = ask(client, method, filled(template), headers)
    if role is None:
        assert code_of(answer, 401) == "not_signed_in"
        assert answer.headers["www-authenticate"].startswith("Bearer")
    elif role not in (rule.roles or ()):
        assert code_of(answer, 403) == "forbidden"
    else:
        assert answer.status_code not in (401, 403, 405, 500), answer.text


@pytest.mark.parametrize(("method", "template"), [r for r, rule in RULES.items() if not rule.roles])
def test_a_public_address_asks_nobody(client: TestClient, method: str, template: str) -> None:
    answer = ask(client, method, filled(template), {})
    if answer.status_code >= 400:
        assert answer.json()["code"] not in DENIED


@pytest.mark.slow
@pytest.mark.parametrize("scope", Scope)
def test_a_key_is_good_for_its_scopes_only(
    guarded: AccessWorld, client: TestClient, scope: Scope
) -> None:
    with guarded.service() as service:
        _, key = service.add_key(f"scope-{scope}", "crm", scopes=[scope])
    headers = {"Authorization": f"Bearer {key}"}
    for (method, template), rule in RULES.items():
        if rule.roles is None or Role.CRM not in rule.roles:
            continue
        answer = ask(client, method, filled(template), headers)
        if answer.status_code not in (404, 405) and rule.scope is not scope:
            assert code_of(answer, 403) == "insufficient_scope", template
        elif rule.scope is scope:
            assert answer.status_code not in (401, 403), template


def test_what_is_nowhere_is_404_and_another_method_405(client: TestClient) -> None:
    assert code_of(client.get("/v1/nowhere"), 404) == "not_found"
    answer = client.delete("/v1/towns")
    assert code_of(answer, 405) == "method_not_allowed"
    assert answer.headers["allow"] == "GET"


def test_a_route_without_a_row_is_nobodys(guarded: AccessWorld) -> None:
    with guarded.client() as client:
        app: Any = client.app
        app.add_api_route("/v1/forgotten", lambda: {"data": "secret"})
        for headers in ({}, guarded.bearer(Role.ADMIN)):
            assert code_of(client.get("/v1/forgotten", headers=headers), 404) == "not_found"


# row by row ----------------------------------------------------------------------------------


@pytest.fixture(params=LIMITED)
def limited(request: pytest.FixtureRequest, guarded: AccessWorld) -> dict[str, str]:
    return guarded.bearer(request.param)


@pytest.fixture(scope="module")
def admin(guarded: AccessWorld) -> dict[str, str]:
    return guarded.bearer(Role.ADMIN)


def test_the_own_town_is_all_that_there_is(client: TestClient, limited: dict[str, str]) -> None:
    page = client.get("/v1/towns", headers=limited).json()
    assert [t["id"] for t in page["items"]] == [OWN]
    assert client.get(f"/v1/towns/{OWN}", headers=limited).status_code == 200
    assert client.get(f"/v1/towns/{OWN}/matches", headers=limited).status_code == 200
    towns = client.get("/v1/firms/600000/towns", headers=limited).json()["items"]
    assert [t["town"]["id"] for t in towns] == [OWN]
    assert client.get("/v1/healthz", headers=limited).json()["towns"] == 1


def test_another_town_answers_as_one_that_is_not_there(
    client: TestClient, limited: dict[str, str], admin: dict[str, str]
) -> None:
    for path in ("/v1/towns/{}", "/v1/towns/{}/matches", "/v1/towns/{}/matches/600000",
                 "/v1/leads?town={}"):  # fmt: skip
        assert client.get(path.format(OTHER), headers=admin).status_code == 200
        there = client.get(path.format(OTHER), headers=limited)
        nowhere = client.get(path.format("nowhere"), headers=limited)
        assert code_of(there, 404) == code_of(nowhere, 404) == "not_found"
        said = there.json()["detail"].replace(OTHER, "nowhere")
        assert said == nowhere.json()["detail"]
        assert "铸造" not in there.text


def test_another_town_is_neither_changed_nor_created(
    client: TestClient, limited: dict[str, str], admin: dict[str, str]
) -> None:
    before = client.get(f"/v1/towns/{OTHER}", headers=admin).content
    body = {"name": "合成夺镇", "products": ["水泵"]}
    for town in (OTHER, "brand-new"):
        assert code_of(client.put(f"/v1/towns/{town}", json=body, headers=limited), 404)
    assert client.get(f"/v1/towns/{OTHER}", headers=admin).content == before
    assert client.get("/v1/towns/brand-new", headers=admin).status_code == 404
    assert client.put(f"/v1/towns/{OWN}", json=body, headers=limited).status_code == 200
    silk = {k: v for k, v in TOWNS[1].items() if k != "id"}
    assert client.put(f"/v1/towns/{OWN}", json=silk, headers=limited).status_code == 200


def test_a_profile_sent_along_must_be_of_the_own_town(
    client: TestClient, limited: dict[str, str], admin: dict[str, str]
) -> None:
    other, own = ({"town": {**TOWNS[0], "id": i}, "limit": 3} for i in (OTHER, OWN))
    assert client.post("/v1/matches", json=other, headers=admin).status_code == 200
    assert code_of(client.post("/v1/matches", json=other, headers=limited), 404)
    assert client.post("/v1/matches", json=own, headers=limited).status_code == 200


def test_leads_and_lists_of_another_town_are_not_there(
    guarded: AccessWorld, client: TestClient, limited: dict[str, str], admin: dict[str, str]
) -> None:
    with guarded.service() as service:
        numbers = {
            town: service.record_outcome(
                town, "600000", Stage.CONTACTED, owner=f"合成{town}"
            ).entry.id
            for town in (OWN, OTHER)
        }
    seen = client.get("/v1/leads", headers=limited).json()["items"]
    assert {e["town_id"] for e in seen} == {OWN}
    everything = client.get("/v1/leads", headers=admin).json()["items"]
    assert {e["town_id"] for e in everything} == {OWN, OTHER}
    lead = {"firm_id": "600000", "stage": "visited"}
    assert code_of(client.post("/v1/leads", json={**lead, "town_id": OTHER}, headers=limited), 404)
    theirs = {**lead, "town_id": OWN, "corrects": numbers[OTHER]}
    assert code_of(client.post("/v1/leads", json=theirs, headers=limited), 404)
    for town, status in ((OWN, 200), (OTHER, 404)):
        page = client.get(f"/v1/towns/{town}/matches", headers=admin).json()
        path = f"/v1/lists/{page['shortlist_id']}"
        assert client.get(path, headers=limited).status_code == status
        assert client.get(path, headers=admin).status_code == 200


def test_a_lead_of_another_town_is_found_by_no_number_and_told_in_no_change(
    guarded: AccessWorld, client: TestClient, limited: dict[str, str], admin: dict[str, str]
) -> None:
    with guarded.service() as service:
        numbers = {
            town: service.record_outcome(town, "600005", Stage.CONTACTED, owner="合成某").entry.id
            for town in (OWN, OTHER)
        }
    for town, status in ((OWN, 200), (OTHER, 404)):
        path = f"/v1/leads/{numbers[town]}"
        assert client.get(path, headers=limited).status_code == status
        assert client.get(path, headers=admin).status_code == 200
    told = {
        role: {c["town_id"] for c in client.get("/v1/changes", headers=who).json()["items"]}
        for role, who in (("limited", limited), ("admin", admin))
    }
    assert told["limited"] == {OWN}
    assert told["admin"] >= {OWN, OTHER}


def test_of_many_items_those_of_another_town_are_rejected(
    client: TestClient, limited: dict[str, str], admin: dict[str, str]
) -> None:
    items: dict[str, list[dict[str, Any]]] = {
        "leads": [{"town_id": t, "firm_id": "600010", "stage": "contacted"} for t in (OTHER, OWN)],
        "towns": [{"id": OTHER, "name": "合成夺镇"}, {"id": OWN, "name": TOWNS[1]["name"]}],
    }
    before = client.get(f"/v1/towns/{OTHER}", headers=admin).content
    for kind, given in items.items():
        answer = client.post(f"/v1/{kind}:upsert", json={"items": given}, headers=limited)
        assert answer.status_code == 200, answer.text
        theirs, own = answer.json()["results"]
        assert (theirs["status"], theirs["error"]["code"]) == ("rejected", "not_found")
        assert own["status"] in ("created", "updated", "unchanged")
    assert client.get(f"/v1/towns/{OTHER}", headers=admin).content == before


def test_a_webhook_reaches_no_further_than_who_made_it(
    guarded: AccessWorld, admin: dict[str, str]
) -> None:
    settings = replace(guarded.settings, targets=targets_of("crm.example:443"))
    crm = guarded.bearer(Role.CRM)
    with replace(guarded, settings=settings).client() as client:
        body: dict[str, Any] = {"url": "https://crm.example/in"}
        wide = client.post("/v1/webhooks", json=body, headers=admin).json()["webhook"]
        narrow = client.post("/v1/webhooks", json=body, headers=crm).json()["webhook"]
        assert (wide["towns"], narrow["towns"]) == (None, [OWN])
        assert [w["id"] for w in client.get("/v1/webhooks", headers=crm).json()["items"]] == [
            narrow["id"]
        ]
        assert client.delete(f"/v1/webhooks/{wide['id']}", headers=crm).status_code == 404
        far = client.post("/v1/webhooks", json=body | {"towns": [OTHER]}, headers=crm)
        assert far.status_code in (404, 422)


def test_the_figures_are_for_the_administrator_and_this_machine(
    guarded: AccessWorld, client: TestClient
) -> None:
    app: Any = client.app
    for peer, headers, status in (
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("10.0.0.7", {}, 401),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 401),
        ("10.0.0.7", guarded.bearer(Role.ADMIN), 200),
        ("127.0.0.1", guarded.bearer(Role.TOWN), 403),
    ):
        asker = TestClient(app, base_url="http://127.0.0.1", client=(peer, 5))
        assert asker.get("/metrics", headers=headers).status_code == status
        assert asker.get("/v1/towns").status_code == 401


def test_a_ready_answer_never_crosses_from_one_caller_to_another(
    guarded: AccessWorld, client: TestClient
) -> None:
    path = f"/v1/towns/{OTHER}/matches?limit=7"
    for _ in range(2):
        assert client.get(path, headers=guarded.bearer(Role.ADMIN)).status_code == 200
    assert client.get(path, headers=guarded.bearer(Role.TOWN)).status_code == 404
    assert client.get(path, headers=guarded.bearer(Role.SECURITY)).status_code == 403
    assert client.get(path).status_code == 401
    with guarded.service() as service:
        _, narrow = service.add_key("narrow", "admin", scopes=["write"])
    headers = {"Authorization": f"Bearer {narrow}"}
    assert code_of(client.get(path, headers=headers), 403) == "insufficient_scope"


def test_a_list_says_who_saw_it(guarded: AccessWorld, client: TestClient) -> None:
    page = client.get(f"/v1/towns/{OWN}/matches?limit=4", headers=guarded.bearer(Role.TOWN)).json()
    receipt = client.get(f"/v1/lists/{page['shortlist_id']}", headers=guarded.bearer(Role.ADMIN))
    assert receipt.json()["by"] == "key:syn-town"


def test_without_identity_all_but_accounts_and_keys_is_the_local_users(
    session_client: TestClient,
) -> None:
    who = session_client.get("/v1/session").json()
    assert (who["kind"], who["role"]) == ("local", "admin")
    for method, template in [r for r in rows_of(session_client.app) if r in RULES]:  # type: ignore[arg-type]
        if re.match(r"/v1/(accounts|keys)\b", template):
            answer = ask(session_client, method, filled(template), {})
            assert code_of(answer, 403) == "identity_off"
    with_proxy = session_client.get("/v1/towns", headers={"X-Forwarded-For": "10.0.0.7"})
    assert code_of(with_proxy, 403) == "identity_required"
    for peer, status in (("127.0.0.1", 200), ("::1", 200), ("10.0.0.7", 403), ("fe80::1", 403)):
        app: Any = session_client.app
        elsewhere = TestClient(app, base_url="http://127.0.0.1", client=(peer, 5))
        assert elsewhere.get("/v1/towns").status_code == status, peer


def test_asked_for_identity_lets_nobody_in_before_the_first_account(guarded: AccessWorld) -> None:
    home = guarded.settings.home / "另一个"
    make_world(home, firm_rows(4))
    settings = load_settings({"ZYZ_HOME": str(home), "ZYZ_AUTH": "on"})
    with client_of(settings) as client:
        assert code_of(client.get("/v1/towns"), 401) == "not_signed_in"
