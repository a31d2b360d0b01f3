"""The interface description: examples at every route, problem+json at every error."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.models import Example
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel

from api.etags import LIST, TaggedRoute
from api.examples import ANSWERS, BODIES, PROBLEM
from api.problems import MEDIA_TYPE, TITLES
from api.schemas import Problem
from api.security import COOKIE

Responses = dict[int | str, dict[str, Any]]

_EVERYWHERE = (400, 401, 403, 404, 405, 409, 412, 421, 422, 429, 431, 500, 503)
_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "对接系统的密钥，zyz_ 开头"},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "登录后的会话"},
}
_READ, _TYPED = (408, 413), (415,)  # where a body is read, where one is asked for
_ONLY = {"list_changes": (410,)}  # by operation
_UNUSED = ("HTTPValidationError", "ValidationError")


_WITHOUT_KEY = ("/v1/session", "/v1/hooks/{system}")


def _header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name, "in": "header", "required": False, "description": description,
        "schema": schema,
    }  # fmt: skip


def answers(
    key: str, model: type[BaseModel], *, created: bool = False, status: int = 200
) -> Responses:
    """The good answers of a route with their example, as `responses=` takes them."""
    good = {
        "description": "成功",
        "model": model,
        "content": {"application/json": {"example": ANSWERS[key]}},
    }
    return {status: good, 201: {**good, "description": "已新建"}} if created else {status: good}


def body_examples(key: str) -> dict[str, Example]:
    """The example of a body, as `openapi_examples=` takes it."""
    summary, value = BODIES[key]
    return {key: {"summary": summary, "value": value}}


def _with_problems(method: str, operation: dict[str, Any]) -> None:
    read = _READ if method != "get" else ()
    typed = _TYPED if "requestBody" in operation else ()
    statuses = (*_EVERYWHERE, *read, *typed, *_ONLY.get(operation["operationId"], ()))
    for status in sorted(statuses):
        operation["responses"][str(status)] = {"$ref": f"#/components/responses/Problem{status}"}


_CONDITION = {"type": "string", "pattern": rf"^(?:\*|{LIST})$", "maxLength": 1000}
_KEY = _header(
    "Idempotency-Key", "给这次请求起的唯一名字（如 UUID）：重发时同名只生效一次，得到第一次的答复",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
)  # fmt: skip
_IF_NONE_MATCH = _header("If-None-Match", "已有内容的 ETag：没有变则返回 304", _CONDITION)
_IF_MATCH = _header("If-Match", "GET 时的 ETag：内容已被别人改过则返回 412", _CONDITION)
_IF_NEW = _header("If-None-Match", "*：已经有这个编号则返回 412，只新建、不覆盖", _CONDITION)
_NOT_MODIFIED = {"description": "没有变"}


def _with_headers(path: str, method: str, operation: dict[str, Any], *, tagged: bool) -> None:
    """The headers by which a request says what it knows."""
    wanted = {"post": [_KEY], "put": [_IF_MATCH, _IF_NEW]}.get(method, [])
    if tagged and method == "get":
        wanted = [_IF_NONE_MATCH]
        operation["responses"]["304"] = _NOT_MODIFIED
    if wanted and not path.startswith(_WITHOUT_KEY):
        operation.setdefault("parameters", []).extend(wanted)


def _problem_responses() -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": PROBLEM}}
    statuses = (*_EVERYWHERE, *_READ, *_TYPED, *(s for some in _ONLY.values() for s in some))
    return {f"Problem{s}": {"description": TITLES[s], "content": content} for s in statuses}


def _describe(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    every = iter_route_contexts(app.routes)
    tagged = {str(r.path) for r in every if isinstance(r.original_route, TaggedRoute)}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            _with_problems(method, operation)
            _with_headers(path, method, operation, tagged=path in tagged)
    components = schema["components"]
    components["responses"] = _problem_responses()
    components["securitySchemes"] = _SCHEMES
    schema["security"] = [*({name: []} for name in _SCHEMES), {}]  # {}: identity may be off
    components["schemas"]["Problem"] = Problem.model_json_schema()
    for name in _UNUSED:
        components["schemas"].pop(name, None)
    return schema


def install(app: FastAPI) -> None:
    """Let the application describe itself this way, worked out once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to extend it
