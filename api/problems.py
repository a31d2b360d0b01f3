"""Every error answer of the door: RFC 9457 problem+json, Chinese, with the cure."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.validation import readable_errors
from zyz_match.errors import (
    ArtifactError,
    CursorTooOld,
    InputError,
    NeedsConfirmation,
    NotFoundError,
    SignInRefused,
    StorageError,
    ZyzError,
)
from zyz_match.signing import BadSignature

MEDIA_TYPE = "application/problem+json"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="zyz-match"'}
LOG = logging.getLogger("zyz_match.api")

# the nearest class in an error's family decides
STATUS_BY_CLASS: dict[type[ZyzError], int] = {
    NeedsConfirmation: 409,
    InputError: 422,
    NotFoundError: 404,
    SignInRefused: 401,
    BadSignature: 401,
    CursorTooOld: 410,
    ArtifactError: 409,
    StorageError: 503,
    ZyzError: 500,
}

TITLES: dict[int, str] = {
    400: "请求有误",
    401: "需要登录",
    403: "没有权限",
    404: "没有找到",
    405: "方法不支持",
    408: "请求没有按时发完",
    409: "与现状不符，或需要确认",
    410: "已不再保留",
    411: "缺少长度",
    412: "内容已被改过",
    413: "请求体过大",
    415: "内容类型不支持",
    421: "访问地址不对",
    422: "内容不符合要求",
    429: "请求过多",
    431: "请求头过大",
    500: "服务内部错误",
    502: "对方服务不可用",
    503: "暂不可用",
}

# code and detail of what the framework itself refuses
FRAMEWORK: dict[int, tuple[str, str]] = {
    400: ("bad_request", "请求有误，请对照 /docs 检查后重试。"),
    404: ("not_found", "没有这个地址，请对照 /docs 检查路径。"),
    405: ("method_not_allowed", "此地址不支持这个方法，请改用响应头 Allow 中列出的方法。"),
    413: ("body_too_large", "请求体过大，请缩减后重试。"),
    415: ("unsupported_media_type", "内容类型不支持，请使用 Content-Type: application/json。"),
}
INTERNAL = "服务内部出错，请稍后重试；若仍出错，请把 request_id 告诉管理员。"


class Refusal(ZyzError):
    """What the door itself refuses, with its own status and code."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.errors = tuple(errors)


def request_id(scope: Mapping[str, Any]) -> str:
    """The id that the middleware gave to this request, "" outside of it."""
    return str(scope.get("state", {}).get("request_id", ""))


def _sendable(text: str) -> str:
    """Text without what UTF-8 cannot carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def problem(
    scope: Mapping[str, Any],
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One problem+json answer."""
    body = {
        "type": f"urn:zyz-match:problem:{code}",
        "title": TITLES.get(status) or HTTPStatus(status).phrase,
        "status": status,
        "detail": _sendable(detail),
        "code": code,
        "request_id": request_id(scope),
        "errors": [{k: _sendable(v) for k, v in e.items()} for e in errors],
    }
    return Response(
        orjson.dumps(body), status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def status_of(error: ZyzError) -> int:
    """The HTTP status of an error, by the nearest class that has one."""
    if isinstance(error, Refusal):
        return error.status
    return next(STATUS_BY_CLASS[c] for c in type(error).__mro__ if c in STATUS_BY_CLASS)


def told(scope: Mapping[str, Any], error: ZyzError) -> Response:
    """An error as the answer to a request."""
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        LOG.error("request_id=%s status=%d code=%s", request_id(scope), status, error.code)
    errors: Sequence[Mapping[str, str]] = [{"detail": d} for d in error.details]
    if isinstance(error, Refusal):
        errors = error.errors
    headers = CHALLENGE if status == HTTPStatus.UNAUTHORIZED else None
    return problem(scope, status, error.code, error.message, errors=errors, headers=headers)


def _on_zyz_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ZyzError)
    return told(request.scope, error)


def answer_to(request: Request, error: Exception) -> Response:
    """A known kind of error as the answer to a request."""
    if isinstance(error, ZyzError):
        return _on_zyz_error(request, error)
    if isinstance(error, RequestValidationError):
        return _on_validation_error(request, error)
    return _on_http_exception(request, error)


def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = readable_errors(error.errors())
    detail = "".join(e["detail"] for e in errors[:3])
    if len(errors) > 3:
        detail += f"另有 {len(errors) - 3} 处，见 errors。"
    return problem(request.scope, 422, "validation_failed", detail, errors=errors)


def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, detail = FRAMEWORK.get(error.status_code, ("http_error", "请求未能完成，请稍后重试。"))
    return problem(request.scope, error.status_code, code, detail, headers=error.headers)


def install(app: FastAPI) -> None:
    """Answer every known kind of error as problem+json; the middleware answers the unknown."""
    app.add_exception_handler(ZyzError, _on_zyz_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
