"""The sender on the command line."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, environment, hears_interrupts
from tests.receiver import receiver
from zyz_match.service import Service
from zyz_match.settings import load_settings


def test_what_is_due_is_delivered_once_and_the_sender_ends(
    run_cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "没有到期" in run_cli("deliver", "--once").out
    with receiver() as taker:
        monkeypatch.setenv("ZYZ_WEBHOOK_TARGETS", taker.target)
        with Service.open(load_settings()) as service:
            service.add_webhook(taker.url, ["list.published"], None, "")
            list_id = service.rank("syn-silk", k=3).id
            service.publish(list_id)
        done = run_cli("deliver", "--once")
        assert (done.code, done.out) == (0, "已尝试推送 1 次。\n")
        assert [b["data"]["list_id"] for b in taker.bodies()] == [list_id]
        assert "没有到期" in run_cli("deliver", "--once").out


@pytest.mark.slow
def test_the_sender_runs_until_it_is_interrupted(home: Path) -> None:
    command = [sys.executable, "-m", "zyz_match", "deliver"]
    process = subprocess.Popen(
        command, env=environment(home, PYTHONUTF8="1"), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, preexec_fn=hears_interrupts,
    )  # fmt: skip
    with process:
        assert process.stderr is not None
        while "正在推送" not in (line := process.stderr.readline().decode()):
            assert line, "it ended by itself"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"")
    assert err.decode().strip() == "已停止。"


@pytest.mark.parametrize(("name", "value"), [
    ("ZYZ_WEBHOOK_TARGETS", "https://crm.example.cn"), ("ZYZ_WEBHOOK_TARGETS", "crm"),
])  # fmt: skip
def test_a_wrong_list_of_targets_is_told_at_once(
    run_cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    refused = run_cli("deliver", "--once")
    assert refused.code == 2
    assert name in refused.err
    assert value in refused.err
