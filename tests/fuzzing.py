"""Schemathesis against a real server that asks for keys: every check, from one seed."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.examples.sync_world import (
    ROOT,
    Program,
    base_environment,
    free_port,
    synthetic_home,
)  # fmt: skip

SEED = 20261126
RUN = "from schemathesis.cli import schemathesis; schemathesis()"
ROLES = ("admin", "auditor", "security")  # may ask for everything; the last revokes keys
CONFIG = """
hooks = "tests/fuzz_hooks.py"
[checks.positive_data_acceptance]
# 400, 410, 412, 422: see tests/fuzz_hooks.py, which tells a wrong shape from what is said
expected-statuses = [
    "2xx", "304", "400", "401", "403", "404", "409", "410", "412", "422", "429", "503",
]
[[operations]]
# a wrong item is answered with its own "rejected" among the good ones: see tests/fuzz_hooks.py
include-path-regex = ":upsert$"
checks.negative_data_rejection.expected-statuses = ["200", "4xx"]
"""
_SUMMARY = re.compile(r"^  ([\d,]+) generated", re.MULTILINE)


@dataclass(frozen=True)
class Fuzzed:
    """What a run came to."""

    cases: int
    findings: int
    text: str


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The address of a server over a synthetic world, and a key of each role."""
    home = synthetic_home(folder)
    port = free_port()
    environment = base_environment() | {"ZYZ_HOME": str(home), "ZYZ_PORT": str(port)}
    environment |= {"ZYZ_RATE": "off", "ZYZ_WEBHOOK_TARGETS": "crm.example.cn:443"}
    url = f"http://127.0.0.1:{port}"
    keys = {role: _key(role, environment) for role in ROLES}
    program = Program(
        ["-m", "zyz_match", "serve"], environment, folder / "serve.log", f"{url}/v1/healthz"
    )
    program.start()
    try:
        yield url, keys
    finally:
        program.stop()


def _key(role: str, environment: dict[str, str]) -> str:
    scopes = [word for scope in ("read", "write", "webhooks") for word in ("--scope", scope)]
    added = subprocess.run(
        [sys.executable, "-m", "zyz_match", "key", "add", role, "--role", role, *scopes],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = re.search(r"zyz_\S+", added.stdout)
    assert found
    return found[0]


def fuzz(folder: Path, url: str, key: str, *more: str) -> Fuzzed:
    """Run schemathesis with this key; `more` are options of its command line."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG, "utf-8")
    command = [
        "--config-file", str(config), "run", f"{url}/openapi.json",
        "--checks", "all", "--seed", str(SEED), "--no-shrink", "--continue-on-failure",
        "-H", f"Authorization: Bearer {key}", "--suppress-health-check", "all", *more,
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", RUN, *command],
        cwd=ROOT, capture_output=True, text=True, env=base_environment(), check=False,
    )  # fmt: skip
    cases = _SUMMARY.search(done.stdout)
    assert cases, done.stdout + done.stderr
    findings = re.search(r"found (\d+)", done.stdout[cases.start() :])
    return Fuzzed(int(cases[1].replace(",", "")), int(findings[1]) if findings else 0, done.stdout)


def operations(url: str, key: str) -> int:
    """How many operations are described."""
    headers = {"Authorization": f"Bearer {key}"}
    found = httpx2.get(f"{url}/openapi.json", headers=headers, timeout=60)
    paths = json.loads(found.content)["paths"].values()
    return sum(len(methods) for methods in paths)
