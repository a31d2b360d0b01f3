import re
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from zyz_match import cli, errors
from zyz_match.commands import system
from zyz_match.service import Service
from zyz_match.settings import SETTINGS

CHINESE = re.compile(r"^错误：.*[\u4e00-\u9fff].*。$", re.MULTILINE)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["rank", "合成铸造", "-k", "0"], 2, "1 到"),
        (["rank", "合成铸造", "-k", "1000000000"], 2, "1 到"),
        (["rank", "合成铸造", "-k", "三"], 2, "应为整数"),
        (["rank", "合成铸造", "-k"], 2, "后面缺少值"),
        (["rank", "合成铸造", "--capital-min", "很多"], 2, "应为数字"),
        (["rank", "合成铸造", "--capital-min", "nan"], 2, "--capital-min"),
        (["rank", "合成铸造", "--capital-max", "1e400"], 2, "--capital-max"),
        (["rank", "合成铸造", "--capital-min", "-5"], 2, "--capital-min"),
        (["rank", "合成铸造", "--employees-min", "9", "--employees-max", "3"], 2, "下限"),
        (["rank", "合成铸造", "--mark", "企业"], 2, "对应多项资质"),
        (["rank", "合成铸造", "--mark", "飞天奖"], 2, "不是可用的资质"),
        (["rank", "合成铸造", "--province", "东海省"], 2, "东海省"),
        (["rank", "合成铸造", "--industry", "点金术"], 2, "点金术"),
        (["rank", "合成铸造", "--json", "--csv"], 2, "二选一"),
        (["rank", "合成铸造", "--xlsx", "a.csv"], 2, ".xlsx"),
        (["rank", "合成铸造", "--xlsx", "夹.xlsx"], 2, "文件夹"),
        (["rank", "合成铸造", "--capital"], 2, "没有选项 --capital"),
        (["rank", "合成铸造", "--json=3"], 2, "不需要值"),
        (["rank", "合成铸造", "多余"], 2, "多余的参数 多余"),
        (["rank"], 2, "缺少参数 专业镇"),
        (["rnk"], 2, "没有命令 rnk。是不是 rank、run？"),
        (["rank", "不存在的镇"], 3, "没有找到专业镇"),
        (["rank", "合成"], 3, "对应多个专业镇"),
        (["firm", "没有这家"], 3, "没有找到企业"),
        (["explain", "合成铸造", "合成"], 3, "对应多家企业"),
        (["similar", "没有这家"], 3, "没有找到企业"),
        (["similar", "600004", "-k", "0"], 2, "1 到"),
        (["firm", "600004", "-k", "0"], 2, "不小于 1"),
        (["undo", "77"], 3, "77"),
        (["undo", " "], 2, "批次编号"),
        (["import", "没有.xlsx"], 2, "没有文件"),
        (["import", "坏.xlsx"], 2, "坏.xlsx"),
        (["import", "坏.yaml"], 2, "不认识的键"),
        (["import", "坏.yaml", "--dry-run"], 2, "不认识的键"),
        (["backtest", "没有"], 2, "没有文件"),
        (["backtest", "夹.xlsx"], 2, "enterprises"),
        (["backtest", "夹.xlsx", "-k", "0"], 2, "1 到"),
        (["serve", "--host", "0.0.0.0"], 2, "user add --first"),
        (["user", "add", "--first", "li"], 2, "--first"),
        (["user", "add", "li"], 2, "--role"),
        (["user", "add", "li", "--role", "root"], 2, "没有角色"),
        (["user", "add", "li", "--role", "town"], 2, "至少一个专业镇"),
        (["user", "reset", "nobody"], 3, "没有账号"),
        (["key", "add", "odoo", "--scope", "all"], 2, "没有权限"),
        (["key", "add", "odoo", "--days", "0"], 2, "有效天数"),
        (["key", "add", "odoo", "--town", "没有"], 3, "没有找到专业镇"),
        (["key", "revoke", "K0"], 3, "没有密钥"),
        (["serve", "--port", "0"], 2, "1-65535"),
        (["run", "--out", "坏.xlsx/里"], 5, "无法读写"),
        (["rank", "合成铸造", "--csv", "/dev/full"], 5, "磁盘已满"),
        (["rank", "合成铸造", "--xlsx", "/dev/full"], 5, "磁盘已满"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_every_error_is_one_chinese_sentence_with_its_code(
    run_cli: Cli, args: list[str], code: int, says: str
) -> None:
    Path("夹.xlsx").mkdir()
    Path("坏.xlsx").write_bytes(b"PK\x03\x04 nothing")
    Path("坏.yaml").write_text("id: a\nname: b\ntax: 0\n")
    done = run_cli(*args)
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    said = [line for line in done.err.splitlines() if line.startswith("错误：")]
    assert len(said) == 1
    assert CHINESE.match(said[0])


def test_every_class_of_error_has_the_exit_code_its_docstring_says() -> None:
    documented = dict(re.findall(r"(\w+) +exit (\d)", errors.__doc__ or ""))
    for name, code in documented.items():
        error = getattr(errors, name)("合成")
        assert next(c for kind, c in cli.EXIT_CODES if isinstance(error, kind)) == int(code)


def test_a_read_only_disk_is_a_storage_error_and_keeps_the_old_file(
    run_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("旧.xlsx").write_text("旧")

    def refuse(self: Path, *_: object) -> Path:
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "replace", refuse)
    done = run_cli("rank", "合成铸造", "--xlsx", "旧.xlsx")
    assert done.code == 5
    assert "只读" in done.err
    assert Path("旧.xlsx").read_text() == "旧"
    assert not list(Path().glob(".zyz-*"))


@pytest.mark.sqlite
def test_a_store_that_is_no_database_is_a_storage_error(run_cli: Cli, home: Path) -> None:
    for path in home.glob("zyz.db*"):
        path.write_bytes(b"this is no database" * 100)
    done = run_cli("towns")
    assert done.code == 5
    assert "错误：" in done.err


@pytest.mark.sqlite
def test_a_home_that_is_a_file_is_a_storage_error(
    run_cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "占位").write_text("")
    monkeypatch.setenv("ZYZ_HOME", str(tmp_path / "占位"))
    assert run_cli("towns").code == 5


def test_an_unknown_setting_is_named(run_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZYZ_COLOUR", "red")
    done = run_cli("settings")
    assert done.code == 2
    assert "ZYZ_COLOUR" in done.err


def test_a_bug_leaves_one_sentence_and_a_log_file(
    run_cli: Cli, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    def broken(self: Service) -> None:
        raise KeyError("合成的缺陷")

    monkeypatch.setattr(Service, "towns", broken)
    done = run_cli("towns")
    assert done.code == 1
    (log,) = (home / "logs").iterdir()
    assert str(log) in done.err
    assert "合成的缺陷" in log.read_text("utf-8")
    assert "Traceback" in log.read_text("utf-8")


def test_a_bug_before_the_settings_are_readable_is_logged_elsewhere(
    run_cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "占位").write_text("")
    monkeypatch.setenv("ZYZ_HOME", str(tmp_path / "占位"))
    monkeypatch.setattr("zyz_match.cli.tempfile.gettempdir", lambda: str(tmp_path / "临时"))
    monkeypatch.setattr(system, "load_settings", lambda: 1 / 0)
    done = run_cli("settings")
    assert done.code == 1
    assert str(tmp_path / "临时") in done.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (MemoryError(), 1),
        (BrokenPipeError(), 141),
        (OSError(28, "x"), 5),
    ],
)
def test_other_ends_have_their_codes(
    run_cli: Cli, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(self: Service) -> None:
        raise error

    monkeypatch.setattr(Service, "towns", fail)
    monkeypatch.setattr(cli, "_silence_stdout", lambda: None)
    assert run_cli("towns").code == code


def test_arguments_that_are_no_text_are_refused(run_cli: Cli) -> None:
    done = run_cli("rank", "合成\udce9")
    assert done.code in (2, 3)
    assert "错误：" in done.err


def test_help_is_chinese_for_every_command(run_cli: Cli) -> None:
    everything = run_cli("--help").out
    for command in cli.COMMANDS:
        assert re.search(rf"\b{command.name}\b", everything)
        page = run_cli(command.name, "--help")
        assert page.code == 0
        assert "用法：" in page.out
        for english in ("Usage", "Options", "Arguments", "Show this", "default:", "required"):
            assert english not in page.out
        assert "…" not in page.out.replace("企业…", "").replace("[参数]…", "")
    assert run_cli().out.strip()


def test_the_version_is_the_packages(run_cli: Cli) -> None:
    import zyz_match

    assert run_cli("--version").out.split() == ["zyz-match", zyz_match.__version__]


def test_the_settings_table_shows_every_setting_and_no_password(
    run_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZYZ_DATABASE_URL", "postgresql://me:secret@db/zyz")
    done = run_cli("settings")
    for setting in SETTINGS:
        assert setting.name in done.out
    assert "secret" not in done.out
    assert "me:***@db/zyz" in done.out
    values = {s["name"]: s for s in run_cli("settings", "--json").json}
    assert values["ZYZ_DATABASE_URL"]["origin"] == "environment"
    assert values["ZYZ_PORT"]["value"] == "8000"


def test_every_command_option_and_exit_code_is_in_the_manual() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")
    from typer.main import get_command

    group = get_command(cli.app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        assert f"`{name}" in page or f"zyz-match {name}" in page, name
        for param in command.params:
            for option in (*param.opts, *param.secondary_opts):
                if option.startswith("--"):
                    assert option in page, f"{name} {option}"
    for code in (0, 1, 2, 3, 4, 5, 130, 141):
        assert re.search(rf"^\| {code} \|", page, re.MULTILINE), code
