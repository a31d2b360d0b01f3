"""What keeps the service in order: audit, contacts, probes, metrics, limits, logs."""

import asyncio
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from api import lifecycle, limits, logs
from api.schemas_ops import AuditPage, ContactList, Erased, Probe
from tests import postgres
from tests.api.access_world import OTHER, AccessWorld, guarded_world
from tests.api.api_world import client_of, code_of, firm_rows, make_world
from zyz_match.acting import Role
from zyz_match.errors import StorageError
from zyz_match.ops_desk import Wanted
from zyz_match.service import Service
from zyz_match.settings import Settings, load_settings

MATCHES = "/v1/towns/syn-silk/matches"
FIRM = "/v1/firms/600000"
LOGGERS = ("root", "zyz_match", "uvicorn")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> AccessWorld:
    return guarded_world(tmp_path_factory.mktemp("ops"))


@pytest.fixture(scope="module")
def app_client(guarded: AccessWorld) -> Iterator[TestClient]:
    with guarded.client() as client:
        yield client


def actions(world: AccessWorld, **wanted: str) -> list[tuple[str, str, str]]:
    """(actor, action, object) of the newest rows first."""
    with world.service() as service:
        rows = service.audit(Wanted(**wanted), k=1000)
    return [(r.actor, r.action, r.object) for r in rows]


# audit -------------------------------------------------------------------------------------


def test_the_auditor_sees_who_did_what_page_by_page(
    app_client: TestClient, guarded: AccessWorld
) -> None:
    auditor = guarded.bearer(Role.AUDITOR)
    put = {"name": "合成水泵镇", "products": ["水泵"]}
    admin = guarded.bearer(Role.ADMIN) | {"X-Request-ID": "r-42"}
    assert app_client.put("/v1/towns/syn-pump", json=put, headers=admin).status_code == 201
    response = app_client.get("/v1/audit?limit=1", headers=auditor)
    page = AuditPage.model_validate_json(response.content)
    (row,) = page.items
    assert (row.actor, row.role, row.via) == ("key:syn-admin", "admin", "api")
    assert (row.action, row.object, row.request_id) == ("town.put", "syn-pump", "r-42")
    seen, cursor = [row.id], page.next_cursor
    while cursor:
        found = app_client.get(f"/v1/audit?limit=7&cursor={cursor}", headers=auditor).json()
        seen += [r["id"] for r in found["items"]]
        cursor = found["next_cursor"]
    assert seen == list(range(row.id, 0, -1))
    some = app_client.get("/v1/audit?action=town.put&actor=key:syn-admin", headers=auditor).json()
    assert {r["object"] for r in some["items"]} == {"syn-pump"}
    later = app_client.get("/v1/audit?since=2999-01-01T00:00:00Z", headers=auditor)
    assert later.json()["items"] == []


def test_the_auditor_sees_a_damaged_row_among_the_others(tmp_path: Path) -> None:
    world = guarded_world(tmp_path, rows=8)
    with world.service() as service, service.store._database._engine.begin() as connection:
        sqlite = connection.dialect.name == "sqlite"
        connection.exec_driver_sql("UPDATE audit SET detail = '{oops' WHERE id = 2")
        broken = "x'ff00'" if sqlite else "''"
        connection.exec_driver_sql(f"UPDATE audit SET at = {broken} WHERE id = 3")
    with world.client() as client:
        response = client.get("/v1/audit?limit=1000", headers=world.bearer(Role.AUDITOR))
    assert response.status_code == 200
    page = AuditPage.model_validate_json(response.content)
    assert [r.id for r in page.items] == list(range(len(page.items), 0, -1))
    damaged = {r.id: r for r in page.items if r.detail.get("damaged")}
    assert set(damaged) == {2, 3}
    assert damaged[2].at is not None
    assert damaged[3].at is None
    with world.service() as service:
        assert "第 2 条" in service.verify_audit().fault


@pytest.mark.parametrize("query", ["cursor=0", "cursor=x", f"cursor={2**31}", "limit=0", "since=1"])
def test_a_wrong_question_to_the_audit_is_refused(
    app_client: TestClient, guarded: AccessWorld, query: str
) -> None:
    response = app_client.get(f"/v1/audit?{query}", headers=guarded.bearer(Role.AUDITOR))
    assert response.status_code == 422


def test_a_list_that_is_sent_again_is_noted_within_a_second_for_each_who_saw_it(
    app_client: TestClient, guarded: AccessWorld
) -> None:
    for role, times in ((Role.ADMIN, 3), (Role.ANALYST, 2)):
        for _ in range(times):
            found = app_client.get(MATCHES, headers=guarded.bearer(role)).json()
        wanted = Wanted(actor=f"key:syn-{role}", object=found["shortlist_id"])
        seen, deadline = 0, time.monotonic() + 20
        while seen < times:
            assert time.monotonic() < deadline
            with guarded.service() as service:
                seen = sum(r.detail.get("again", 1) for r in service.audit(wanted))
        assert seen == times
    with guarded.service() as service:
        assert service.verify_audit().fault == ""


def test_lists_that_were_sent_again_are_noted_before_the_process_ends(
    guarded: AccessWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "NOTE_SECONDS", 3600.0)
    before = len(actions(guarded, action="list.see", actor="key:syn-crm"))
    with guarded.client() as client:
        for _ in range(4):
            assert client.get(MATCHES, headers=guarded.bearer(Role.CRM)).status_code == 200
        assert len(actions(guarded, action="list.see", actor="key:syn-crm")) == before + 1
    assert len(actions(guarded, action="list.see", actor="key:syn-crm")) == before + 2


def test_what_cannot_be_noted_now_is_noted_later(guarded: AccessWorld) -> None:
    with guarded.service() as service:
        seen = lifecycle.Seen(service)
        seen.saw("L1")
        with pytest.MonkeyPatch.context() as patch:

            def full(_: object) -> None:
                raise StorageError("磁盘已满。")

            patch.setattr(service, "note_looks", full)
            seen.note()
            seen.saw("L1")
        seen.note()
        (row,) = service.audit(Wanted(object="L1"))
        assert row.detail == {"again": 2}


def test_who_looks_a_list_up_again_is_noted(app_client: TestClient, guarded: AccessWorld) -> None:
    admin = guarded.bearer(Role.ADMIN)
    list_id = app_client.get(f"{MATCHES}?limit=3", headers=admin).json()["shortlist_id"]
    assert app_client.get(f"/v1/lists/{list_id}", headers=admin).status_code == 200
    assert actions(guarded, object=list_id) == [("key:syn-admin", "list.see", list_id)] * 2


# contacts ----------------------------------------------------------------------------------


def test_contacts_are_shown_by_role_and_every_look_is_noted(
    app_client: TestClient, guarded: AccessWorld
) -> None:
    for role in (Role.ADMIN, Role.TOWN, Role.ANALYST, Role.CRM):
        response = app_client.get(f"{FIRM}/contacts", headers=guarded.bearer(role))
        found = ContactList.model_validate_json(response.content)
        assert found.masked is (role in (Role.ANALYST, Role.CRM))
        values = [c.value for c in found.items]
        whole = ["13800000000", "who0@example.com", "合成人名"]
        assert values == (["138****0000", "w***@example.com", "合*"] if found.masked else whole)
        assert actions(guarded)[0] == (f"key:syn-{role}", "contact.see", found.firm_id)


def test_no_contact_is_shown_when_the_look_cannot_be_noted(
    app_client: TestClient, guarded: AccessWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageError("磁盘已满。")

    monkeypatch.setattr("zyz_match.storage.audit.note", full)
    response = app_client.get(f"{FIRM}/contacts", headers=guarded.bearer(Role.ADMIN))
    assert code_of(response, 503) == "storage_failed"
    assert "138" not in response.text


def test_erased_contacts_do_not_come_back_with_the_next_import(tmp_path: Path) -> None:
    world = guarded_world(tmp_path, rows=8)
    with world.client() as client:
        admin = world.bearer(Role.ADMIN)
        firm = client.get("/v1/firms/600000", headers=admin).json()["firm_id"]
        response = client.delete(f"{FIRM}/contacts", headers=admin)
        assert Erased.model_validate_json(response.content).erased == 3
        assert client.get(f"{FIRM}/contacts", headers=admin).json()["items"] == []
        assert ("key:syn-admin", "contact.erase", firm) in actions(world)
        with world.service() as service:
            (tmp_path / "again.csv").write_bytes((tmp_path / "合成企业.csv").read_bytes() + b"\n")
            service.import_firms(tmp_path / "again.csv")
            assert service.contacts("600000").contacts == ()
            assert service.contacts("600005").contacts
            assert service.allow_contacts("600000")
            assert not service.allow_contacts("600000")
        assert code_of(client.delete("/v1/firms/none/contacts", headers=admin), 404) == "not_found"
        for role in (Role.TOWN, Role.ANALYST, Role.CRM):
            refused = client.delete(f"{FIRM}/contacts", headers=world.bearer(role))
            assert code_of(refused, 403) == "forbidden"


def test_contacts_run_out_after_the_days_that_the_settings_say(tmp_path: Path) -> None:
    settings = make_world(tmp_path, firm_rows(6))
    with Service.open(settings) as service:
        assert service.expire_contacts() == 0
        with service.store._database._engine.begin() as connection:
            connection.exec_driver_sql("UPDATE batch SET created_at = '2020-01-01T00:00:00+00:00'")
    with Service.open(replace(settings, contact_days=30)) as service:
        assert service.contacts("600000").contacts
        assert service.expire_contacts() == 18
        assert service.contacts("600000").contacts == ()
        assert service.audit(Wanted(action="contact.expire"))[0].detail == {
            "contacts": 18, "days": 30,
        }  # fmt: skip
        assert service.expire_contacts() == 0


def test_the_store_is_not_closed_under_what_the_process_does_on_the_side(
    guarded: AccessWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, steps = threading.Event(), list[str]()
    close = Service.close

    def expire(_: Service) -> int:
        begun.set()
        time.sleep(0.5)
        steps.append("expired")
        return 0

    def closed(service: Service) -> None:
        steps.append("closed")
        close(service)

    monkeypatch.setattr(Service, "expire_contacts", expire)
    monkeypatch.setattr(Service, "close", closed)
    with guarded.client():
        assert begun.wait(10)
    assert steps == ["expired", "closed"]


# probes and metrics ------------------------------------------------------------------------


def test_life_and_readiness_are_asked_apart(app_client: TestClient) -> None:
    for path, status in (("/livez", "alive"), ("/readyz", "ready")):
        response = app_client.get(path, headers={"Host": "10.1.2.3:8000"})
        assert Probe.model_validate_json(response.content).status == status
    app: Any = app_client.app
    app.state.lifecycle.draining = True
    assert code_of(app_client.get("/readyz"), 503) == "not_ready"
    assert app_client.get("/livez").status_code == 200
    app.state.lifecycle.draining = False
    with pytest.MonkeyPatch.context() as patch:

        def gone() -> None:
            raise StorageError("连接不上数据库。")

        patch.setattr(app.state.service, "state", gone)
        assert code_of(app_client.get("/readyz"), 503) == "storage_failed"
        assert app_client.get("/livez").status_code == 200


def test_metrics_count_by_template_and_say_nothing_about_anybody(
    app_client: TestClient, guarded: AccessWorld
) -> None:
    admin = guarded.bearer(Role.ADMIN)
    app_client.get(FIRM, headers=admin)
    app_client.get("/v1/firms/合成不存在有限公司", headers=admin)
    app_client.get("/somewhere/else", headers=admin)
    text = app_client.get("/metrics", headers=admin).text
    line = r'zyz_http_requests_total\{method="GET",route="/v1/firms/\{firm_id\}",status="(\d+)"\}'
    assert {"200", "404"} <= set(re.findall(line, text))
    assert 'route="unknown",status="404"' in text
    assert "zyz_http_request_seconds_bucket" in text
    assert "zyz_firms 24.0" in text
    assert re.search(r"zyz_audit [1-9]", text)
    assert "zyz_deliveries" in text
    for word in ("600000", "合成", "somewhere", "syn-"):
        assert word not in text
    for role in (Role.ANALYST, Role.CRM):
        assert app_client.get("/metrics", headers=guarded.bearer(role)).status_code == 403


# logs --------------------------------------------------------------------------------------


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    root = logging.getLogger()
    before, levels = root.handlers[:], {n: logging.getLogger(n).level for n in LOGGERS}
    yield
    root.handlers[:] = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.usefixtures("logged")
def test_a_request_leaves_one_line_without_names_queries_and_bodies(
    app_client: TestClient, guarded: AccessWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.install("json")
    admin = guarded.bearer(Role.ADMIN) | {"X-Request-ID": "r-7"}
    app_client.get(f"{FIRM}/contacts", headers=admin)
    app_client.get("/v1/firms?limit=1&name=13800000000", headers=admin)
    app_client.post("/v1/leads", json={"note": "合成秘密"}, headers=admin)
    said = capsys.readouterr().err
    lines = [json.loads(line) for line in said.splitlines()]
    (look,) = [x for x in lines if x.get("route") == "/v1/firms/{firm_id}/contacts"]
    assert look["event"] == "request"
    assert (look["method"], look["status"], look["actor"]) == ("GET", 200, "syn-admin")
    assert look["request_id"] == "r-7"
    assert look["ms"] >= 0
    assert look["time"].endswith("Z")
    for word in ("13800000000", "600000", "合成", "秘密", "who0", guarded.keys[Role.ADMIN]):
        assert word not in said


@pytest.mark.usefixtures("logged")
def test_a_terminal_gets_readable_lines(capsys: pytest.CaptureFixture[str]) -> None:
    logs.install("console")
    logging.getLogger("zyz_match.api").warning("something")
    said = capsys.readouterr().err
    assert "something" in said
    assert not said.startswith("{")


# limits ------------------------------------------------------------------------------------


def test_a_caller_who_asks_too_much_is_told_when_to_come_again(guarded: AccessWorld) -> None:
    world = AccessWorld(replace(guarded.settings, rate="5/minute"), guarded.keys)
    with world.client() as client:
        admin, analyst = world.bearer(Role.ADMIN), world.bearer(Role.ANALYST)
        left = [
            client.get("/v1/towns", headers=admin).headers["ratelimit-remaining"] for _ in range(5)
        ]
        assert left == ["4", "3", "2", "1", "0"]
        refused = client.get("/v1/towns", headers=admin)
        assert code_of(refused, 429) == "too_many_requests"
        assert 1 <= int(refused.headers["retry-after"]) <= 61
        assert refused.headers["ratelimit-limit"] == "5"
        assert client.get("/v1/towns", headers=analyst).status_code == 200
        for _ in range(20):
            assert client.get("/livez").status_code == 200


def test_the_user_of_the_machine_itself_is_not_limited(client: TestClient) -> None:
    assert "ratelimit-limit" not in client.get("/v1/towns").headers


@pytest.mark.slow
def test_guessing_passwords_is_slowed_by_address(guarded: AccessWorld) -> None:
    with guarded.client() as client:
        body = {"name": "nobody", "password": "合成密码-000000"}
        codes = [client.post("/v1/session", json=body).status_code for _ in range(31)]
        assert codes[-1] == 429
        assert set(codes[:-1]) == {401}


def test_what_comes_while_too_much_is_under_way_is_refused() -> None:
    started: list[Message] = []

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        await at_once({**scope, "path": "/inner"}, receive, keep)

    async def keep(message: Message) -> None:
        started.append(message)

    async def nothing() -> Message:
        return {"type": "http.request"}

    at_once = limits.AtOnce(busy, most=1)
    asyncio.run(at_once({"type": "http", "path": "/outer", "state": {}}, nothing, keep))
    assert started[0]["status"] == 503
    assert dict(started[0]["headers"])[b"retry-after"] == b"1"
    assert b"overloaded" in started[1]["body"]


def test_a_list_is_packed_for_who_takes_it_and_only_once_while_it_is_ready(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{MATCHES}?limit=40&include=reasons"
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    packed = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert packed.json() == plain.json()
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    monkeypatch.setattr("api.ready.pack", lambda _: pytest.fail("packed again"))
    assert client.get(path, headers={"Accept-Encoding": "gzip"}).json() == plain.json()
    refused = client.get(path, headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers


def test_a_packed_list_has_a_weak_tag_and_what_is_changed_by_its_tag_is_not_packed(
    client: TestClient,
) -> None:
    listed = client.get("/v1/firms?limit=50", headers={"Accept-Encoding": "gzip"})
    assert listed.headers["content-encoding"] == "gzip"
    if tag := listed.headers.get("etag"):
        assert tag.startswith('W/"')
        again = client.get("/v1/firms?limit=50", headers={"If-None-Match": tag})
        assert again.status_code == 304
    town = client.get("/v1/towns/syn-casting", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in town.headers


def test_headers_and_addresses_that_are_too_long_are_refused(client: TestClient) -> None:
    long = "a" * limits.MAX_HEADER_BYTES
    for response in (
        client.get("/v1/towns", headers={"X-Long": long}),
        client.get("/v1/towns", headers=[("X-Long", "a" * 1000)] * 40),
        client.get("/livez", headers={"Cookie": long}),
        client.get("/v1/towns", params={"q": long}),
        client.put(f"/v1/towns/{long}", json={}),
    ):
        assert code_of(response, 431) == "headers_too_large"
        assert "32,768" in response.json()["detail"]
    assert client.get("/v1/towns", headers={"X-Long": long[:30_000]}).status_code == 200


# a real server -----------------------------------------------------------------------------


@contextmanager
def serving(home: Path, *args: str, **env: str) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """`zyz-match serve` as a process, once it takes requests; its port and the process."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ZYZ_")}
    with (home / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "zyz_match", "serve", "--port", str(port), *args],
            env=clean | {"ZYZ_HOME": str(home)} | env, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, (home / "serve.log").read_text()
            assert time.monotonic() < deadline
            try:
                if httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                    break
            except httpx2.TransportError:
                time.sleep(0.1)
        yield port, process
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def head_of(town: str, length: int) -> bytes:
    """The head of a request that puts a town."""
    lines = (
        f"PUT /v1/towns/{town} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json",
        f"Content-Length: {length}", "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode()


@pytest.mark.slow
def test_two_workers_see_a_change_at_the_next_request_and_count_together(tmp_path: Path) -> None:
    make_world(tmp_path, firm_rows(20))
    with serving(tmp_path, "--workers", "2") as (port, process):
        base = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        folder = tmp_path / "run" / f"metrics-{process.pid}"
        while len(list(folder.glob("counter_*.db"))) < 2:  # both have answered
            assert time.monotonic() < deadline
            httpx2.get(f"{base}/livez", timeout=10)
        for n in range(6):
            body = {"name": f"合成第{n}镇", "products": ["水泵"]}
            assert httpx2.put(f"{base}/v1/towns/syn-silk", json=body).status_code == 200
            for _ in range(8):  # new connections, of which either worker may take any
                found = httpx2.get(f"{base}{MATCHES}?limit=3", timeout=30).json()
                assert found["town"]["name"] == f"合成第{n}镇"
        text = httpx2.get(f"{base}/metrics").text
        route = r'route="/v1/towns/\{town_id\}/matches",status="200"'
        line = rf'requests_total\{{method="GET",{route}\}} (\d+)'
        (count,) = re.findall(line, text)
        assert int(count) == 48
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    assert not folder.exists()


@pytest.mark.slow
def test_a_stopping_server_finishes_what_it_began(tmp_path: Path) -> None:
    make_world(tmp_path, firm_rows(20))
    body = json.dumps({"name": "合成慢镇", "products": ["水泵"]}).encode()
    with (
        serving(tmp_path) as (port, process),
        socket.create_connection(("127.0.0.1", port), 30) as slow,
    ):
        slow.sendall(head_of("syn-slow", len(body)) + body[:5])
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
        slow.sendall(body[5:])
        assert slow.recv(65536).startswith(b"HTTP/1.1 201")
        assert process.wait(40) in (0, -signal.SIGTERM)
    with Service.open(load_settings({"ZYZ_HOME": str(tmp_path)})) as service:
        assert service.town("syn-slow").name == "合成慢镇"


@pytest.mark.slow
def test_a_draining_server_says_so_and_goes_on_answering(tmp_path: Path) -> None:
    make_world(tmp_path, firm_rows(20))
    with serving(tmp_path, ZYZ_DRAIN="4", ZYZ_LOG="json") as (port, process):
        process.send_signal(signal.SIGTERM)
        base, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 3
        while httpx2.get(f"{base}/readyz").status_code == 200:
            assert time.monotonic() < deadline
        assert httpx2.get(f"{base}/readyz").json()["code"] == "not_ready"
        assert httpx2.get(f"{base}/v1/towns").status_code == 200
        assert process.wait(40) in (0, -signal.SIGTERM)
    lines = (tmp_path / "serve.log").read_text().splitlines()
    logged = [json.loads(x) for x in lines if x.startswith("{")]
    assert any(x.get("route") == "/v1/towns" and x["status"] == 200 for x in logged)


SLOW = """
import sys
from api import limits, middleware, serving
limits.HEADER_SECONDS = 1.0
middleware.BODY_SECONDS, middleware.BODY_BYTES_A_SECOND = 1.0, 50_000
import socket
from zyz_match.settings import load_settings
serving.run(load_settings(), socket.socket(fileno=int(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that waits for nobody longer than a second."""
    home = tmp_path_factory.mktemp("slow")
    make_world(home, firm_rows(20))
    with socket.create_server(("127.0.0.1", 0)) as listening, (home / "log").open("wb") as log:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ZYZ_")}
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW, str(listening.fileno())], pass_fds=[listening.fileno()],
            env=environment | {"ZYZ_HOME": str(home)}, stdout=log, stderr=log,
        )  # fmt: skip
        port = listening.getsockname()[1]
    deadline = time.monotonic() + 120
    while True:
        assert process.poll() is None, (home / "log").read_text()
        assert time.monotonic() < deadline
        try:
            httpx2.get(f"http://127.0.0.1:{port}/livez", timeout=30)
            break
        except httpx2.TransportError:
            time.sleep(0.1)
    yield port
    process.terminate()
    process.wait(40)


def answer_of(port: int, *parts: bytes, pause: float = 0.3) -> bytes:
    """What a server says to a client that sends these parts slowly, to its close."""
    with socket.create_connection(("127.0.0.1", port), 20) as slow:
        for part in parts:
            try:
                slow.sendall(part)
            except OSError:
                break
            time.sleep(pause)
        said = b""
        try:
            while part := slow.recv(65536):
                said += part
        except OSError:
            pass
        return said


@pytest.mark.slow
def test_a_client_with_slow_headers_is_cut(impatient: int) -> None:
    began = time.monotonic()
    headers = [f"X-{n}: a\r\n".encode() for n in range(60)]
    assert answer_of(impatient, b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n", *headers) == b""
    assert answer_of(impatient) == b""
    assert time.monotonic() - began < 15


@pytest.mark.slow
def test_a_client_with_a_slow_body_is_told_and_cut(impatient: int) -> None:
    began = time.monotonic()
    said = answer_of(impatient, head_of("syn-x", 1000), *([b" "] * 40))
    assert said.startswith(b"HTTP/1.1 408")
    assert b"body_too_slow" in said
    assert time.monotonic() - began < 15


@pytest.mark.slow
def test_a_client_that_reuses_its_connection_is_not_cut(impatient: int) -> None:
    get = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    last = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    said = answer_of(impatient, get, get, get, get, get, last, pause=0.4)
    assert said.count(b"HTTP/1.1 200") == 6


@pytest.mark.slow
def test_headers_that_are_too_long_are_refused(impatient: int) -> None:
    said = answer_of(impatient, b"GET /livez HTTP/1.1\r\nX: " + b"a" * 100_000, pause=0)
    assert b" 400 " in said or said == b""


# on PostgreSQL -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def on_postgresql(
    postgres_server: postgres.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    home, name = tmp_path_factory.mktemp("pg"), postgres_server.migrated()
    url = postgres_server.address(name)
    settings: Settings = make_world(home, firm_rows(24), url)
    with client_of(settings) as client:
        yield client
    postgres_server.drop(name)


def test_the_core_works_the_same_on_postgresql(on_postgresql: TestClient) -> None:
    client = on_postgresql
    found = client.get(f"/v1/towns/{OTHER}/matches?limit=5").json()
    assert len(found["items"]) == 5
    firm = found["items"][0]["firm"]["firm_id"]
    lead = {"town_id": OTHER, "firm_id": firm, "stage": "contacted", "date": "2026-01-02"}
    assert client.post("/v1/leads", json=lead).status_code == 201
    assert client.post("/v1/leads", json=lead).status_code == 200
    body = {"name": "合成水泵镇", "products": ["水泵"]}
    assert client.put("/v1/towns/syn-pump", json=body).status_code == 201
    assert client.get("/v1/towns/syn-pump/matches").status_code == 200
    assert client.get(f"{FIRM}/contacts").json()["items"]
    assert client.get(f"/v1/lists/{found['shortlist_id']}").json()["reproduction"]["same"]
    assert client.get("/v1/healthz").json()["firms"] == 24
    assert client.get("/readyz").status_code == 200
    app: Any = client.app
    rows = app.state.service.audit(Wanted(), k=100)
    assert {"list.see", "lead.record", "town.put", "contact.see"} <= {r.action for r in rows}
