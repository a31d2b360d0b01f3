"""What the door refuses before anything else looks at it: always a 4xx problem, never a 5xx."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from api.strict_json import MAX_DEPTH, parse
from api.strict_route import MAX_BODY
from tests.api.api_world import code_of
from zyz_match.errors import ZyzError

JSON = {"Content-Type": "application/json"}
PATHS = (("PUT", "/v1/towns/strict"), ("POST", "/v1/matches"))
GETS = (
    "/v1/healthz", "/v1/towns", "/v1/towns/syn-silk", "/v1/towns/syn-silk/matches",
    "/v1/towns/syn-silk/matches/600000", "/v1/firms/600000", "/v1/firms/600000/towns",
    "/v1/firms/600000/similar",
)  # fmt: skip

BODIES: dict[str, tuple[bytes, int, str]] = {
    "nan": (b'{"name": NaN}', 422, "invalid_number"),
    "infinity": (b'{"name": -Infinity}', 422, "invalid_number"),
    "1e400": (b'{"preferences": {"a": 1e400}}', 422, "invalid_number"),
    "2^63": (b'{"preferences": {"a": 9223372036854775808}}', 422, "invalid_number"),
    "5000 digits": (b'{"a": ' + b"9" * 5000 + b"}", 422, "invalid_number"),
    "-2^63-1": (b'{"a": -9223372036854775809}', 422, "invalid_number"),
    "nul": (rb'{"name": "a\u0000b"}', 422, "invalid_text"),
    "nul key": (rb'{"na\u0000me": "ab"}', 422, "invalid_text"),
    "surrogate": (rb'{"name": "\ud800"}', 422, "invalid_text"),
    "surrogate key": (rb'{"\udfff": 1, "name": "a"}', 422, "invalid_text"),
    "two surrogate keys": (rb'{"\udfff": 1, "\udfff": 2}', 422, "duplicate_key"),
    "duplicate": (b'{"name": "a", "name": "b"}', 422, "duplicate_key"),
    "deep duplicate": (b'{"chain": [{"terms": [], "terms": []}]}', 422, "duplicate_key"),
    "deep": (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", 422, "too_deep"),
    "very deep": (b"[" * 400_000, 422, "too_deep"),
    "very deep objects": (b'{"a":' * 150_000, 422, "too_deep"),
    "syntax": (b'{"name": "a"', 400, "invalid_json"),
    "text": ("合成".encode(), 400, "invalid_json"),
    "trailing": (b"{} {}", 400, "invalid_json"),
    "bom": (b"\xef\xbb\xbf{}", 400, "invalid_json"),
    "gbk": ('{"name": "合成"}'.encode("gbk"), 400, "invalid_encoding"),
    "utf-16": ('{"name": "a"}'.encode("utf-16"), 400, "invalid_encoding"),
    "bare nul": (b'{"name": "\x00"}', 400, "invalid_json"),
    "too large": (b'"' + b"a" * MAX_BODY + b'"', 413, "body_too_large"),
    "list": (b"[]", 422, "validation_failed"),
    "null": (b"null", 422, "validation_failed"),
    "number": (b"1", 422, "validation_failed"),
    "string": (b'"a"', 422, "validation_failed"),
    "empty": (b"", 422, "validation_failed"),
    "empty object": (b"{}", 422, "validation_failed"),
}


@pytest.mark.parametrize("name", sorted(BODIES))
@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_doubtful_body_is_refused(client: TestClient, method: str, path: str, name: str) -> None:
    body, status, code = BODIES[name]
    assert code_of(client.request(method, path, content=body, headers=JSON), status) == code


BODILESS = (
    ("POST", "/v1/models:retrain"), ("POST", "/v1/models:rollback"),
    ("POST", "/v1/lists/L0:publish"), ("DELETE", "/v1/firms/600000/contacts"),
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(BODIES.keys() - {"empty", "empty object"}))
@pytest.mark.parametrize(("method", "path"), BODILESS)
def test_a_body_is_refused_where_none_is_asked_for(
    client: TestClient, method: str, path: str, name: str
) -> None:
    body, status, code = BODIES[name]
    assert code_of(client.request(method, path, content=body, headers=JSON), status) == code
    assert client.get("/v1/jobs").json()["items"] == []


@pytest.mark.parametrize("headers", [{}, JSON, {"Content-Type": "text/plain"}])
@pytest.mark.parametrize("body", [b"", b"{}", b" { }\n"])
def test_a_body_that_says_nothing_is_taken_where_none_is_asked_for(
    client: TestClient, body: bytes, headers: dict[str, str]
) -> None:
    assert client.post("/v1/lists/L0:publish", content=body, headers=headers).status_code == 404


def test_what_a_body_that_is_not_asked_for_says_is_named(client: TestClient) -> None:
    response = client.post("/v1/models:retrain", json={"dry_run": True, "colour": {"red": 1}})
    assert code_of(response, 422) == "validation_failed"
    parameter, unknown = response.json()["errors"]
    assert (parameter["pointer"], unknown["pointer"]) == ("/dry_run", "/colour")
    assert "“dry_run”是查询参数" in parameter["detail"]
    assert "?dry_run=" in parameter["detail"]
    assert "不认识的字段“colour”" in unknown["detail"]
    publishing = client.post("/v1/lists/L0:publish", json={"dry_run": True})
    assert "不认识的字段“dry_run”" in publishing.json()["detail"]
    listed = client.post("/v1/lists/L0:publish", json=[1]).json()
    assert listed["errors"] == [{"detail": listed["detail"], "pointer": ""}]
    assert "不需要请求体" in listed["detail"]


def test_a_refused_body_uses_no_key_up(client: TestClient) -> None:
    headers = {"Idempotency-Key": "bodiless"}
    refused = client.post("/v1/lists/L0:publish", json={"a": 1}, headers=headers)
    assert code_of(refused, 422) == "validation_failed"
    answers = [
        client.post("/v1/lists/L0:publish", content=body, headers=headers)
        for body in (b"{}", b"{}", b"")
    ]
    assert [code_of(a, a.status_code) for a in answers] == [
        "not_found", "not_found", "idempotency_mismatch",
    ]  # fmt: skip
    assert answers[1].headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("path", ["/v1/towns", "/v1/towns/syn-silk/matches"])
def test_the_body_of_a_get_is_left_unread(client: TestClient, path: str) -> None:
    asked = client.request("GET", path, content=b'{"limit": ', headers=JSON)
    assert asked.status_code == 200
    assert asked.json().get("items") == client.get(path).json().get("items")


def test_a_large_body_without_a_length_is_refused(client: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    response = client.put("/v1/towns/strict", content=chunks(), headers=JSON)
    assert code_of(response, 413) == "body_too_large"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=gbk"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": ""},
        {},
        {**JSON, "Content-Encoding": "gzip"},
    ],
)
def test_a_body_of_another_type_is_refused(client: TestClient, headers: dict[str, str]) -> None:
    response = client.put("/v1/towns/strict", content=b'{"name": "a"}', headers=headers)
    assert code_of(response, 415) == "unsupported_media_type"


def test_a_charset_of_utf_8_may_be_named(client: TestClient) -> None:
    headers = {"Content-Type": "Application/JSON; Charset=UTF-8"}
    response = client.put(
        "/v1/towns/charset", content='{"name": "合成编码镇"}'.encode(), headers=headers
    )
    assert response.status_code == 201


@pytest.mark.parametrize("path", GETS)
def test_an_unknown_parameter_is_refused_by_name_on_every_route(
    client: TestClient, path: str
) -> None:
    response = client.get(f"{path}?colour=red")
    assert code_of(response, 422) == "invalid_query"
    assert response.json()["errors"][0]["parameter"] == "colour"
    assert "colour" in response.json()["detail"]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_an_unknown_parameter_is_refused_beside_a_body(
    client: TestClient, method: str, path: str
) -> None:
    assert code_of(client.request(method, f"{path}?limit=5", json={}), 422) == "invalid_query"


@pytest.mark.parametrize(
    ("path", "name"),
    [("/v1/towns", "limit"), ("/v1/towns", "cursor"), ("/v1/towns/syn-silk/matches", "text"),
     ("/v1/towns/syn-silk/matches", "capital_min"), ("/v1/towns/syn-silk/matches", "diversify"),
     ("/v1/firms/600000/similar", "listed"), ("/v1/firms/600000/towns", "limit")],
)  # fmt: skip
def test_a_single_parameter_given_twice_is_refused(
    client: TestClient, path: str, name: str
) -> None:
    assert code_of(client.get(f"{path}?{name}=1&{name}=1"), 422) == "invalid_query"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("text=%00", 422, "invalid_text"),
        ("text=%ff", 400, "invalid_encoding"),
        ("text=%ED%A0%80", 400, "invalid_encoding"),
        ("%00=1", 422, "invalid_text"),
        ("%ff", 400, "invalid_encoding"),
        ("&&&=", 422, "invalid_query"),
        ("text", 422, "validation_failed"),
        ("x" * 3000, 422, "invalid_query"),
    ],
)
def test_a_doubtful_query_is_refused(
    client: TestClient, query: str, status: int, code: str
) -> None:
    response = client.get(f"/v1/towns/syn-silk/matches?{query}")
    assert code_of(response, status) == code


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/towns/%00", 422),
        ("/v1/towns/%ff", 400),
        ("/v1/towns/a%2Fb", 404),
        ("/v1/towns/", 404),
        ("/v1/towns/syn-silk/", 404),
        ("/v1/firms/" + "a" * 201, 422),
        ("/v1/firms/%F0%9F%8D%90", 404),
        ("/v1/firms/" + quote("'; DROP TABLE firm; --"), 404),
        ("/v1/firms/%25", 404),
        ("/v1/firms/_", 404),
        ("/nowhere", 404),
        ("/docs/static/../main.py", 404),
        ("/docs/static/%2e%2e/%2e%2e/core.py", 404),
    ],
)
def test_a_doubtful_path_is_refused(client: TestClient, path: str, status: int) -> None:
    assert client.get(path).status_code == status


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "BREW"])
def test_another_method_is_refused_and_the_right_ones_are_named(
    client: TestClient, method: str
) -> None:
    response = client.request(method, "/v1/towns/syn-silk")
    assert response.status_code == 405
    assert "GET" in response.headers["allow"]


def test_the_limits_themselves_pass() -> None:
    assert parse(b"9223372036854775807") == 2**63 - 1
    assert parse(b"-9223372036854775808") == -(2**63)
    assert parse(b"1e308") == 1e308
    assert parse(b"[" * MAX_DEPTH + b"1" + b"]" * MAX_DEPTH)
    assert parse('"合成\U00020000"'.encode()) == "合成\U00020000"
    assert parse(rb'"\ud840\udc00"') == "\U00020000"
    with pytest.raises(ZyzError):
        parse(b"[" * (MAX_DEPTH + 1) + b"1" + b"]" * (MAX_DEPTH + 1))


def test_what_is_good_parses_as_usual() -> None:
    value: object = {"a": [1, -2.5, None, True, "合成", {}], "b": {"c": []}}
    assert parse(json.dumps(value).encode()) == value
