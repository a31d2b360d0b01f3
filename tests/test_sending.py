"""Where webhooks may go, and one POST to there: pinned, bounded, never led elsewhere."""

import asyncio
import http.server
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.receiver import receiver
from zyz_match import sending
from zyz_match.errors import InputError
from zyz_match.sending import Reply, Sender
from zyz_match.targets import Target, fault_of, target_of, targets_of


def post(url: str, targets: str, total: float = 5.0, times: int = 1) -> Reply:
    """The last of some POSTs."""

    async def send() -> Reply:
        async with Sender(targets_of(targets), total) as sender:
            for _ in range(times):
                reply = await sender.post(url, b"{}", {"webhook-id": "evt_1"})
            return reply

    return asyncio.run(send())


# the list ----------------------------------------------------------------------------------


def test_targets_are_exact_hosts_and_ports() -> None:
    assert targets_of(" CRM.example.cn:443 ,10.0.0.7:8069,[fd00::7]:80,") == {
        Target("crm.example.cn", 443), Target("10.0.0.7", 8069), Target("fd00::7", 80),
    }  # fmt: skip
    assert targets_of("") == frozenset()
    assert {str(t) for t in targets_of("[fd00::7]:80,a:1")} == {"[fd00::7]:80", "a:1"}


@pytest.mark.parametrize("text", [
    "crm.example.cn", "https://crm.example.cn:443", "crm:0", "crm:70000", "crm:x", "*:443", ":443",
    "a@b:443", "crm:443/path", "*.example.cn:443", "fd00::7:80", "a b:1", "é.cn:443",
])  # fmt: skip
def test_anything_else_on_the_list_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="ZYZ_WEBHOOK_TARGETS"):
        targets_of(text)


@pytest.mark.parametrize(("url", "target"), [
    ("https://crm.example.cn/hook?x=1", Target("crm.example.cn", 443)),
    ("http://CRM.example.cn", Target("crm.example.cn", 80)),
    ("https://[fd00::7]:8443/", Target("fd00::7", 8443)),
])  # fmt: skip
def test_an_address_names_its_target(url: str, target: Target) -> None:
    assert target_of(url) == target


@pytest.mark.parametrize("address", [
    "169.254.169.254", "169.254.0.1", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::", "100.100.100.200", "fd00:ec2::254", "0.0.0.0", "::", "224.0.0.1", "ff02::1",
    "255.255.255.255", "0.1.2.3", "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "x",
    "fe80::1%2",
])  # fmt: skip
def test_a_name_never_leads_to_this_machine_or_to_its_cloud(address: str) -> None:
    assert fault_of(address, "crm.example.cn")


@pytest.mark.parametrize("address", ["10.0.0.7", "192.168.1.1", "172.16.0.1", "fd00::7", "8.8.8.8"])
def test_private_and_public_addresses_are_fine(address: str) -> None:
    assert fault_of(address, "crm.example.cn") == ""


def test_this_machine_is_reached_only_where_its_address_is_listed() -> None:
    assert fault_of("127.0.0.1", "127.0.0.1") == ""
    assert fault_of("::1", "::1") == ""
    assert fault_of("127.0.0.1", "localhost")
    assert fault_of("127.0.0.1", "127.1")
    assert fault_of("169.254.169.254", "169.254.169.254")


# one POST ----------------------------------------------------------------------------------

Found = list[tuple[Any, ...]]


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name have these addresses; the names that were asked for."""
    asked: list[str] = []
    real: Callable[..., Found] = socket.getaddrinfo

    def look_up(host: str, port: int, *args: Any, **options: Any) -> Found:
        if not isinstance(host, str) or not host.endswith(".test"):
            return real(host, port, *args, **options)
        asked.append(host)
        return [found for a in addresses for found in real(a, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_a_name_that_leads_to_this_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as taker:
        resolving(monkeypatch, "127.0.0.1")
        reply = post(f"http://crm.test:{taker.port}/", f"crm.test:{taker.port}")
        assert (reply.status, taker.log) == (None, [])
        assert "本机地址" in reply.error


def test_one_bad_address_among_good_ones_is_enough_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolving(monkeypatch, "10.0.0.7", "169.254.169.254")
    assert "元数据" in post("http://crm.test/", "crm.test:80").error


def test_the_address_is_looked_up_once_a_send_and_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "fault_of", lambda address, host: "")
    with receiver() as taker:
        asked = resolving(monkeypatch, "127.0.0.1")
        reply = post(f"http://crm.test:{taker.port}/a?b=c", f"crm.test:{taker.port}", times=2)
        assert (reply.status, reply.error) == (204, "")
        assert asked == ["crm.test"] * 2
        assert taker.log[0][0]["host"] == f"crm.test:{taker.port}"


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with receiver() as taker:
        assert post(taker.url, taker.target).status == 204


def test_a_target_off_the_list_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolving(monkeypatch, "10.0.0.7")
    assert "ZYZ_WEBHOOK_TARGETS" in post("http://crm.test:81/", "crm.test:80").error
    assert asked == []


@pytest.mark.parametrize(("url", "why"), [
    ("http://127.0.0.1:9/", "连接不上"), ("http://no-such-host.invalid/", "无法解析"),
])  # fmt: skip
def test_who_cannot_be_reached_is_told_so(url: str, why: str) -> None:
    assert why in post(url, "127.0.0.1:9,no-such-host.invalid:80").error


@contextmanager
def dripping(first: bytes) -> Iterator[int]:
    """The port of a server that answers a byte at a time, without end."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(first)
            while not over.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listening:
        yield listening.getsockname()[1]
        over.set()
        thread.join()


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_slow_receiver_is_given_up_in_time(first: bytes) -> None:
    with dripping(first) as port:
        began = time.monotonic()
        reply = post(f"http://127.0.0.1:{port}/", f"127.0.0.1:{port}", total=0.6)
        assert time.monotonic() - began < 5
        assert "超时" in reply.error


def test_who_speaks_no_http_is_told_so() -> None:
    with dripping(b"SSH-2.0-x\r\n\r\n") as port:
        assert "HTTP" in post(f"http://127.0.0.1:{port}/", f"127.0.0.1:{port}").error


# TLS ---------------------------------------------------------------------------------------


def certificate(folder: Path, name: str) -> Path:
    """A certificate of this name with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )  # fmt: skip
    return path


@contextmanager
def serving_tls(path: Path) -> Iterator[int]:
    """The port of a server with this certificate."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(http.server.HTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a sender that trusts it not

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_certificate_must_be_that_of_the_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sending, "fault_of", lambda address, host: "")
    ours = certificate(tmp_path, "crm.test")
    with serving_tls(ours) as port:
        resolving(monkeypatch, "127.0.0.1")
        targets = f"crm.test:{port},other.test:{port}"
        assert "证书" in post(f"https://crm.test:{port}/", targets).error
        monkeypatch.setenv("SSL_CERT_FILE", str(ours))
        assert post(f"https://crm.test:{port}/", targets).status == 204
        assert "证书" in post(f"https://other.test:{port}/", targets).error
