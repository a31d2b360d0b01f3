"""The interface description: examples at every route, problem+json at every error."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.models import Example
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from api.examples import ANSWERS, BODIES, PROBLEM
from api.problems import MEDIA_TYPE, TITLES
from api.schemas import Problem

Responses = dict[int | str, dict[str, Any]]

_EVERYWHERE = (400, 404, 405, 409, 421, 422, 500, 503)
_WITH_BODY = (413, 415)
_UNUSED = ("HTTPValidationError", "ValidationError")


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


def _with_problems(operation: dict[str, Any]) -> None:
    statuses = (*_EVERYWHERE, *(_WITH_BODY if "requestBody" in operation else ()))
    for status in sorted(statuses):
        operation["responses"][str(status)] = {"$ref": f"#/components/responses/Problem{status}"}


def _problem_responses() -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": PROBLEM}}
    statuses = (*_EVERYWHERE, *_WITH_BODY)
    return {f"Problem{s}": {"description": TITLES[s], "content": content} for s in statuses}


def _describe(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    for operations in schema["paths"].values():
        for operation in operations.values():
            _with_problems(operation)
    components = schema["components"]
    components["responses"] = _problem_responses()
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
