"""The command line as users start it: a real process, a pipe, an odd locale, a full disk."""

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.cli.conftest import environment, process
from zyz_match import console

RANK = ("rank", "合成铸造")


@pytest.mark.slow
def test_a_pipe_that_closes_early_ends_quietly(home: Path) -> None:
    done = process(home, *RANK, "-k", 36, "--json", shell="| head -c 20 >/dev/null")
    assert done.returncode in (0, 141)
    assert remarks(done) == []


def remarks(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    """What stderr says besides progress, which a slow machine sees."""
    return [line for line in done.stderr.decode().splitlines() if not line.endswith("……")]


def test_a_closed_pipe_is_no_traceback(home: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "zyz_match", "settings"], stdout=write, stderr=subprocess.PIPE,
        env=environment(home), timeout=120, check=False,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, remarks(done)) == (141, [])


@pytest.mark.slow
@pytest.mark.parametrize("command", [(*RANK, "--csv"), ("settings", "--json")])
def test_a_full_disk_behind_stdout_is_a_storage_error(home: Path, command: tuple[str, ...]) -> None:
    done = process(home, *command, shell=">/dev/full")
    assert done.returncode == 5
    assert "磁盘已满" in done.stderr.decode()
    assert b"Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    "locale",
    [{"LANG": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["LANG=C", "ascii"],
)
def test_chinese_comes_out_whatever_the_locale(home: Path, locale: dict[str, str]) -> None:
    done = process(home, "settings", **locale)
    assert done.returncode == 0, done.stderr
    assert "接口监听端口" in done.stdout.decode("utf-8")
    assert b"\x1b" not in done.stdout


@pytest.mark.slow
def test_a_gbk_terminal_gets_gbk_and_ascii_json(home: Path) -> None:
    gbk = {"PYTHONIOENCODING": "gbk"}
    assert "接口监听端口" in process(home, "settings", **gbk).stdout.decode("gbk")
    shown = process(home, "settings", "--json", **gbk).stdout
    assert "接口监听端口" in [s["help"] for s in json.loads(shown.decode("ascii"))]
    assert process(home, *RANK, "--csv", **gbk).stdout.decode("utf-8").startswith("\ufefffirm_id")


def test_a_terminal_gets_progress_and_colour_and_a_pipe_does_not(home: Path) -> None:
    code = (
        "import time\n"
        "from zyz_match import console\n"
        "console.PATIENCE = console.PIPED_PATIENCE = 0.05\n"
        "with console.Meter('合成步骤') as meter:\n"
        "    for i in range(4):\n"
        "        meter('合成计数', i, 4)\n"
        "        time.sleep(.1)\n"
        "console.say('完成', 'bold')\n"
    )
    piped = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=environment(home), timeout=60,
        check=True,
    )  # fmt: skip
    assert piped.stderr.decode().split() == ["合成计数……"]
    assert piped.stdout.decode() == "完成\n"
    shown = on_a_terminal([sys.executable, "-c", code], home)
    assert "合成计数" in shown
    assert "/4" in shown
    assert "\x1b[" in shown


def on_a_terminal(command: list[str], home: Path) -> str:
    """What a command shows on a pseudo terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(home, TERM="xterm")
    ) as child:
        os.close(theirs)
        said = b""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if select.select([ours], [], [], 0.5)[0]:
                try:
                    said += os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
            elif child.poll() is not None:
                break
        os.close(ours)
    assert child.returncode == 0, said
    return said.decode()


def test_control_characters_in_data_do_not_reach_the_terminal() -> None:
    assert console.clean("合成\x1b[31m企业\u202e\r\n\ud800") == "合成 [31m企业     "[:-1]


def test_help_does_not_load_the_mathematics(home: Path) -> None:
    code = (
        "import sys\nfrom zyz_match.cli import main\nmain(['--help'])\n"
        "heavy = {'sklearn', 'numpy', 'pandas', 'sqlalchemy', 'xlsxwriter', 'uvicorn'}\n"
        "sys.exit(','.join(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=environment(home), timeout=60,
        check=False,
    )  # fmt: skip
    assert done.stderr.decode().strip() == ""


@pytest.mark.slow
def test_serve_answers_and_stops_on_interrupt(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = process(home, "serve", "--port", taken.getsockname()[1])
        assert busy.returncode == 2
        assert "--port" in busy.stderr.decode()
        port = taken.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-m", "zyz_match", "serve", "--port", str(port)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(home),
    ) as child:  # fmt: skip
        try:
            assert wait_for(f"http://127.0.0.1:{port}/docs", child) == 200
        finally:
            child.send_signal(signal.SIGINT)
        said, _ = child.communicate(timeout=60)
    assert child.returncode == 0, said
    assert f"http://127.0.0.1:{port}" in said.decode()
    assert b"Traceback" not in said


def wait_for(url: str, child: subprocess.Popen[bytes]) -> int:
    """Status of a page, once the server is up."""
    for _ in range(300):
        assert child.poll() is None
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(answer.status)
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")
