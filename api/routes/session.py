"""Signing in and out: a person's session lives in a cookie that no script can read."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Body, Query, Request, Response
from starlette.responses import HTMLResponse, RedirectResponse

from api.deps import ServiceDep
from api.middleware import host_name, is_loopback
from api.oidc import Attempt, Issuer
from api.openapi import answers, body_examples
from api.problems import Refusal
from api.schemas_access import CallerView, PasswordBody, SignedOut, SignInBody
from api.security import COOKIE, caller_of
from api.strict_route import StrictRoute
from api.views import answer
from api.views_access import caller_view
from zyz_match.service import Service

router = APIRouter(prefix="/session", route_class=StrictRoute, tags=["登录"])
SignInDep = Annotated[SignInBody, Body(openapi_examples=body_examples("sign_in"))]
PasswordDep = Annotated[PasswordBody, Body(openapi_examples=body_examples("password"))]
LASTS, ATTEMPT_LASTS = 12 * 3600, 600  # seconds
OIDC_COOKIE, OIDC_PATH = "zyz_oidc", "/v1/session/oidc"
_SIGNED_IN = (
    '<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>已登录</title>'
    '<meta http-equiv="refresh" content="0;url=/docs">'
    '<p>已登录。<a href="/docs">继续</a></p></html>'
)


@router.post("", summary="登录", responses=answers("sign_in", CallerView))
def sign_in(request: Request, service: ServiceDep, body: SignInDep) -> Response:
    """用户名和密码正确时种下会话 Cookie（12 小时）；连续 5 次输错锁定 15 分钟。"""
    return _signed_in(request, service, service.sign_in(body.name, body.password))


@router.get("", summary="当前是谁", responses=answers("session", CallerView))
def read_session(request: Request) -> Response:
    """当前会话或密钥的名称、角色、专业镇和权限。"""
    return answer(caller_view(caller_of(request)))


@router.delete("", summary="退出", responses=answers("sign_out", SignedOut))
def sign_out(request: Request, service: ServiceDep) -> Response:
    """结束当前会话，Cookie 随即失效。"""
    _account_only(request)
    service.sign_out(request.cookies[COOKIE])
    response = answer({"signed_out": True})
    _set_cookie(request, response, COOKIE, "", 0)
    return response


@router.post("/password", summary="改密码", responses=answers("session_password", CallerView))
def change_password(request: Request, service: ServiceDep, body: PasswordDep) -> Response:
    """改自己的密码；这个账号的其他会话全部结束，当前浏览器换用新会话。"""
    _account_only(request)
    token = service.change_password(caller_of(request), body.old, body.new)
    return _signed_in(request, service, token)


@router.get("/oidc", include_in_schema=False)
def begin_oidc(request: Request, service: ServiceDep) -> Response:
    """Send the browser to the issuer."""
    attempt = Attempt.new()
    where = _issuer(service).address(attempt, _back_to(request))
    response = RedirectResponse(where, 303)
    _set_cookie(request, response, OIDC_COOKIE, "~".join(attempt), ATTEMPT_LASTS, strict=False)
    return response


@router.get("/oidc/callback", include_in_schema=False)
def end_oidc(
    request: Request,
    service: ServiceDep,
    code: Annotated[str, Query(max_length=4000)] = "",
    state: Annotated[str, Query(max_length=200)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
    error_description: Annotated[str, Query(max_length=2000)] = "",
    session_state: Annotated[str, Query(max_length=400)] = "",
    iss: Annotated[str, Query(max_length=400)] = "",
) -> Response:
    """Take the browser back from the issuer."""
    issuer, kept = _issuer(service), request.cookies.get(OIDC_COOKIE, "").split("~")
    if len(kept) != 3 or not secrets.compare_digest(kept[0].encode(), state.encode()):
        raise Refusal(400, "invalid_state", "登录已过期，或不是从本浏览器发起的。请重新登录。")
    if error or not code:
        raise Refusal(403, "sign_in_cancelled", "统一身份认证没有完成登录，请重试。")
    found = issuer.recognise(Attempt(*kept), code, _back_to(request))
    token = service.sign_in_subject(*found)
    if token is None:
        raise Refusal(
            403, "account_unknown",
            "统一身份认证的这个用户在本系统没有可用的账号，请找安全管理员开通。",
        )  # fmt: skip
    response = HTMLResponse(_SIGNED_IN)  # its own link carries the strict cookie, a redirect not
    _set_cookie(request, response, OIDC_COOKIE, "", 0, strict=False)
    _set_cookie(request, response, COOKIE, token, LASTS)
    return response


def _signed_in(request: Request, service: Service, token: str) -> Response:
    caller = service.by_session(token)
    if caller is None:  # shut in this very moment
        raise Refusal(401, "not_signed_in", "账号已停用，请找安全管理员。")
    response = answer(caller_view(caller))
    _set_cookie(request, response, COOKIE, token, LASTS)
    return response


def _account_only(request: Request) -> None:
    if caller_of(request).kind != "session":
        raise Refusal(409, "no_session", "当前没有登录会话（凭密钥访问，或未启用身份认证）。")


def _set_cookie(
    request: Request, response: Response, name: str, value: str, lasts: int, *, strict: bool = True
) -> None:
    """A cookie for us alone; the one that must come back from the issuer cannot be strict."""
    response.set_cookie(
        name, value, max_age=lasts, path="/" if strict else OIDC_PATH, httponly=True,
        secure=not _is_local(request), samesite="strict" if strict else "lax",
    )  # fmt: skip


def _is_local(request: Request) -> bool:
    return is_loopback(host_name(request.headers.get("host", "localhost")))


def _back_to(request: Request) -> str:
    scheme = "http" if _is_local(request) else "https"
    return f"{scheme}://{request.headers.get('host', 'localhost')}{OIDC_PATH}/callback"


def _issuer(service: Service) -> Issuer:
    if not service.settings.oidc_issuer:
        raise Refusal(404, "oidc_off", "没有设置统一身份认证，请用用户名和密码登录。")
    return Issuer(service.settings)
