"""A small OpenID Connect issuer on this machine, with real signatures; it can be told to lie."""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "syn-client", "syn-secret"


@dataclass
class FakeIssuer:
    """Who is signed in there, and which lie is told: a claim, a key or a description."""

    address: str
    user: dict[str, Any] = field(default_factory=lambda: {"sub": "s1", "preferred_username": "li"})
    claims: dict[str, Any] = field(default_factory=dict)  # instead of the true ones
    lie: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1"}))
    asked: dict[str, dict[str, str]] = field(default_factory=dict)  # code -> the request

    def authorize(self, where: str) -> dict[str, str]:
        """What the browser brings back after signing in at this address."""
        asked = {k: v[0] for k, v in parse_qs(urlsplit(where).query).items()}
        assert where.startswith(f"{self.address}/authorize?")
        assert (asked["client_id"], asked["code_challenge_method"]) == (CLIENT, "S256")
        code = secrets.token_urlsafe(8)
        self.asked[code] = asked
        return {"code": code, "state": asked["state"]}

    def described(self) -> dict[str, Any]:
        """The description of the issuer."""
        issuer = "https://evil.example" if self.lie == "issuer" else self.address
        return {
            "issuer": issuer, "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token", "jwks_uri": f"{self.address}/keys",
        }  # fmt: skip

    def keys(self) -> dict[str, Any]:
        """The public keys."""
        return {"keys": [self.key.as_dict(private=False)]}

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """The answer to a code, which is good once."""
        asked = self.asked.pop(form.get("code", ""), None)
        if asked is None:
            return 400, {"error": "invalid_grant"}
        if create_s256_code_challenge(form["code_verifier"]) != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        if form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.address, "aud": CLIENT, "exp": now + 300, "iat": now,
            "nonce": asked["nonce"], **self.user, **self.claims,
        }  # fmt: skip
        return 200, {"token_type": "Bearer", "access_token": "x", "id_token": self._signed(claims)}

    def _signed(self, claims: dict[str, Any]) -> str:
        if self.lie == "other key":
            other = RSAKey.generate_key(2048, {"kid": "1"})
            return jwt.encode({"alg": "RS256", "kid": "1"}, claims, other)
        if self.lie == "public key as secret":
            return _by_hmac(claims, self.key.as_pem(private=False))
        token = jwt.encode({"alg": "RS256", "kid": "1"}, claims, self.key)
        head, body, sign = token.split(".")
        if self.lie == "flipped":
            return f"{head}.{body[:-2]}{'AA' if body[-2:] != 'AA' else 'BB'}.{sign}"
        if self.lie == "unsigned":
            return f"eyJhbGciOiJub25lIn0.{body}."
        return token


def _by_hmac(claims: dict[str, Any], secret: bytes) -> str:
    """A token as a library makes it that lets a public key be a shared secret."""
    parts = [json.dumps(p).encode() for p in ({"alg": "HS256", "kid": "1"}, claims)]
    signed = b".".join(base64.urlsafe_b64encode(p).rstrip(b"=") for p in parts)
    sign = hmac.new(secret, signed, hashlib.sha256).digest()
    return f"{signed.decode()}.{base64.urlsafe_b64encode(sign).rstrip(b'=').decode()}"


@contextmanager
def fake_issuer() -> Iterator[FakeIssuer]:
    """An issuer that listens on loopback."""
    issuer = FakeIssuer("")

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, status: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            if self.path.endswith("openid-configuration"):
                self._answer(200, issuer.described())
            else:
                self._answer(200, issuer.keys())

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(*issuer.token({k: v[0] for k, v in parse_qs(sent).items()}))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
