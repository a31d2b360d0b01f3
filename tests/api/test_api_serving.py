"""The application as a whole: health, many at once, a real server, the shipped data."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote_to_bytes

import httpx2
import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from api.main import create_app
from api.schemas import Health, MatchPage
from tests.api.api_world import (
    BASE,
    TOWNS,
    Get,
    check_shape,
    client_of,
    firm_rows,
    make_world,
    write_firms,
)
from zyz_match.settings import Settings, load_settings

SERVER = """
import sys
import uvicorn
from api.main import check_bind, create_app
from zyz_match.settings import load_settings
check_bind("127.0.0.1")
uvicorn.run(create_app(load_settings()), fd=int(sys.argv[1]), loop="uvloop", log_level="warning")
"""


def test_health_counts_and_names_versions(get: Get) -> None:
    health = get("/v1/healthz", Health)
    assert health["firms"] == 60
    assert health["towns"] >= len(TOWNS)
    assert health["model"]
    assert health["data"]
    assert health["time"].endswith("Z")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(health["time"])) < timedelta(minutes=1)


@pytest.mark.slow
def test_sixteen_threads_get_the_same_list_while_others_write(tmp_path: Path) -> None:
    settings = make_world(tmp_path, firm_rows(20))
    with client_of(settings) as client:
        service = client.app.state.service  # type: ignore[attr-defined]
        more = [write_firms(tmp_path / f"{i}.csv", firm_rows(2, first=100 + i)) for i in range(3)]

        def work(i: int) -> int:
            if i % 16 == 0:
                return 200 if service.import_firms(more[i // 16]) else 500
            if i % 4 == 1:
                town = {"name": f"合成并发镇{i}", "products": ["水泵", f"阀门{i}"]}
                return client.put(f"/v1/towns/many-{i % 8}", json=town).status_code
            path = ("/v1/towns/syn-silk/matches", "/v1/firms/600000/towns", "/v1/healthz")[i % 3]
            return client.get(path).status_code

        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(work, range(48))) <= {200, 201}


def test_sixteen_threads_read_the_same(client: TestClient) -> None:
    def read(_: int) -> list[tuple[str, float]]:
        page = client.get("/v1/towns/syn-casting/matches?limit=50").json()
        return [(m["firm"]["firm_id"], m["score"]) for m in page["items"]]

    with ThreadPoolExecutor(16) as pool:
        lists = list(pool.map(read, range(64)))
    assert all(found == lists[0] for found in lists)


def test_chinese_in_a_query_may_also_come_unencoded(world: Settings) -> None:
    app = create_app(world)

    async def as_typed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":  # as a server does that passes such bytes on
            scope["query_string"] = unquote_to_bytes(scope["query_string"])
        await app(scope, receive, send)

    with TestClient(as_typed, base_url=BASE) as client:
        page = client.get("/v1/towns/syn-silk/matches", params={"province": "浙江省", "limit": 3})
    assert {m["firm"]["province"] for m in page.json()["items"]} == {"浙江省"}


# a real server -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def port(world: Settings) -> Iterator[int]:
    """Port of a uvicorn process of its own, ended after the tests."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        env = {k: v for k, v in os.environ.items() if not k.startswith("ZYZ_")}
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(listener.fileno())],
            env={**env, "ZYZ_HOME": str(world.home)},
            pass_fds=[listener.fileno()],
        )
        try:
            yield int(listener.getsockname()[1])
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    assert process.returncode in (0, -15)


@pytest.fixture(scope="module")
def server(port: int) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as client:
        client.event_hooks = {"response": [check_shape]}
        yield client


@pytest.mark.slow
def test_a_real_server_answers(server: httpx2.Client) -> None:
    Health.model_validate_json(server.get("/v1/healthz").content)
    page = server.get("/v1/towns/合成铸造/matches", params={"province": "浙江省"})
    assert MatchPage.model_validate_json(page.content).items
    assert server.get("/docs").status_code == 200
    assert server.get("/v1/towns/没有").status_code == 404
    put = server.put("/v1/towns/socket", json={"name": "合成套接字镇", "products": ["水泵"]})
    assert put.status_code in (200, 201)


@pytest.mark.slow
def test_a_real_server_refuses_a_large_body(server: httpx2.Client) -> None:
    for kind, path, status in (
        ("application/json", "/v1/towns/socket", 413),
        ("text/plain", "/v1/towns/socket", 415),
        ("application/json", "/v1/towns", 405),
        ("application/json", "/v1/nowhere", 404),
    ):
        headers = {"Content-Type": kind}
        for _ in range(3):
            response = server.put(path, content=b" " * 3_000_000, headers=headers)
            assert response.status_code == status


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80"])
@pytest.mark.slow
def test_a_real_server_refuses_another_host(port: int, server: httpx2.Client, host: str) -> None:
    assert server.get("/v1/towns", headers={"Host": host}).status_code == 421


def test_a_client_that_goes_away_leaves_the_server_well(port: int, server: httpx2.Client) -> None:
    server.get("/v1/healthz")
    gone = http.client.HTTPConnection("127.0.0.1", port)
    gone.putrequest("PUT", "/v1/towns/gone")
    gone.putheader("Content-Type", "application/json")
    gone.putheader("Content-Length", "1000")
    gone.endheaders(b"{")
    gone.close()
    time.sleep(0.2)
    assert server.get("/v1/towns").status_code == 200


# the shipped data --------------------------------------------------------------------------


def test_the_shipped_towns_rank_the_shipped_firms(tmp_path: Path) -> None:
    with client_of(load_settings({"ZYZ_HOME": str(tmp_path)})) as client:
        health = client.get("/v1/healthz").json()
        assert health["towns"] > 0
        assert health["firms"] > 100
        for town in client.get("/v1/towns", params={"limit": 200}).json()["items"]:
            path = f"/v1/towns/{town['id']}/matches"
            page = client.get(path, params={"limit": 5, "include": "reasons"})
            assert len(MatchPage.model_validate_json(page.content).items) == 5, town
