"""docs/crm/hooks.md: its files are read, its tables are those of the code, its commands run."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.examples import sync_world
from zyz_match.crm_maps import FIELDS, MAPS, read_systems
from zyz_match.domain import Stage
from zyz_match.signing import SCHEMES
from zyz_match.stages import stage_of

PAGE = (sync_world.ROOT / "docs" / "crm" / "hooks.md").read_text("utf-8")
WORD = "a-synthetic-word-0123456789"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def written(folder: Path, *texts: str) -> Path:
    """The files of the page as one, as it says, with a secret for each of them."""
    for name in ("espocrm", "odoo"):
        (folder / f"{name}.secret").write_text(WORD + "\n", "utf-8")
    entries = "".join(t.removeprefix("systems:\n") for t in texts)
    path = folder / "hooks.yaml"
    path.write_text(f"systems:\n{entries}", "utf-8")
    return path


def test_each_file_of_the_page_is_read(tmp_path: Path) -> None:
    espocrm, odoo = (read_systems(written(tmp_path, text)) for text in blocks("yaml"))
    crm = espocrm["espocrm"]
    assert (crm.scheme, crm.secrets, crm.map.object) == ("espocrm", (WORD,), "Lead")
    assert crm.towns == frozenset({"zezhou-casting"})
    assert crm.map.stages["visited"] is Stage.VISITED
    erp = odoo["odoo"]
    assert (erp.scheme, erp.map.object, erp.towns) == ("token", "crm.lead", None)
    assert (erp.map.stages["5"], erp.map.lost_when) == (Stage.VISITED, {"active": False})


def test_the_page_tells_every_key_scheme_field_and_stage(tmp_path: Path) -> None:
    path = tmp_path / "hooks.yaml"
    path.write_text("systems: {x: {no-such-key: 1}}", "utf-8")
    with pytest.raises(Exception, match="可用") as caught:
        read_systems(path)
    keys = str(caught.value).rpartition("可用：")[2].strip("。").split("、")
    assert len(keys) >= 9
    for name in (*keys, *SCHEMES, *FIELDS, *MAPS):
        assert f"`{name}`" in PAGE, name
    for known in MAPS.values():
        assert all(f"`{theirs}`" in PAGE for theirs in known.fields.values())
    told = re.findall(r"([A-Z][A-Za-z ]+) `(\w+)`", PAGE)
    assert {w.lower(): stage_of(s) for w, s in told} == MAPS["espocrm"].stages


@pytest.mark.slow
def test_the_commands_of_the_page_run(tmp_path: Path) -> None:
    path = written(tmp_path, *(t.replace("zezhou-casting", "syn-silk") for t in blocks("yaml")))
    with sync_world.served(tmp_path, "试接收", ZYZ_HOOKS=str(path)) as (url, key, _):
        environment = sync_world.base_environment() | {
            "MATCH_URL": url, "MATCH_KEY": key, "TOWN": "syn-silk", "FIRM": "600005",
            "ODOO_SECRET": WORD, "ESPO_SECRET": WORD,
        }  # fmt: skip
        done = subprocess.run(
            ["bash"], input="set -euo pipefail\n" + "".join(blocks("bash")), env=environment,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"change":"created"') == 2, done.stdout
