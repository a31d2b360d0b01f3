"""One POST to a listed target: resolved once, pinned, no redirect followed, bounded in time."""

import asyncio
import email.utils
import socket
import ssl
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import httpx2

from zyz_match.targets import Target, fault_of, target_of

CONNECT_SECONDS, TOTAL_SECONDS = 5.0, 15.0
MOST_BYTES = 65_536  # of an answer
MOST_WAIT = 86_400.0  # seconds that a receiver may ask us to wait
_ASKS_TO_WAIT = (429, 503)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a POST came to."""

    status: int | None  # None when nobody answered
    milliseconds: int
    error: str  # Chinese, "" when it was taken
    wait: float = 0.0  # seconds that the receiver asks us to wait

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no more."""
        return self.status == 410


class _Refused(Exception):
    """It must not be sent there."""


class Sender:
    """Sends to targets of a list; use as an async context."""

    def __init__(self, targets: Collection[Target], total: float = TOTAL_SECONDS) -> None:
        self._targets = targets
        self._total = total
        self._client = httpx2.AsyncClient(
            verify=ssl.create_default_context(), trust_env=False, follow_redirects=False,
            timeout=httpx2.Timeout(total, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_keepalive_connections=0),  # two names may share an address
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, tb)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send once; whatever goes wrong is told in the reply."""
        began = time.monotonic()
        status, error, wait = None, "", 0.0
        try:
            async with asyncio.timeout(self._total):
                status, wait = await self._send(url, body, headers)
                error = _said(status)
        except _Refused as refusal:
            error = str(refusal)
        except (TimeoutError, httpx2.TimeoutException):
            error = f"超时：连接 {CONNECT_SECONDS:g} 秒、全程 {self._total:g} 秒内没有完成"
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as failure:
            error = _why(failure)
        return Reply(status, round((time.monotonic() - began) * 1000), error, wait)

    async def _send(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, float]:
        target = target_of(url)
        if target not in self._targets:
            raise _Refused(f"{target} 不在管理员的推送名单（ZYZ_WEBHOOK_TARGETS）中")
        where = httpx2.URL(url)
        pinned = where.copy_with(host=await _resolve(target))
        request = self._client.build_request(
            "POST", pinned, content=body,
            headers={**headers, "Host": where.netloc.decode("ascii")},
            extensions={"sni_hostname": target.host},
        )  # fmt: skip
        response = await self._client.send(request, stream=True)
        try:
            read = 0
            async for part in response.aiter_raw():
                read += len(part)
                if read > MOST_BYTES:
                    break
        finally:
            await response.aclose()
        asked = response.headers.get("retry-after", "")
        return response.status_code, _wait(asked) if response.status_code in _ASKS_TO_WAIT else 0.0


async def _resolve(target: Target) -> str:
    """The address to connect to, when every address of the host may be."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            target.host, target.port, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError):
        raise _Refused(f"主机名 {target.host} 无法解析") from None
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if fault := fault_of(address, target.host):
            raise _Refused(fault)
    return addresses[0]


def _said(status: int) -> str:
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"对方返回 {status}；不跟随转向，请把推送地址改为最终地址"
    return f"对方返回 {status}"


def _why(failure: Exception) -> str:
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "对方的证书未通过验证，请换用受信任的证书，或把签发机构加入系统信任"
        cause = cause.__cause__ or cause.__context__
    if isinstance(failure, httpx2.ConnectError | OSError):
        return "连接不上对方，请核对地址、端口和防火墙"
    return "对方中断了连接，或回答不符合 HTTP"


def _wait(text: str) -> float:
    """Seconds of a Retry-After, 0 for none or one that cannot be read."""
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), MOST_WAIT)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    at = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0.0, (at - datetime.now(UTC)).total_seconds()), MOST_WAIT)
