"""Passwords, keys and session tokens: made, checked, and what may be kept of them."""

import base64
import hashlib
import re
import secrets
import threading
import unicodedata
import zlib
from functools import cache
from typing import TYPE_CHECKING

from zyz_match.errors import InputError

if TYPE_CHECKING:  # loaded when the first password is checked
    from pwdlib import PasswordHash

MIN_PASSWORD, MAX_PASSWORD, MIN_DIFFERENT = 12, 200, 5
KEY_PREFIX = "zyz_"
_KEY = re.compile(r"zyz_([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{6})")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none looks like another one
_AT_ONCE = threading.BoundedSemaphore(2)  # each hash takes 64 MB


# passwords ---------------------------------------------------------------------------------


def check_password(password: str, name: str) -> None:
    """InputError for a password that is too short, too plain, or holds the name."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise InputError(f"密码应为 {MIN_PASSWORD}-{MAX_PASSWORD} 个字符。")
    if len(set(password)) < MIN_DIFFERENT:
        raise InputError(f"密码过于简单，至少要有 {MIN_DIFFERENT} 个不同的字符。")
    if len(name) > 2 and name in _plain(password).lower():
        raise InputError("密码不能含有用户名。")


def one_time_password() -> str:
    """A password to be told once and changed at the first sign-in: 79 bits."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


def hash_password(password: str) -> str:
    """What is kept of a password: argon2id."""
    with _AT_ONCE:
        return _hasher().hash(_plain(password))


def is_password(password: str, kept: str) -> bool:
    """Whether it is the password of which `kept` was kept; takes as long when `kept` is ""."""
    never = _never()
    with _AT_ONCE:
        return _hasher().verify(_plain(password), kept or never) and bool(kept)


def _plain(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


@cache
def _hasher() -> "PasswordHash":
    from pwdlib import PasswordHash

    return PasswordHash.recommended()


@cache
def _never() -> str:
    return hash_password(secrets.token_urlsafe())


# keys and tokens -----------------------------------------------------------------------------


def new_key() -> str:
    """A key for a machine: zyz_, 256 random bits, and a check sum against slips of the hand."""
    secret = secrets.token_urlsafe(32)
    return f"{KEY_PREFIX}{secret}{_sum(secret)}"


def is_key(text: str) -> bool:
    """Whether a text can be one of our keys at all."""
    found = _KEY.fullmatch(text)
    return found is not None and _sum(found[1]) == found[2]


def new_token() -> str:
    """A token for a session: 256 random bits."""
    return secrets.token_urlsafe(32)


def is_token(text: str) -> bool:
    """Whether a text can be one of our tokens at all."""
    return _TOKEN.fullmatch(text) is not None


def digest(secret: str) -> str:
    """What is kept of a key or a token; with so many random bits no salt is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _sum(secret: str) -> str:
    check = zlib.crc32(secret.encode()).to_bytes(4, "big")
    return base64.urlsafe_b64encode(check).rstrip(b"=").decode()
