"""Signatures of webhooks: ours, and those of the systems that call us.

A scheme is one function and one row of SCHEMES: it says which message this is, or refuses it.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite

from zyz_match.errors import ZyzError

PREFIX = "whsec_"
TOLERANCE = timedelta(minutes=5)  # how far a message's time may be from ours
_SECRET_BYTES = range(24, 65)  # of Standard Webhooks


class BadSignature(ZyzError):
    """A message is not signed by whom it claims to be from, or comes too late."""

    code = "invalid_signature"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it came."""

    method: str
    url: str  # as its sender calls it
    headers: Mapping[str, str]  # names in lower case
    token: str  # sent along in the address, "" when there was none
    body: bytes
    at: datetime  # when it came


# ours --------------------------------------------------------------------------------------


def derived(key: bytes, name: str, salt: str) -> bytes:
    """A secret of 32 bytes, always the same for the same key, name and salt."""
    return hmac.new(key, f"{name}\x1f{salt}".encode(), "sha256").digest()


def check_of(secret: bytes) -> str:
    """Tells one secret from another, and nothing about either."""
    return hashlib.sha256(b"check:" + secret).hexdigest()[:16]


def shown(secret: bytes) -> str:
    """A secret as a receiver takes it."""
    return PREFIX + base64.b64encode(secret).decode()


def headers_of(uid: str, at: datetime, body: bytes, secrets: Iterable[bytes]) -> dict[str, str]:
    """The headers of a message by Standard Webhooks v1, one signature a secret."""
    seconds = str(int(at.timestamp()))
    signed = [_standard(uid, seconds, body, secret) for secret in secrets]
    return {
        "webhook-id": uid,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{s}" for s in signed),
    }


def _standard(uid: str, seconds: str, body: bytes, secret: bytes) -> str:
    content = b".".join((uid.encode(), seconds.encode(), body))
    return base64.b64encode(_hmac(secret, content)).decode()


def _hmac(secret: bytes, content: bytes) -> bytes:
    return hmac.new(secret, content, "sha256").digest()


# theirs ------------------------------------------------------------------------------------


def standard(message: Incoming, secret: str) -> str:
    """Standard Webhooks v1; a secret is `whsec_...`."""
    uid = message.headers.get("webhook-id", "")
    seconds = message.headers.get("webhook-timestamp", "")
    sent = message.headers.get("webhook-signature", "").split(" ")
    if not uid:
        raise BadSignature("缺少请求头 webhook-id。")
    key = _key(secret)
    _signed([s.removeprefix("v1,") for s in sent if s.startswith("v1,")],
            _standard(uid, seconds, message.body, key))  # fmt: skip
    _in_time(seconds, message.at)
    return uid


def espocrm(message: Incoming, secret: str) -> str:
    """EspoCRM: base64 of `id:digest`, the digest in hex (Signature) or as it is (X-Signature)."""
    digest, names = _hmac(secret.encode(), message.body), ("signature", "x-signature")
    sent = [_after_colon(message.headers[n]) for n in names if n in message.headers]
    if not any(hmac.compare_digest(s, d) for s in sent for d in (digest, digest.hex().encode())):
        raise _wrong(sent)
    return ""


def sha256(message: Incoming, secret: str) -> str:
    """As GitHub and many others: X-Hub-Signature-256: sha256=hex."""
    sent = message.headers.get("x-hub-signature-256", "")
    _signed([sent] if sent else [], f"sha256={_hmac(secret.encode(), message.body).hex()}")
    return ""


def hubspot(message: Incoming, secret: str) -> str:
    """HubSpot v3: method, address, body and time are signed."""
    stamp = message.headers.get("x-hubspot-request-timestamp", "")
    content = f"{message.method}{message.url}".encode() + message.body + stamp.encode()
    expected = base64.b64encode(_hmac(secret.encode(), content)).decode()
    sent = message.headers.get("x-hubspot-signature-v3", "")
    _signed([sent] if sent else [], expected)
    _in_time(stamp, message.at, 1000)
    return ""


def token(message: Incoming, secret: str) -> str:
    """No signature, as Odoo: a secret word in X-Zyz-Token or, where headers cannot be set, ?token=.

    What was heard by somebody else can be said again; only what the message says guards then.
    """
    sent = [t for t in (message.headers.get("x-zyz-token", ""), message.token) if t]
    _signed(sent, secret)
    return ""


Scheme = Callable[[Incoming, str], str]
SCHEMES: Mapping[str, Scheme] = {
    "standard": standard, "espocrm": espocrm, "sha256": sha256, "hubspot": hubspot, "token": token,
}  # fmt: skip


def verified(scheme: str, message: Incoming, secrets: Iterable[str]) -> str:
    """The id of a message; BadSignature unless one of the secrets fits.

    Where the scheme signs no id it is the hash of the body: the same again is the same message.
    """
    refusal = BadSignature("没有可用的密钥。")
    for secret in secrets:
        try:
            found = SCHEMES[scheme](message, secret)
        except BadSignature as error:
            refusal = error
        else:
            return found or hashlib.sha256(message.body).hexdigest()
    raise refusal


def check_secret(scheme: str, secret: str) -> None:
    """BadSignature unless this can be a secret of the scheme."""
    if scheme == "standard":
        _key(secret)
    elif len(secret) < 16 or not secret.isascii():
        raise BadSignature("密钥应为至少 16 个 ASCII 字符。")


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(PREFIX) or len(key) not in _SECRET_BYTES:
        raise BadSignature(f"密钥应为 {PREFIX} 开头、24-64 字节的 base64。")
    return key


def _after_colon(header: str) -> bytes:
    try:
        return base64.b64decode(header, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


def _signed(sent: Iterable[str], expected: str) -> None:
    given = [s.encode() for s in sent]
    if not any(hmac.compare_digest(s, expected.encode()) for s in given):
        raise _wrong(given)


def _wrong(sent: Iterable[bytes]) -> BadSignature:
    return BadSignature("签名不符，请核对密钥。" if any(sent) else "缺少签名。")


def _in_time(stamp: str, now: datetime, per_second: int = 1) -> None:
    try:
        sent = float(stamp) / per_second
    except ValueError:
        sent = float("nan")
    if not isfinite(sent) or abs(sent - now.timestamp()) > TOLERANCE.total_seconds():
        minutes = TOLERANCE.total_seconds() / 60
        raise BadSignature(f"时间戳与本机时间相差超过 {minutes:g} 分钟，请核对时钟后重发。")
