"""Every error family as a problem, and what goes wrong inside without a word outside."""

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.main import check_bind
from api.middleware import is_loopback
from api.problems import Refusal, status_of
from tests.api.api_world import check_shape, client_of, code_of
from zyz_match.errors import (
    FileError,
    InputError,
    NeedsConfirmation,
    NotFoundError,
    ProfileError,
    StorageError,
    ZyzError,
)
from zyz_match.settings import Settings


class Failing:
    """A service whose every act raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        def act(*_: object, **__: object) -> None:
            raise self.error

        return act


@pytest.fixture
def failing(world: Settings) -> Iterator[TestClient]:
    with client_of(world) as client:
        real = client.app.state.service  # type: ignore[attr-defined]
        yield client
        client.app.state.service = real  # type: ignore[attr-defined]


def fail(client: TestClient, error: Exception, path: str = "/v1/towns/syn-silk") -> Any:
    client.app.state.service = Failing(error)  # type: ignore[attr-defined]
    return client.get(path)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (NotFoundError, 404),
        (InputError, 422),
        (ProfileError, 422),
        (FileError, 422),
        (NeedsConfirmation, 409),
        (StorageError, 503),
        (ZyzError, 500),
    ],
)
def test_the_class_of_an_error_decides_the_status(
    failing: TestClient, kind: type[ZyzError], status: int
) -> None:
    response = fail(failing, kind("出了合成的错，请重试。", details=["甲", "乙"]))
    assert code_of(response, status) == kind.code
    assert response.json()["detail"] == "出了合成的错，请重试。"
    assert response.json()["errors"] == [{"detail": "甲"}, {"detail": "乙"}]


def test_a_new_class_of_error_takes_the_status_of_its_parent() -> None:
    class Special(ProfileError):
        pass

    assert status_of(Special("合成")) == 422
    assert status_of(Refusal(413, "x", "合成")) == 413


def test_health_is_503_when_the_store_cannot_be_read(failing: TestClient) -> None:
    response = fail(failing, StorageError("数据库打不开，请检查磁盘。"), "/v1/healthz")
    assert code_of(response, 503) == "storage_failed"


def test_the_unexpected_is_a_500_without_details_and_logged_without_personal_data(
    failing: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="zyz_match.api"):
        response = fail(failing, ValueError("电话 13800000001"), "/v1/firms/合成某某")
    assert code_of(response, 500) == "internal_error"
    assert "1380000" not in response.text
    logged = "\n".join(r.getMessage() for r in caplog.records if r.name == "zyz_match.api")
    assert response.headers["x-request-id"] in logged
    assert "ValueError" in logged
    assert "/firms/{firm_id}" in logged
    assert "1380000" not in logged
    assert "某某" not in logged
    assert not any(r.exc_info for r in caplog.records)


def test_text_that_utf_8_cannot_carry_does_not_break_the_answer(failing: TestClient) -> None:
    assert code_of(fail(failing, InputError("合成 \ud800")), 422) == "invalid_input"


@pytest.mark.parametrize("sent", ["abc-123", "A.b_c", "x" * 64])
def test_a_sane_request_id_is_echoed(client: TestClient, sent: str) -> None:
    response = client.get("/v1/towns/nowhere-town", headers={"X-Request-ID": sent})
    assert response.headers["x-request-id"] == sent
    assert response.json()["request_id"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", "<script>", "a\tb", "'\""])
def test_another_request_id_is_replaced(client: TestClient, sent: str) -> None:
    made = client.get("/v1/towns", headers={"X-Request-ID": sent}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", made)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "10.0.0.1", "127.0.0.1.evil"]
)
def test_a_request_for_another_host_is_refused(client: TestClient, host: str) -> None:
    response = client.get("/v1/towns", headers={"Host": host})
    assert code_of(response, 421) == "invalid_host"


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:8000", "127.0.0.1:9", "[::1]", "[::1]:80"]
)
def test_a_request_for_this_machine_is_served(client: TestClient, host: str) -> None:
    assert client.get("/v1/towns", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.53", "::1", "localhost"])
def test_the_loopback_may_be_listened_on(host: str) -> None:
    check_bind(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "example.com", "127.0.0.1.x"])
def test_no_other_address_may_be_listened_on(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(InputError, match=r"127\.0\.0\.1"):
        check_bind(host)


def test_the_shape_is_checked_for_every_answer(client: TestClient) -> None:
    assert check_shape in client.event_hooks["response"]
