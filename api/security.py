"""Who is there and whether this one may: asked of every request before anything answers it.

A key comes as `Authorization: Bearer zyz_...`, a person's session as the cookie `zyz_session`.
While identity is off, which only a server for this machine can be, the caller is its local user.
"""

import ipaddress
from datetime import UTC, datetime
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.middleware import is_loopback
from api.permissions import BEFORE_CHANGE, TABLE, Found
from api.problems import FRAMEWORK, Refusal, problem, request_id, told
from zyz_match.access import SCOPE_NAMES, Caller
from zyz_match.acting import ROLE_NAMES, Actor, Role, acting, actor
from zyz_match.errors import ZyzError
from zyz_match.service import Service

COOKIE = "zyz_session"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
METRICS = "/metrics"
_OTHERS_SEND = frozenset({"/v1/hooks/{system}"})  # with a signature of their own
_NOT_KNOWN = "请先登录（POST /v1/session），或在 Authorization 头带上有效的密钥（Bearer zyz_…）。"


class Known(NamedTuple):
    """A caller, and the minute that its key was last seen before this one ("" for none)."""

    caller: Caller
    used: str = ""


class Identify:
    """Recognises the caller, checks the table, and acts in the caller's name from there on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._noted: dict[str, str] = {}  # key id -> the minute that this process saw to

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        found = TABLE.find(scope["method"], scope["path"])
        try:
            known = await _known(scope, found)
            if found is None:
                await _nowhere(scope)(scope, receive, send)
                return
            _admit(scope, known, found)
        except ZyzError as error:
            await told(scope, error)(scope, receive, send)
            return
        scope["state"]["caller"] = known.caller if known else None
        with acting(_actor(scope, known)):
            await self.app(scope, receive, send)
        if known is not None and known.caller.kind == "key":
            await self._note_use(scope, known)

    async def _note_use(self, scope: Scope, known: Known) -> None:
        """Keep the minute of a key's use, once the answer is on its way."""
        key_id, minute = known.caller.id, datetime.now(UTC).isoformat(timespec="minutes")
        if known.used < minute and self._noted.get(key_id) != minute:
            self._noted[key_id] = minute
            await run_in_threadpool(scope["app"].state.service.note_use, key_id, minute)


def caller_of(request: Request) -> Caller:
    """The caller of a route that is not for everybody."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


def sight(scope: Scope) -> tuple[object, ...]:
    """What an answer may depend on of who asks: it is not for anybody with another one."""
    caller: Caller | None = scope["state"].get("caller")
    return () if caller is None else (caller.roles, caller.towns, caller.scopes)


# who ---------------------------------------------------------------------------------------


async def _known(scope: Scope, found: Found | None) -> Known | None:
    """The caller; None when nobody says who they are, or the address asks nobody.

    Raises Refusal for what is given and worth nothing.
    """
    if found is not None and found.rule.roles is None:
        return None
    service: Service = scope["app"].state.service
    if service.at_hand:  # the looks take microseconds
        return _recognise(service, scope)
    return await run_in_threadpool(_recognise, service, scope)


def _recognise(service: Service, scope: Scope) -> Known | None:
    headers = Headers(scope=scope)
    if given := headers.getlist("authorization"):
        return _by_key(service, given)
    if token := cookie_parser(headers.get("cookie", "")).get(COOKIE):
        caller = service.by_session(token)
        if caller is not None:
            return Known(caller)
    if not service.identity_on():
        return _at_the_machine(scope, headers)
    if scope["path"] == METRICS and _from_here(scope, headers):
        return Known(_local())
    return None


def _by_key(service: Service, given: list[str]) -> Known:
    scheme, _, key = given[0].partition(" ")
    found = service.by_key(key.strip()) if scheme.lower() == "bearer" else None
    if len(given) > 1 or found is None:
        raise Refusal(
            401, "invalid_key",
            "密钥无效、已过期或已吊销，请核对 Authorization 头，或另要一把密钥。",
        )  # fmt: skip
    return Known(*found)


def _local() -> Caller:
    return Caller(actor().name, Role.ADMIN, "local")


def _at_the_machine(scope: Scope, headers: Headers) -> Known:
    if _is_remote(scope) or any(name in headers for name in _FORWARDED):
        raise Refusal(
            403, "identity_required",
            "本机以外的访问须先启用身份认证，请先在本机运行 zyz-match user add --first。",
        )  # fmt: skip
    return Known(_local())


def _is_remote(scope: Scope) -> bool:
    """Whether a request comes from an address of another machine."""
    try:
        return not ipaddress.ip_address((scope.get("client") or ("",))[0]).is_loopback
    except ValueError:  # a local socket
        return False


def _from_here(scope: Scope, headers: Headers) -> bool:
    """Whether a request was sent by this machine itself, by way of no proxy."""
    peer = scope.get("client")
    forwarded = any(name in headers for name in _FORWARDED)
    return peer is not None and is_loopback(peer[0]) and not forwarded


def _actor(scope: Scope, known: Known | None) -> Actor:
    """Who acts; an address for everybody asks nobody, who sees no town."""
    asked = request_id(scope)
    if known is None:
        return Actor("", Role.TOWN, "api", frozenset(), asked)
    return known.caller.actor(asked)


# may they ----------------------------------------------------------------------------------


def _admit(scope: Scope, known: Known | None, found: Found) -> None:
    """Refusal unless the table lets this caller ask."""
    if scope["method"] not in SAFE and found.template not in _OTHERS_SEND:
        _check_origin(scope, known)
    if found.rule.roles is None:
        return
    if known is None:
        raise Refusal(401, "not_signed_in", _NOT_KNOWN)
    caller = known.caller
    if caller.must_change and (found.method, found.template) not in BEFORE_CHANGE:
        raise Refusal(
            403, "password_change_required",
            "一次性密码须先改成自己的密码（POST /v1/session/password），之后才能使用。",
        )  # fmt: skip
    if not caller.roles & found.rule.roles:
        raise _not_for(caller)
    if found.rule.scope not in caller.scopes:
        raise Refusal(
            403, "insufficient_scope",
            f"这把密钥没有“{SCOPE_NAMES[found.rule.scope]}”权限（{found.rule.scope}）。",
        )  # fmt: skip


def _not_for(caller: Caller) -> Refusal:
    if caller.kind == "local":
        return Refusal(
            403, "identity_off",
            "还没有启用身份认证。请在本机运行 zyz-match user add --first 建立首批账号。",
        )  # fmt: skip
    return Refusal(403, "forbidden", f"{ROLE_NAMES[caller.role]}没有使用这个接口的权限。")


def _check_origin(scope: Scope, known: Known | None) -> None:
    """Refusal for a change that another site's page has a browser send.

    A session must show that its own page sent it; others are refused for what shows the contrary.
    """
    if known is not None and known.caller.kind == "key":
        return
    headers = Headers(scope=scope)
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    shown = site is not None or origin is not None
    foreign = site not in (None, "same-origin", "none") or (
        origin is not None and origin.lower() not in _own_origins(headers)
    )
    if foreign or (known is not None and known.caller.kind == "session" and not shown):
        raise Refusal(
            403, "cross_site", "这个请求不是从本系统的页面发出的，已拒绝。程序请改用密钥访问。"
        )


def _own_origins(headers: Headers) -> tuple[str, str]:
    """As a browser names us; a proxy before us may have taken the TLS off."""
    host = headers.get("host", "").lower()
    return f"https://{host}", f"http://{host}"


def _nowhere(scope: Scope) -> Response:
    """The answer for an address that the table does not know, or not with this method."""
    methods = TABLE.methods(scope["path"])
    status = 405 if methods else 404
    allow = {"Allow": ", ".join(methods)} if methods else None
    return problem(scope, status, *FRAMEWORK[status], headers=allow)
