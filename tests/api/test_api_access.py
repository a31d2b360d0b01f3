"""Signing in and out, keys and accounts over the interface, and what is tried against them."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from api.oidc import Attempt
from tests.api.access_world import (
    OTHER,
    OWN,
    PASSWORD,
    AccessWorld,
    easy_sign_in,
    guarded_world,
    own_account,
    sign_in,
)
from tests.api.api_world import TOWNS, client_of, code_of, firm_rows, write_firms
from tests.api.fake_issuer import CLIENT, SECRET, FakeIssuer, fake_issuer
from zyz_match import credentials
from zyz_match.access import Scope
from zyz_match.acting import Role
from zyz_match.profiles import town_from
from zyz_match.service import Service
from zyz_match.settings import load_settings
from zyz_match.storage import sessions
from zyz_match.storage.store import Store
from zyz_match.storage.tables import api_key, audit

SAME = {"Origin": "http://127.0.0.1"}
ADMIN, TEAM = "合成管理员", "zhang.san"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccessWorld]:
    guarded = guarded_world(tmp_path_factory.mktemp("登录"))
    with easy_sign_in():
        with guarded.service() as service:
            own_account(service, ADMIN, Role.ADMIN)
            own_account(service, TEAM, Role.TOWN, [OWN])
        yield guarded


@pytest.fixture(scope="module")
def shared(guarded: AccessWorld) -> Iterator[TestClient]:
    with guarded.client() as client:
        yield client


@pytest.fixture
def client(shared: TestClient) -> TestClient:
    """Nobody yet."""
    shared.cookies.clear()
    return shared


@pytest.fixture
def security(guarded: AccessWorld) -> dict[str, str]:
    return guarded.bearer(Role.SECURITY)


def noted(guarded: AccessWorld, action: str) -> list[Any]:
    with guarded.service() as service, service.store._database.read() as connection:
        query = sa.select(audit).where(audit.c.action == action).order_by(audit.c.id)
        return list(connection.execute(query).mappings())


def account(guarded: AccessWorld, name: str, role: Role = Role.ANALYST) -> str:
    """A new account of a test's own, and its id."""
    with guarded.service() as service:
        own_account(service, name, role)
        return service.account(name).id


# signing in ----------------------------------------------------------------------------------


def test_a_person_signs_in_works_and_signs_out(client: TestClient, guarded: AccessWorld) -> None:
    assert code_of(client.get("/v1/towns"), 401) == "not_signed_in"
    who = sign_in(client, TEAM.upper())
    assert who.status_code == 200
    assert who.json() | {"expires_at": None} == {
        "name": TEAM, "label": None, "role": "town", "role_name": "专业镇专班",
        "kind": "session", "towns": [OWN], "scopes": ["read", "webhooks", "write"],
        "must_change": False, "expires_at": None,
    }  # fmt: skip
    assert client.get("/v1/session").json() == who.json()
    assert [t["id"] for t in client.get("/v1/towns").json()["items"]] == [OWN]
    token = client.cookies["zyz_session"]
    assert client.delete("/v1/session", headers=SAME).json() == {"signed_out": True}
    assert "zyz_session" not in client.cookies
    client.cookies.set("zyz_session", token)
    assert code_of(client.get("/v1/towns"), 401) == "not_signed_in"
    started = noted(guarded, "session.start")[-1]
    assert (started["actor"], started["role"], started["via"]) == (TEAM, "town", "api")
    assert started["request_id"] == who.headers["x-request-id"]


def test_the_cookie_is_for_us_alone_and_for_tls_but_on_this_machine(guarded: AccessWorld) -> None:
    settings = replace(guarded.settings, hosts=("crm.city.example",))
    guarded = replace(guarded, settings=settings)
    for base, secure in (("http://127.0.0.1", False), ("https://crm.city.example", True)):
        with guarded.client(base) as client:
            cookie = sign_in(client, TEAM).headers["set-cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=strict" in cookie
            assert "Path=/" in cookie
            assert "Max-Age=43200" in cookie
            assert ("Secure" in cookie) is secure
            assert "Domain" not in cookie


def test_a_host_that_is_not_listed_is_refused(guarded: AccessWorld) -> None:
    guarded = replace(guarded, settings=replace(guarded.settings, hosts=("crm.city.example",)))
    with guarded.client() as client:
        for host, status in (("crm.city.example", 401), ("CRM.city.example:443", 401),
                             ("evil.example", 421), ("crm.city.example.evil", 421)):  # fmt: skip
            assert client.get("/v1/towns", headers={"Host": host}).status_code == status


def test_every_way_to_fail_is_told_in_the_same_words(
    client: TestClient, guarded: AccessWorld
) -> None:
    account(guarded, "locked-one")
    gone = account(guarded, "gone-one")
    with guarded.service() as service:
        service.disable_account(gone)
        service.add_account("oidc-one", "analyst", oidc=True)
    for _ in range(5):
        refused = sign_in(client, "locked-one", "wrong-password-1")
    said = {
        (code_of(answer, 401), answer.json()["detail"])
        for answer in (
            refused, sign_in(client, "locked-one"), sign_in(client, "gone-one"),
            sign_in(client, "oidc-one", "x"), sign_in(client, "nobody-here"),
            sign_in(client, "' OR 1=1 --"), sign_in(client, TEAM, "wrong-password-1"),
        )
    }  # fmt: skip
    assert len(said) == 1
    assert said.pop()[0] == "sign_in_refused"
    assert noted(guarded, "account.lock")[-1]["detail"] == '{"failed": 5, "name": "locked-one"}'
    unknown = noted(guarded, "session.refused")
    assert not any("nobody-here" in str(dict(row)) for row in unknown)


def test_a_locked_account_opens_after_a_reset(
    client: TestClient, guarded: AccessWorld, security: dict[str, str]
) -> None:
    number = account(guarded, "reset-one")
    for _ in range(5):
        sign_in(client, "reset-one", "wrong-password-1")
    assert code_of(sign_in(client, "reset-one"), 401)
    issued = client.post(f"/v1/accounts/{number}:reset", headers=security).json()
    assert issued["account"]["must_change"] is True
    assert sign_in(client, "reset-one", issued["one_time_password"]).status_code == 200


def test_a_session_runs_out(
    client: TestClient, guarded: AccessWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "LASTS", timedelta(seconds=-1))
    assert code_of(sign_in(client, TEAM), 401) == "not_signed_in"
    assert code_of(client.get("/v1/towns"), 401) == "not_signed_in"


# passwords -----------------------------------------------------------------------------------


def test_a_one_time_password_opens_nothing_but_its_own_change(
    client: TestClient, guarded: AccessWorld, security: dict[str, str]
) -> None:
    body = {"name": "New.One", "role": "analyst", "label": "合成分析员"}
    made = client.post("/v1/accounts", json=body, headers=security)
    assert made.status_code == 201
    once = made.json()["one_time_password"]
    assert made.headers["location"] == f"/v1/accounts/{made.json()['account']['id']}"
    assert sign_in(client, "new.one", once).json()["must_change"] is True
    for path in ("/v1/towns", "/v1/healthz", "/docs", "/v1/audit", "/v1/accounts"):
        answer = client.get(path)
        if answer.status_code != 404:
            assert code_of(answer, 403) == "password_change_required"
    assert client.get("/v1/session").status_code == 200
    other = client.cookies["zyz_session"]

    def change(old: str, new: str) -> Any:
        return client.post("/v1/session/password", json={"old": old, "new": new}, headers=SAME)

    for weak in ("short", once, "a" * 20, "xx-new.one-password"):
        assert code_of(change(once, weak), 422)
    assert code_of(change("wrong-password-1", PASSWORD), 401) == "sign_in_refused"
    changed = change(once, PASSWORD)
    assert changed.json()["must_change"] is False
    assert client.get("/v1/towns").status_code == 200
    client.cookies.clear()
    client.cookies.set("zyz_session", other)
    assert client.get("/v1/towns").status_code == 401
    client.cookies.clear()
    assert code_of(sign_in(client, "new.one", once), 401)
    assert noted(guarded, "account.password")[-1]["actor"] == "new.one"


def test_guessing_the_old_password_with_a_stolen_cookie_locks_too(
    client: TestClient, guarded: AccessWorld
) -> None:
    account(guarded, "stolen-one")
    sign_in(client, "stolen-one")
    for i in range(5):
        body = {"old": f"wrong-password-{i}", "new": "another-密码-4711"}
        assert code_of(client.post("/v1/session/password", json=body, headers=SAME), 401)
    body = {"old": PASSWORD, "new": "another-密码-4711"}
    with guarded.service() as service:
        assert service.account("stolen-one").locked_until is not None
    assert code_of(client.post("/v1/session/password", json=body, headers=SAME), 401)


def test_a_key_has_no_session_to_end(client: TestClient, security: dict[str, str]) -> None:
    assert client.get("/v1/session", headers=security).json()["kind"] == "key"
    assert code_of(client.delete("/v1/session", headers=security), 409) == "no_session"


# another site --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
        {},
    ],
)
def test_another_sites_page_changes_nothing(client: TestClient, headers: dict[str, str]) -> None:
    sign_in(client, ADMIN)
    answer = client.post("/v1/models:rollback", headers=headers)
    assert code_of(answer, 403) == "cross_site"
    assert client.get("/v1/towns", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers", [SAME, {"Sec-Fetch-Site": "same-origin"}, {**SAME, "Sec-Fetch-Site": "same-origin"}]
)
def test_our_own_page_may(client: TestClient, headers: dict[str, str]) -> None:
    sign_in(client, ADMIN)
    assert code_of(client.post("/v1/models:rollback", headers=headers), 404) == "not_found"


def test_nobody_is_signed_in_from_another_sites_page(client: TestClient) -> None:
    body = {"name": TEAM, "password": PASSWORD}
    answer = client.post("/v1/session", json=body, headers={"Origin": "https://evil.example"})
    assert code_of(answer, 403) == "cross_site"
    assert "set-cookie" not in answer.headers


def test_without_identity_too_another_sites_page_changes_nothing(
    session_client: TestClient,
) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = session_client.post("/v1/models:rollback", headers=headers)
        assert code_of(answer, 403) == "cross_site"


# keys ----------------------------------------------------------------------------------------


def test_a_key_is_shown_once_works_and_is_revoked_at_once(
    client: TestClient, guarded: AccessWorld, security: dict[str, str]
) -> None:
    body = {"name": "Odoo-生产", "role": "crm", "towns": ["合成丝绸"], "days": 30}
    made = client.post("/v1/keys", json=body, headers=security)
    assert made.status_code == 201
    secret, key = made.json()["secret"], made.json()["key"]
    assert (key["name"], key["towns"], key["created_by"]) == (
        "odoo-生产",
        [OWN],
        "key:syn-security",
    )
    ends = datetime.fromisoformat(key["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29) < ends < timedelta(days=31)
    headers = {"Authorization": f"Bearer {secret}"}
    assert [t["id"] for t in client.get("/v1/towns", headers=headers).json()["items"]] == [OWN]
    listed = client.get("/v1/keys", headers=security)
    assert secret not in listed.text
    used = client.get(f"/v1/keys/{key['id']}", headers=security).json()["used_at"]
    assert datetime.now(UTC) - datetime.fromisoformat(used) < timedelta(minutes=2)
    assert code_of(client.post("/v1/keys", json=body, headers=security), 422)
    with guarded.service() as other:  # as another process revokes it
        other.revoke_key(key["id"])
    answer = client.get("/v1/towns", headers=headers)
    assert code_of(answer, 401) == "invalid_key"
    assert answer.headers["www-authenticate"] == 'Bearer realm="zyz-match"'


def test_a_key_is_written_about_once_a_minute(
    client: TestClient, guarded: AccessWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    service: Any = client.app.state.service  # type: ignore[attr-defined]
    monkeypatch.setattr(service, "note_use", lambda key, minute: written.append(minute))
    with guarded.service() as other:
        _, secret = other.add_key("minute", "crm")
    for _ in range(20):
        client.get("/v1/towns", headers={"Authorization": f"Bearer {secret}"})
    assert 1 <= len(written) <= 2
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d\+00:00", m) for m in written)


def test_an_expired_key_is_nobodys(client: TestClient, guarded: AccessWorld) -> None:
    with guarded.service() as service:
        key, secret = service.add_key("expired", "crm", days=1)
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat(timespec="milliseconds")
        with service.store._database._engine.begin() as connection:
            this = sa.update(api_key).where(api_key.c.id == key.id)
            connection.execute(this.values(expires_at=past))
    answer = client.get("/v1/towns", headers={"Authorization": f"Bearer {secret}"})
    assert code_of(answer, 401) == "invalid_key"


def tampered(key: str) -> list[str]:
    flipped = [key[:i] + ("A" if key[i] != "A" else "B") + key[i + 1 :] for i in range(4, len(key))]
    return [*flipped, key[:-1], key + "A", key.lower(), key.upper(), "", "zyz_", "zyz_" + "A" * 49]


def test_a_tampered_key_opens_nothing(client: TestClient, guarded: AccessWorld) -> None:
    for wrong in tampered(guarded.keys[Role.ADMIN]):
        answer = client.get("/v1/towns", headers={"Authorization": f"Bearer {wrong}"})
        assert answer.status_code == 401, wrong


def test_a_forged_key_whose_sum_is_right_opens_nothing(client: TestClient) -> None:
    headers = {"Authorization": f"Bearer {credentials.new_key()}"}
    assert code_of(client.get("/v1/towns", headers=headers), 401) == "invalid_key"


@pytest.mark.parametrize(
    "value",
    [
        "Basic YWRtaW46YWRtaW4=", "Bearer", "Bearer ", "bearer null", "Bearer ' OR '1'='1",
        "Bearer zyz_\xff\xfe", "Digest x", "Bearer {}{}", "Bearer " + "A" * 7000,
    ],
)  # fmt: skip
def test_a_strange_authorization_is_401(client: TestClient, value: str) -> None:
    sent = {b"Authorization": value.encode("latin-1")}
    answer = client.get("/v1/towns", headers=sent)
    assert code_of(answer, 401) == "invalid_key"


def test_two_authorizations_are_none(client: TestClient, guarded: AccessWorld) -> None:
    bearer = guarded.bearer(Role.ADMIN)["Authorization"]
    answer = client.get("/v1/towns", headers=[("Authorization", bearer)] * 2)
    assert code_of(answer, 401) == "invalid_key"


def test_a_bad_key_is_not_made_good_by_a_cookie(client: TestClient) -> None:
    sign_in(client, ADMIN)
    answer = client.get("/v1/towns", headers={"Authorization": "Bearer zyz_bad"})
    assert code_of(answer, 401) == "invalid_key"


@pytest.mark.parametrize(
    "token", ["", "x", "A" * 43, "../../etc", "' OR 1=1 --", "zyz", '"quoted"', "A" * 5000]
)
def test_a_tampered_cookie_opens_nothing(client: TestClient, token: str) -> None:
    headers = {"Cookie": f"zyz_session={token}"}
    assert code_of(client.get("/v1/towns", headers=headers), 401) == "not_signed_in"


def test_every_tampering_with_a_true_cookie_opens_nothing(client: TestClient) -> None:
    sign_in(client, ADMIN)
    token = client.cookies["zyz_session"]
    client.cookies.clear()
    for i in range(len(token)):
        wrong = token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :]
        answer = client.get("/v1/towns", headers={"Cookie": f"zyz_session={wrong}"})
        assert answer.status_code == 401


def test_a_header_cannot_name_the_caller(client: TestClient) -> None:
    for name in ("X-Forwarded-User", "X-Remote-User", "X-Role", "X-Original-URL", "X-Rewrite-URL",
                 "X-Forwarded-For", "X-Forwarded-Host"):  # fmt: skip
        for value in ("admin", "/livez", "127.0.0.1"):
            assert client.get("/v1/towns", headers={name: value}).status_code == 401


def test_what_is_sent_comes_back_in_no_header(client: TestClient, security: dict[str, str]) -> None:
    for name in ("a\r\nSet-Cookie: zyz_session=x", "a\nb", "a\tb"):
        answer = client.post("/v1/accounts", json={"name": name, "role": "admin"}, headers=security)
        assert code_of(answer, 422)
        assert "set-cookie" not in answer.headers
        answer = client.post("/v1/session", json={"name": name, "password": name})
        assert code_of(answer, 401)
        assert "set-cookie" not in answer.headers


def test_identity_begins_and_a_key_ends_at_the_next_request_on_either_database(
    tmp_path: Path, database_url: str
) -> None:
    settings = load_settings({"ZYZ_HOME": str(tmp_path), "ZYZ_DATABASE_URL": database_url})
    with easy_sign_in(), Service(settings, Store.open(database_url)) as other:
        other.import_firms(write_firms(tmp_path / "合成企业.csv", firm_rows(4)))
        other.put_town(town_from(TOWNS[0]))
        with client_of(settings) as client:
            assert client.get("/v1/session").json()["kind"] == "local"
            key, secret = other.add_key("odoo", "crm")
            assert code_of(client.get("/v1/towns"), 401) == "not_signed_in"
            bearer = {"Authorization": f"Bearer {secret}"}
            assert client.get("/v1/towns", headers=bearer).status_code == 200
            assert other.api_key(key.id).used_at is not None
            own_account(other, TEAM, Role.ANALYST)
            assert sign_in(client, TEAM).status_code == 200
            assert client.get("/v1/towns").status_code == 200
            other.disable_account(TEAM)
            other.revoke_key(key.id)
            assert code_of(client.get("/v1/towns"), 401) == "not_signed_in"
            assert code_of(client.get("/v1/towns", headers=bearer), 401) == "invalid_key"


# accounts ------------------------------------------------------------------------------------


def test_accounts_are_made_changed_disabled_and_enabled(
    client: TestClient, guarded: AccessWorld, security: dict[str, str]
) -> None:
    number = account(guarded, "li-si")
    path = f"/v1/accounts/{number}"
    assert client.get(path, headers=security).json()["role"] == "analyst"
    assert client.get("/v1/accounts/li-si", headers=security).json()["id"] == number
    sign_in(client, "li-si")
    assert client.get("/v1/watch").status_code == 200
    body: dict[str, Any] = {"role": "town", "towns": [OWN], "label": "合成李四"}
    changed = client.patch(path, json=body, headers=security).json()
    assert (changed["role"], changed["towns"], changed["label"]) == ("town", [OWN], "合成李四")
    assert code_of(client.get("/v1/watch"), 403) == "forbidden"
    assert code_of(client.patch(path, json={"towns": None}, headers=security), 422)
    assert code_of(client.patch(path, json={"role": "admin"}, headers=security), 422)
    kept = client.patch(path, json={"label": "只改说明"}, headers=security).json()
    assert (kept["role"], kept["towns"]) == ("town", [OWN])
    wide = client.patch(path, json={"role": "admin", "towns": None}, headers=security).json()
    assert (wide["role"], wide["towns"]) == ("admin", None)
    assert client.post(f"{path}:disable", headers=security).json()["disabled_at"]
    assert code_of(client.get("/v1/towns"), 401) == "not_signed_in"
    assert client.post(f"{path}:enable", headers=security).json()["disabled_at"] is None
    assert client.get("/v1/towns").status_code == 401  # its sessions ended for good
    listed = client.get("/v1/accounts", headers=security)
    assert "argon2" not in listed.text
    assert "li-si" in [a["name"] for a in listed.json()["items"]]
    assert [r["action"] for r in noted(guarded, "account.change")]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "role": "root"}, {"name": "x", "role": "town"}, {"name": "", "role": "admin"},
        {"name": "x", "role": "admin", "towns": [OWN]}, {"name": "x", "role": "town", "towns": []},
        {"name": "x" * 65, "role": "admin"}, {"name": "a b", "role": "admin"}, {"name": "x"},
        {"name": "x", "role": "admin", "password": "given"}, {"name": 1, "role": "admin"},
        {"name": "x", "role": "admin", "label": "x" * 101}, {"name": "x\x00", "role": "admin"},
    ],
)  # fmt: skip
def test_a_wrong_account_is_refused(
    client: TestClient, security: dict[str, str], body: dict[str, Any]
) -> None:
    assert code_of(client.post("/v1/accounts", json=body, headers=security), 422)


def test_a_town_that_is_not_there_is_refused(client: TestClient, security: dict[str, str]) -> None:
    for path in ("/v1/accounts", "/v1/keys"):
        body = {"name": "y", "role": "town", "towns": ["nowhere"]}
        assert code_of(client.post(path, json=body, headers=security), 404) == "not_found"


@pytest.mark.parametrize(
    "body",
    [
        {"name": "k", "scopes": []}, {"name": "k", "scopes": ["all"]}, {"name": "k", "days": 0},
        {"name": "k", "days": 99999}, {"name": "k", "role": "root"}, {"name": "k", "days": 1.5},
        {"name": "k:y"}, {"role": "crm"},
    ],
)  # fmt: skip
def test_a_wrong_key_is_refused(
    client: TestClient, security: dict[str, str], body: dict[str, Any]
) -> None:
    assert code_of(client.post("/v1/keys", json=body, headers=security), 422)


def test_no_secret_reaches_the_audit_or_the_log(
    client: TestClient, guarded: AccessWorld, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        sign_in(client, TEAM)
        sign_in(client, TEAM, "a-wrong-密码-12345")
        client.get("/v1/towns", headers=guarded.bearer(Role.ADMIN))
    token = client.cookies["zyz_session"]
    with guarded.service() as service, service.store._database.read() as connection:
        rows = str(list(connection.execute(sa.select(audit)).all()))
    for secret in (PASSWORD, "a-wrong-密码-12345", token, guarded.keys[Role.ADMIN]):
        assert secret not in caplog.text
        assert secret not in rows


# the issuer elsewhere ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def issuer() -> Iterator[FakeIssuer]:
    with fake_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def oidc_shared(guarded: AccessWorld, issuer: FakeIssuer) -> Iterator[TestClient]:
    settings = replace(
        guarded.settings,
        oidc_issuer=issuer.address,
        oidc_client_id=CLIENT,
        oidc_client_secret=SECRET,
    )
    with guarded.service() as service:
        service.add_account("li", "analyst", oidc=True)
    with replace(guarded, settings=settings).client() as client:
        yield client


@pytest.fixture
def oidc(oidc_shared: TestClient, issuer: FakeIssuer) -> Iterator[TestClient]:
    oidc_shared.cookies.clear()
    yield oidc_shared
    issuer.lie, issuer.claims = "", {}
    issuer.user = {"sub": "s1", "preferred_username": "li"}


def away(client: TestClient) -> str:
    """Where the browser is sent."""
    answer = client.get("/v1/session/oidc", follow_redirects=False)
    assert answer.status_code == 303
    assert "SameSite=lax" in answer.headers["set-cookie"]
    return str(answer.headers["location"])


def come_back(client: TestClient, back: dict[str, str]) -> Any:
    return client.get("/v1/session/oidc/callback", params=back)


def test_a_person_signs_in_elsewhere(
    oidc: TestClient, issuer: FakeIssuer, guarded: AccessWorld
) -> None:
    for _ in range(2):  # the second time by the subject alone
        back = issuer.authorize(away(oidc))
        answer = come_back(oidc, back)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/html")
        who = oidc.get("/v1/session").json()
        assert (who["name"], who["role"]) == ("li", "analyst")
        issuer.user = {"sub": "s1", "preferred_username": "renamed"}
        oidc.cookies.delete("zyz_session")
    assert len(noted(guarded, "account.bind")) == 1
    assert noted(guarded, "session.start")[-1]["detail"] == '{"how": "oidc"}'


@pytest.mark.parametrize("lie", ["other key", "public key as secret", "flipped", "unsigned"])
def test_a_token_that_the_issuer_did_not_sign_opens_nothing(
    oidc: TestClient, issuer: FakeIssuer, lie: str
) -> None:
    back = issuer.authorize(away(oidc))
    issuer.lie = lie
    assert code_of(come_back(oidc, back), 401) == "invalid_id_token"
    assert oidc.get("/v1/session").status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"}, {"aud": "another"}, {"aud": ["another"]}, {"exp": 1},
        {"nonce": "replayed"}, {"sub": None}, {"aud": [CLIENT, "another"], "azp": "another"},
        {"iat": 32503680000},
    ],
)  # fmt: skip
def test_a_token_that_says_something_else_opens_nothing(
    oidc: TestClient, issuer: FakeIssuer, claims: dict[str, Any]
) -> None:
    back = issuer.authorize(away(oidc))
    issuer.claims = claims
    assert code_of(come_back(oidc, back), 401) == "invalid_id_token"


@pytest.mark.parametrize(
    "user",
    [
        {"sub": "s2", "preferred_username": "li"},  # somebody else of the same name
        {"sub": "s3", "preferred_username": TEAM},  # has a password: never taken over
        {"sub": "s4", "preferred_username": "unknown"},
        {"sub": "s5", "email": "li", "email_verified": False},
        {"sub": "s6"},
    ],
)
def test_whom_nobody_prepared_an_account_for_is_refused(
    oidc: TestClient, issuer: FakeIssuer, user: dict[str, Any]
) -> None:
    issuer.user = user
    assert code_of(come_back(oidc, issuer.authorize(away(oidc))), 403) == "account_unknown"
    assert "zyz_session" not in oidc.cookies


def test_only_the_browser_that_went_away_comes_back_and_once(
    oidc: TestClient, issuer: FakeIssuer
) -> None:
    back = issuer.authorize(away(oidc))
    oidc.cookies.clear()
    assert code_of(come_back(oidc, back), 400) == "invalid_state"
    back = issuer.authorize(away(oidc))
    assert code_of(come_back(oidc, back | {"state": "forged"}), 400) == "invalid_state"
    assert code_of(come_back(oidc, {"state": back["state"], "error": "access_denied"}), 403)
    assert come_back(oidc, back).status_code == 200
    assert code_of(come_back(oidc, back), 400) == "invalid_state"
    where = away(oidc)
    kept = Attempt(*oidc.cookies["zyz_oidc"].split("~"))
    forged = "~".join(kept._replace(verifier="x" * 43))
    oidc.cookies.clear()
    oidc.cookies.set("zyz_oidc", forged)
    assert code_of(come_back(oidc, issuer.authorize(where)), 502) == "identity_provider_failed"


def test_an_issuer_that_is_another_one_or_away_is_told(
    oidc: TestClient, issuer: FakeIssuer, guarded: AccessWorld
) -> None:
    issuer.lie = "issuer"
    assert code_of(oidc.get("/v1/session/oidc", follow_redirects=False), 502)
    settings = replace(guarded.settings, oidc_issuer="http://127.0.0.1:9", oidc_client_id="x")
    with replace(guarded, settings=settings).client() as client:
        answer = client.get("/v1/session/oidc", follow_redirects=False)
        assert code_of(answer, 502) == "identity_provider_failed"


def test_where_no_issuer_is_set_there_is_none(client: TestClient) -> None:
    assert code_of(client.get("/v1/session/oidc"), 404) == "oidc_off"
    assert code_of(client.get("/v1/session/oidc/callback"), 404) == "oidc_off"


def test_a_kept_answer_is_for_who_asked_first_and_as_long_as_he_sees_as_much(
    guarded: AccessWorld, client: TestClient
) -> None:
    once = {"Idempotency-Key": "kept-1"}
    body = {"town": {"id": OTHER, "name": "合成铸造专业镇", "products": ["铸件"]}}

    def ask(key: str) -> httpx2.Response:
        return client.post(
            "/v1/matches", json=body, headers=once | {"Authorization": f"Bearer {key}"}
        )

    with guarded.service() as service:
        first, key = service.add_key("syn-again", Role.ADMIN, scopes=list(Scope))
        assert ask(key).status_code == 200
        assert ask(key).headers["idempotency-replayed"] == "true"
        service.revoke_key(first.id)
        second, key = service.add_key("syn-again", Role.TOWN, scopes=list(Scope), towns=[OWN])
        assert code_of(ask(key), 404) == "not_found"
        service.revoke_key(second.id)
        _, key = service.add_key("syn-again", Role.ADMIN, scopes=list(Scope))
        assert "idempotency-replayed" not in ask(key).headers
