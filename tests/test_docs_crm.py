"""docs/crm/README.md: every snippet runs, as written, against a real server that asks for a key."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.examples import sync_world

pytestmark = pytest.mark.slow

PAGE = (sync_world.ROOT / "docs" / "crm" / "README.md").read_text("utf-8")
DONE = "片段已执行"


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of an integrator: where the service is, and a key for it."""
    folder = tmp_path_factory.mktemp("对接")
    with sync_world.served(folder, "示范系统") as (url, key, _):
        yield sync_world.base_environment() | {
            "MATCH_URL": url,
            "MATCH_KEY": key,
            "HOME": str(folder),
        }


def run(command: list[str], script: str, environment: dict[str, str], parts: int) -> str:
    done = subprocess.run(
        command, input=script, env=environment, cwd=environment["HOME"], capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(DONE) == parts
    return done.stdout


def test_the_snippets_for_curl_and_then_those_for_python_run(served: dict[str, str]) -> None:
    for_curl, for_python = snippets("bash"), snippets("python")
    assert len(for_curl) >= 8
    assert len(for_python) >= 5
    shell = "set -euo pipefail\n" + "".join(f"{s}\necho {DONE}\n" for s in for_curl)
    said = run(["bash"], shell, served, len(for_curl))
    assert '"status":"published"' in said or '"change":"published"' in said
    program = "".join(f"{s}\nprint('{DONE}')\n" for s in for_python)
    run([sys.executable, "-"], program, served, len(for_python))


def test_a_key_that_is_not_one_is_refused(served: dict[str, str]) -> None:
    wrong = served | {"MATCH_KEY": served["MATCH_KEY"][:-1] + "x"}
    shell = "set -euo pipefail\n" + "".join(snippets("bash")[:2])
    done = subprocess.run(
        ["bash"], input=shell, env=wrong, capture_output=True, text=True, check=False,
        cwd=served["HOME"],
    )  # fmt: skip
    assert done.returncode != 0
    assert "401" in done.stderr


class Clock:
    """A clock that goes on only while somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, list[float]()

    def monotonic(self) -> float:
        """The moment."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds
        self.slept.append(seconds)


def client_answering(
    answers: list[httpx2.Response | None],
) -> tuple[dict[str, Any], Clock, list[str]]:
    """What the first snippet defines, its API standing for these answers, None for a cut line."""
    keys, clock = list[str](), Clock()

    def answer(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers["Idempotency-Key"])
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if found is None:
            raise httpx2.ConnectError("away")
        return found

    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATCH_URL", "http://127.0.0.1")
        exec(snippets("python")[0], names)
    names["api"] = httpx2.Client(transport=httpx2.MockTransport(answer), base_url="http://x")
    names["time"] = clock
    return names, clock, keys


IN_FLIGHT = httpx2.Response(
    409, json={"code": "idempotency_in_flight"}, headers={"Retry-After": "2"}
)


def test_the_snippet_for_python_waits_for_what_passes() -> None:
    cut_short = [None, httpx2.Response(503), httpx2.Response(429, headers={"Retry-After": "7"})]
    names, clock, keys = client_answering([*cut_short, IN_FLIGHT, httpx2.Response(200, json={})])
    assert names["post"]("/v1/firms:upsert", {}) == {}
    assert clock.slept == [0.5, 1.0, 7.0, 4.0]
    assert len(set(keys)) == 1
    assert len(keys) == 5


@pytest.mark.parametrize("answer", [None, IN_FLIGHT])
def test_the_snippet_for_python_outlasts_a_key_that_a_crash_left(
    answer: httpx2.Response | None,
) -> None:
    names, clock, _ = client_answering([answer])
    with pytest.raises((RuntimeError, httpx2.TransportError)):
        names["post"]("/v1/firms:upsert", {})
    assert 120 <= clock.now <= 240


@pytest.mark.parametrize("code", ["answer_not_kept", "needs_confirmation"])
def test_the_snippet_for_python_does_not_repeat_what_will_not_pass(code: str) -> None:
    names, clock, keys = client_answering([httpx2.Response(409, json={"code": code})])
    with pytest.raises(RuntimeError, match=code):
        names["post"]("/v1/keys", {})
    assert (clock.slept, len(keys)) == ([], 1)


def test_the_pages_name_the_scripts_that_are_there() -> None:
    for page in (sync_world.ROOT / "docs" / "crm").glob("*.md"):
        for name in re.findall(r"examples/\w+\.py", page.read_text("utf-8")):
            if not name.startswith("tests/"):
                assert (sync_world.ROOT / name).exists() or (
                    sync_world.ROOT / "tests" / name
                ).exists(), name


def test_the_stages_on_the_pages_are_those_of_the_scripts() -> None:
    for page, script in (("odoo", "odoo_sync"), ("espocrm", "espocrm_sync")):
        text = (sync_world.ROOT / "docs" / "crm" / f"{page}.md").read_text("utf-8")
        source = (sync_world.ROOT / "examples" / f"{script}.py").read_text("utf-8")
        block = re.search(r"^(?:STATUSES|STAGES).*?^}", source, re.MULTILINE | re.DOTALL)
        assert block
        for name in re.findall(r'^\s+"([^"]+)":', block[0], re.MULTILINE):
            assert f"| {name} |" in text, name


def test_nothing_of_this_machine_is_on_the_pages() -> None:
    for path in (
        *(sync_world.ROOT / "docs" / "crm").glob("*.md"),
        *(sync_world.ROOT / "examples").glob("*.py"),
    ):
        assert str(Path.home()) not in path.read_text("utf-8")
