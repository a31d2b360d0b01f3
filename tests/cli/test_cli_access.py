"""Accounts and keys on the command line; what opens a door is shown once."""

import os
import pty
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, environment
from zyz_match.service import Service
from zyz_match.settings import load_settings
from zyz_match.storage.store import Store

ONCE = re.compile(r"\b(?:[a-z2-9]{4}-){3}[a-z2-9]{4}\b")


@pytest.fixture
def service(home: Path) -> Service:
    settings = load_settings({"ZYZ_HOME": str(home)})
    return Service(settings, Store.open(settings.database_url))


def test_the_first_accounts_are_made_once_and_sign_in(run_cli: Cli, service: Service) -> None:
    with service:
        assert "user add --first" in run_cli("user", "list").err
        assert not service.identity_on()
        done = run_cli("user", "add", "--first")
        assert done.code == 0
        assert "admin" in done.out
        assert "security" in done.out
        admin, security = ONCE.findall(done.out)
        assert "只显示这一次" in done.err
        assert service.identity_on()
        assert service.sign_in("admin", admin)
        assert service.sign_in("security", security)
        again = run_cli("user", "add", "--first")
        assert (again.code, again.out) == (2, "")
        assert not ONCE.search(run_cli("user", "list").out)


def test_an_account_is_added_listed_reset_disabled_and_enabled(
    run_cli: Cli, service: Service
) -> None:
    done = run_cli(
        "user", "add", "ZhangSan", "--role", "town", "--town", "合成铸造", "--label", "张三"
    )
    assert done.code == 0, done.err
    (once,) = ONCE.findall(done.out)
    listed = run_cli("user", "list").out
    for word in ("zhangsan", "专业镇专班", "syn-casting", "待改密码", "张三"):
        assert word in listed
    (found,) = run_cli("user", "list", "--json").json
    assert (found["name"], found["towns"]) == ("zhangsan", ["syn-casting"])
    with service:
        assert service.sign_in("zhangsan", once)
        (again,) = ONCE.findall(run_cli("user", "reset", "zhangsan").out)
        assert again != once
        assert service.sign_in("zhangsan", again)
    assert run_cli("user", "disable", "zhangsan").code == 0
    assert "已停用" in run_cli("user", "list").out
    assert run_cli("user", "enable", "zhangsan").code == 0
    oidc = run_cli("user", "add", "li", "--role", "analyst", "--oidc")
    assert oidc.code == 0
    assert not ONCE.search(oidc.out)


def test_a_key_is_added_listed_and_revoked(run_cli: Cli, service: Service) -> None:
    assert "还没有密钥" in run_cli("key", "list").err
    done = run_cli("key", "add", "odoo", "--town", "syn-silk", "--scope", "read", "--days", 30)
    assert done.code == 0, done.err
    secret = done.out.strip()  # alone on stdout: KEY=$(zyz-match key add odoo)
    assert "只显示这一次" in done.err
    with service:
        known = service.by_key(secret)
        assert known is not None
        assert (known[0].name, known[0].towns) == ("odoo", frozenset({"syn-silk"}))
        listed = run_cli("key", "list")
        assert secret not in listed.out
        for word in ("odoo", "对接系统", "read", "syn-silk", "有效至"):
            assert word in listed.out
        (found,) = run_cli("key", "list", "--json").json
        assert run_cli("key", "revoke", found["id"]).code == 0
        assert service.by_key(secret) is None
    assert "已吊销" in run_cli("key", "list").out


def test_the_settings_do_not_show_the_secret(run_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZYZ_OIDC_ISSUER", "https://id.example/")
    monkeypatch.setenv("ZYZ_OIDC_CLIENT_ID", "syn-client")
    monkeypatch.setenv("ZYZ_OIDC_CLIENT_SECRET", "syn-secret-value")
    shown = run_cli("settings").out
    assert "syn-client" in shown
    assert "syn-secret-value" not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ZYZ_AUTH", "off"), ("ZYZ_HOSTS", "https://crm.example"), ("ZYZ_HOSTS", "a:80"),
        ("ZYZ_HOSTS", "a b"), ("ZYZ_OIDC_ISSUER", "http://id.example"),
        ("ZYZ_OIDC_ISSUER", "https://id.example"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused(
    run_cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    done = run_cli("settings")
    assert done.code == 2
    assert name.rsplit("_", 1)[0] in done.err


@pytest.mark.slow
def test_the_first_start_for_others_makes_the_accounts_on_a_terminal_only(home: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "zyz_match", "serve", "--host", "0.0.0.0", "--port", port]
    piped = subprocess.run(
        command, env=environment(home), capture_output=True, timeout=120, check=False
    )
    assert piped.returncode == 2
    assert not ONCE.search(piped.stdout.decode() + piped.stderr.decode())
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, env=environment(home), stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        said = _until(ours, "接口地址")
        assert len(ONCE.findall(said)) == 2
    finally:
        process.terminate()
        process.wait(30)
        os.close(ours)


def _until(terminal: int, word: str) -> str:
    said, deadline = "", time.monotonic() + 90
    while word not in said and time.monotonic() < deadline:
        try:
            said += os.read(terminal, 65_536).decode("utf-8", "replace")
        except OSError:  # it has ended
            break
    assert word in said, said
    return said
