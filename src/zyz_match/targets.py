"""Where webhooks may go: addresses on the administrator's list, and what they resolve to."""

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from zyz_match.errors import InputError

LONGEST = 2000
_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_METADATA = (  # of clouds, outside of the ranges refused below
    ipaddress.ip_address("100.100.100.200"),
    ipaddress.ip_address("fd00:ec2::254"),
)
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Target(NamedTuple):
    """A host, in lower case and without brackets, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def targets_of(text: str) -> frozenset[Target]:
    """The targets of a list "host:port,host:port"; InputError for what is none."""
    return frozenset(_listed(part.strip()) for part in text.split(",") if part.strip())


def _listed(text: str) -> Target:
    try:
        parts = urlsplit(f"//{text}")
        port, host = parts.port, (parts.hostname or "")
    except ValueError:
        port, host = None, ""
    plain = parts.netloc == text and "@" not in text if host else False
    if port is None or not port or not plain or not _is_host(host):
        raise InputError(
            f"ZYZ_WEBHOOK_TARGETS 中的“{text}”应写成 主机:端口，例：crm.example.cn:443。"
        )
    return Target(host, port)


def target_of(url: str) -> Target:
    """The target of an address to tell; InputError for what is no plain http(s) address."""
    wrong = InputError(
        f"推送地址应为 http(s)://主机[:端口]/路径，不带用户名、密码和 #，不超过 {LONGEST} 字。"
    )
    if len(url) > LONGEST or not re.fullmatch(r"[!-\[\]-~]+", url):
        raise wrong
    try:
        parts = urlsplit(url)
        port, host = parts.port, (parts.hostname or "")
    except ValueError:
        raise wrong from None
    if parts.scheme not in _PORTS or "@" in parts.netloc or "#" in url or not _is_host(host):
        raise wrong
    if port == 0:
        raise wrong
    return Target(host, port or _PORTS[parts.scheme])


def _is_host(host: str) -> bool:
    return _literal(host) is not None or bool(_NAME.fullmatch(host) and len(host) <= 253)


def _literal(host: str) -> Address | None:
    try:
        return None if "%" in host else ipaddress.ip_address(host)
    except ValueError:
        return None


def fault_of(address: str, host: str) -> str:
    """Chinese: why a host must not be reached at this address, "" when it may.

    A city's CRM is on a private network, so that private addresses are allowed. This machine itself
    is reached only where its address, not a name, is listed.
    """
    found = _literal(address.partition("%")[0])
    if found is None:
        return "地址无法识别"
    real = _inner(found)
    if real.is_link_local or real in _METADATA:
        return f"{address} 是链路本地或云元数据地址，不允许推送"
    if real.is_loopback:
        return "" if _literal(host) == found else f"{address} 是本机地址，须在名单中写明该地址"
    if real.is_unspecified or real.is_multicast or real.is_reserved:
        return f"{address} 不是可推送的地址"
    if isinstance(real, ipaddress.IPv4Address) and real in ipaddress.ip_network("0.0.0.0/8"):
        return f"{address} 不是可推送的地址"
    return ""


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address carries, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
