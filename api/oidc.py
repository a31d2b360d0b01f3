"""Signing in through an OpenID Connect issuer: authorization code with PKCE, the token verified."""

import secrets
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx2
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from api.problems import Refusal
from zyz_match.settings import Settings

TIMEOUT, LEEWAY = 10.0, 60  # seconds
MAX_ANSWER = 1_000_000
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")  # none that a public key could be a secret of


class Attempt(NamedTuple):
    """What is kept in the browser between the way out and the way back."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> "Attempt":
        """A fresh one."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))


class Recognised(NamedTuple):
    """Whom the issuer says it is."""

    issuer: str
    subject: str
    name: str


class Issuer:
    """The issuer of the settings; its own description is read at every sign-in, so never stale."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def address(self, attempt: Attempt, back_to: str) -> str:
        """Where the browser goes to sign in."""
        asked = {
            "response_type": "code", "client_id": self._settings.oidc_client_id,
            "redirect_uri": back_to, "scope": "openid profile email", "state": attempt.state,
            "nonce": attempt.nonce, "code_challenge_method": "S256",
            "code_challenge": create_s256_code_challenge(attempt.verifier),
        }  # fmt: skip
        with _client() as client:
            where = str(self._described(client)["authorization_endpoint"])
        return f"{where}{'&' if '?' in where else '?'}{urlencode(asked)}"

    def recognise(self, attempt: Attempt, code: str, back_to: str) -> Recognised:
        """Change a code for a token, and the token, once verified, for whom it is about."""
        sent = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": back_to,
            "code_verifier": attempt.verifier,
        }  # fmt: skip
        login = (self._settings.oidc_client_id, self._settings.oidc_client_secret)
        with _client() as client:
            described = self._described(client)
            granted = _json(client, "POST", described["token_endpoint"], data=sent, auth=login)
            keys = _json(client, "GET", described["jwks_uri"])
        claims = self._claims(str(granted.get("id_token", "")), keys, attempt.nonce)
        return Recognised(self._settings.oidc_issuer, str(claims["sub"]), _name(claims))

    def _described(self, client: httpx2.Client) -> dict[str, Any]:
        issuer = self._settings.oidc_issuer
        found = _json(client, "GET", f"{issuer}/.well-known/openid-configuration")
        needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        same = str(found.get("issuer", "")).rstrip("/") == issuer
        if not same or any(n not in found for n in needed):
            raise _unusable("说明文件的 issuer 与设置不同，或缺少必需的地址")
        return found

    def _claims(self, token: str, keys: dict[str, Any], nonce: str) -> CodeIDToken:
        try:
            read = jwt.decode(token, KeySet.import_key_set(keys), algorithms=list(ALGORITHMS))  # type: ignore[arg-type]
            issuer = self._settings.oidc_issuer
            options = {
                "iss": {"essential": True, "values": [issuer, f"{issuer}/"]},
                "aud": {"essential": True, "value": self._settings.oidc_client_id},
                "sub": {"essential": True}, "nonce": {"essential": True, "value": nonce},
            }  # fmt: skip
            about = {"nonce": nonce, "client_id": self._settings.oidc_client_id}
            claims = CodeIDToken(read.claims, read.header, options, about)
            claims.validate(leeway=LEEWAY)
        except (JoseError, ValueError, KeyError, TypeError):
            raise Refusal(
                401, "invalid_id_token", "统一身份认证返回的令牌不可信，未登录。请重新登录。"
            ) from None
        return claims


def _name(claims: CodeIDToken) -> str:
    """What an account for this one is called; an address counts once the issuer has checked it."""
    email = claims.get("email") if claims.get("email_verified") is True else None
    return str(claims.get("preferred_username") or email or "")


def _client() -> httpx2.Client:
    return httpx2.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=False)


def _json(client: httpx2.Client, method: str, url: str, **more: Any) -> dict[str, Any]:
    try:
        with client.stream(method, url, **more) as response:
            body = bytearray()
            for part in response.iter_bytes():
                body += part
                if len(body) > MAX_ANSWER:
                    raise _unusable("返回的内容过大")
            if response.status_code != 200:
                raise _unusable(f"返回了状态 {response.status_code}")
        found = httpx2.Response(200, content=bytes(body)).json()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        raise _unusable(f"无法访问（{type(error).__name__}）") from None
    if not isinstance(found, dict):
        raise _unusable("返回的不是 JSON 对象")
    return found


def _unusable(why: str) -> Refusal:
    return Refusal(
        502, "identity_provider_failed", f"统一身份认证服务{why}，请稍后重试或改用密码登录。"
    )
