"""The documents say what the software does: commands run as written, files are named."""

import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from api.routes.imports import uploading
from zyz_match.settings import SETTINGS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
COMMAND = re.compile(r"^\.venv/bin/zyz-match (.+)$", re.MULTILINE)
PLACEHOLDER = "示意"


def readme_commands() -> list[str]:
    blocks = re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [c for b in blocks for c in COMMAND.findall(b) if PLACEHOLDER not in c]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("读我")


def test_there_are_commands_to_run() -> None:
    assert len(readme_commands()) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("command", readme_commands())
def test_a_command_of_the_readme_runs_as_written(command: str, home: Path) -> None:
    words = [
        str(ROOT / w) if w.startswith("data/") else str(home / w) if w.startswith("out/") else w
        for w in shlex.split(command)
    ]
    done = subprocess.run(
        [sys.executable, "-m", "zyz_match", *words],
        cwd=home, capture_output=True, text=True, timeout=120, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "ZYZ_HOME": str(home / "数据"),
             "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).strip()
    assert "Traceback" not in done.stderr


def test_every_make_target_is_explained_by_make_help() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in ("run", "serve", "test", "lint", "bench", "lock", "dist"):
        assert re.search(rf"^{target}:.*## \S", makefile, re.MULTILINE), target


def test_every_setting_has_a_name_and_a_help() -> None:
    assert all(s.name.startswith("ZYZ_") and s.help for s in SETTINGS)


def test_the_page_of_settings_is_that_of_their_table() -> None:
    made = runpy.run_path(str(ROOT / "tools" / "settings_page.py"))
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == made["page"]()


def test_the_page_of_the_interface_names_every_parameter_of_an_upload() -> None:
    (route,) = [r for r in uploading.routes if isinstance(r, APIRoute)]
    section = (
        (ROOT / "docs" / "api.md").read_text("utf-8").split("## 导入文件\n")[1].split("\n## ")[0]
    )
    named = [p.name for p in route.dependant.query_params]
    assert "kind" in named
    for name in (*named, "file"):
        assert f"`{name}`" in section, name


def test_every_shipped_file_has_its_source_in_the_data_readme() -> None:
    text = (ROOT / "data" / "README.md").read_text("utf-8")
    for path in (ROOT / "data").rglob("*.*"):
        relative = path.relative_to(ROOT / "data")
        if path.name == "README.md":
            continue
        shown = "towns/*.yaml" if relative.parts[0] == "towns" else str(relative)
        assert f"`{shown}`" in text, shown


def test_local_links_of_the_documents_lead_somewhere() -> None:
    pages = (ROOT / "README.md", ROOT / "deploy" / "README.md", *(ROOT / "docs").rglob("*.md"))
    for page in pages:
        for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"
