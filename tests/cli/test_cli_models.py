"""Retraining and models on the command line; the training itself is decided by the test."""

import json
import os
import re
import threading
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, process
from tests.fake_worker import VERDICT, fake_retrain
from zyz_match import cli
from zyz_match.service import Service
from zyz_match.storage import registry


@pytest.fixture(autouse=True)
def training(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker is a thread, and trains what `fake.json` says."""
    (home / "fake.json").write_text(json.dumps({"words": 60.0}))
    monkeypatch.setattr("zyz_match.matching.training.retrain", fake_retrain)
    monkeypatch.setattr(Service, "_ask_child", lambda self, version: self.check(version))
    monkeypatch.setattr(Service, "_start_worker", _work_in_a_thread)


def _work_in_a_thread(service: Service, kind: str) -> None:
    def work() -> None:
        with Service.open(service.settings) as own:
            own.work(kind)

    threading.Thread(target=work, daemon=True).start()


def test_a_better_model_is_promoted_shown_compared_and_rolled_back(run_cli: Cli) -> None:
    done = run_cli("retrain")
    assert done.code == 0
    assert VERDICT in done.out
    version = re.search(r"新模型 (\S+) 已启用", done.out)
    assert version
    listed = run_cli("models").out
    assert re.search(rf"{version[1]} .*使用中", listed)
    assert re.search(r"prior-1 .*上一版", listed)
    card = run_cli("models", "show").out
    assert f"模型版本：{version[1]}" in card
    assert "主营词匹配：60" in card
    assert "合成限度。" in card
    compared = run_cli("models", "diff", "prior-1", version[1][-5:]).out
    assert re.search(r"主营词匹配 +26.00 +60.00 +\+34.00", compared)
    assert "已退回模型 prior-1" in run_cli("models", "rollback").out
    assert run_cli("rank", "合成铸造", "--json").json["model"] == "prior-1"
    assert f"已启用模型 {version[1]}" in run_cli("models", "promote", version[1]).out
    assert run_cli("rank", "合成铸造", "--json").json["model"] == version[1]


def test_jobs_are_listed_and_one_is_shown(run_cli: Cli) -> None:
    assert "还没有训练任务" in run_cli("jobs").err
    job = run_cli("retrain", "--json").json
    assert (job["state"], job["result"]["promoted"]) == ("done", True)
    assert "已完成" in run_cli("jobs").out
    assert VERDICT in run_cli("jobs", job["id"]).out
    assert run_cli("jobs", job["id"], "--json").json == job
    assert run_cli("jobs", "--json").json == [job]
    assert run_cli("jobs", job["id"], "--cancel").code == 0


def test_a_dry_run_shows_the_card_and_keeps_nothing(run_cli: Cli, home: Path) -> None:
    done = run_cli("retrain", "--dry-run")
    assert "没有保存任何模型" in done.out
    assert "其中用于学习：7" in done.out
    assert not (home / "models").exists()


def test_a_model_that_is_no_better_leaves_the_old_one(run_cli: Cli, home: Path) -> None:
    (home / "fake.json").write_text(json.dumps({"words": 60.0, "promote": False}))
    assert "正在使用的模型不变" in run_cli("retrain").out
    assert run_cli("models", "--json").json[0]["version"] == "prior-1"


def test_a_damaged_model_is_refused_and_said_everywhere(run_cli: Cli, home: Path) -> None:
    version = run_cli("retrain", "--json").json["result"]["version"]
    path = home / "models" / version / registry.MODEL
    path.write_bytes(path.read_bytes()[:-9])
    shown = run_cli("models")
    assert "不可用" in shown.out
    assert "目前暂用模型 prior-1" in shown.err
    assert run_cli("rank", "合成铸造", "--json").json["model"] == "prior-1"
    refused = run_cli("models", "promote", version)
    assert refused.code == 5
    assert "zyz-match retrain" in refused.err


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["models", "show", "nix"], 3, "没有模型版本"),
        (["models", "promote", "nix"], 3, "最近的版本：prior-1"),
        (["models", "promote"], 2, "缺少参数 版本"),
        (["models", "diff", "prior-1"], 2, "缺少参数 版本二"),
        (["models", "rollback"], 3, "没有可退回"),
        (["models", "nix"], 2, "没有命令 nix"),
        (["jobs", "nix"], 3, "没有任务"),
        (["jobs", "--cancel"], 2, "任务编号"),
        (["worker", "--check", "nix"], 3, "没有模型版本"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_every_error_is_one_chinese_sentence(
    run_cli: Cli, args: list[str], code: int, says: str
) -> None:
    done = run_cli(*args)
    assert (done.code, done.out) == (code, "")
    assert says in done.err


def test_a_failed_training_is_one_sentence(
    run_cli: Cli, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    (home / "fake.json").write_text("{}")  # the training stumbles over it
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    done = run_cli("retrain")
    assert done.code == 1
    assert "KeyError" in done.err
    assert "失败" in run_cli("jobs").out


def test_the_help_and_the_manual_name_every_subcommand(run_cli: Cli) -> None:
    from typer.main import get_command

    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")
    group = get_command(cli.app).commands["models"]  # type: ignore[attr-defined]
    shown = run_cli("models", "--help").out
    for name in group.commands:
        assert name in shown
        assert f"models {name}" in page
        help_page = run_cli("models", name, "--help").out
        assert "用法：" in help_page
        assert not re.search("Usage|Options|Arguments|default", help_page)


@pytest.mark.slow
def test_the_real_training_runs_in_a_process_of_its_own(home: Path) -> None:
    done = process(home, "retrain", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr.decode()
    job = json.loads(done.stdout)
    assert job["state"] == "done"
    assert "不足以比较" in job["result"]["verdict"]
    assert process(home, "worker").returncode == 0


def test_watch_says_whether_the_data_suffice_and_who_was_shown(run_cli: Cli) -> None:
    run_cli("rank", "合成铸造")
    said = run_cli("watch")
    assert said.code == 0
    assert "还不能比较模型" in said.out
    assert re.search(r"合成铸造专业镇 +1 +100%", said.out)
    assert "模型 prior-1 出了 100% 的名单" in said.out
    assert run_cli("watch", "--json").json["models"] == {"prior-1": 1.0}


def test_a_worker_that_may_not_lower_its_priority_works_all_the_same(
    run_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_by: int) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "nice", refuse)
    done = run_cli("worker")
    assert (done.code, "没有等着的任务" in done.err) == (0, True)
