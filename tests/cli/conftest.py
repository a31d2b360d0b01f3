"""One small synthetic (合成) store for all tests here, fitted once, copied for each."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Homes
from zyz_match import cli
from zyz_match.profiles import town_from
from zyz_match.service import Service
from zyz_match.settings import load_settings
from zyz_match.storage.store import Store

HEADER = (
    "企业名称", "证券代码", "登记状态", "注册资本", "所属省份", "所属城市", "国标行业小类",
    "参保人数", "主营产品", "高新技术企业", "电话", "自定义列",
)  # fmt: skip
PLACES = (("浙江省", "宁波市"), ("江苏省", "苏州市"), ("山东省", "潍坊市"))
TRADES = (
    ("铸造", "3391", "球墨铸铁件；阀门铸件；精密铸件"),
    ("丝绸", "1742", "真丝绸；蚕丝被；丝绸面料"),
    ("陶瓷", "3071", "建筑陶瓷；琉璃瓦；陶瓷砖"),
)
DANGEROUS = "=合成危险公式有限公司"
TOWNS: tuple[dict[str, Any], ...] = (
    {
        "id": "syn-casting", "name": "合成铸造专业镇", "province": "山西省", "city": "晋城市",
        "sector": "制造业", "products": [{"term": "球墨铸铁件", "weight": 3}, "阀门铸件"],
        "industries": ["3391"],
        "chain": [
            {"segment": "铸造成型", "role": "core", "need": "weak", "terms": ["精密铸件"]},
            {"segment": "辅料", "role": "upstream", "need": "missing", "terms": ["树脂砂"]},
        ],
    },
    {"id": "syn-silk", "name": "合成丝绸/专业镇", "products": ["真丝绸", "蚕丝被"]},
)  # fmt: skip


def firm_rows(count: int = 36) -> list[list[str]]:
    """Rows of a firm table; one name looks like a formula."""
    rows = []
    for i in range(count):
        province, city = PLACES[i % 3]
        trade, code, products = TRADES[i // 3 % 3]
        rows.append([
            f"合成{city[:2]}{trade}{i:02d}有限公司", f"{600000 + i}" if i % 4 == 0 else "",
            "注销" if i == 35 else "存续", f"{100 * (i + 1)}万元", province, city, code,
            str(10 * (i + 1)) if i % 5 else "", products, "是" if i % 3 == 0 else "",
            f"138000{i:05d}", f"电话 139000{i:05d}",
        ])  # fmt: skip
    rows[0][0] = DANGEROUS
    return rows


def write_firms(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    """A firm table as CSV."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([HEADER, *rows])
    path.write_text(text.getvalue(), "utf-8")
    return path


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Done]


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("cli") / "数据"
    home.mkdir()
    settings = load_settings({"ZYZ_HOME": str(home)})
    with Service(settings, Store.open(settings.database_url)) as service:
        for town in TOWNS:
            service.put_town(town_from(town))
        service.import_firms(write_firms(home.parent / "合成企业.csv", firm_rows()))
        service.index()
    return home


@pytest.fixture
def home(seeded: Path, tmp_path: Path, homes: Homes | None) -> Path:
    copy = tmp_path / "企业 数据"
    shutil.copytree(seeded, copy)
    if homes is not None:
        homes.copy(seeded, copy)
    return copy


@pytest.fixture
def run_cli(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line in this process, on a copy of the store."""
    monkeypatch.setenv("ZYZ_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(home.parent)

    def run(*args: object) -> Done:
        capsys.readouterr()
        code = cli.main([str(a) for a in args])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Done(code, said.out, said.err)

    return run


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a real process, without anything of ours in it."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("ZYZ_", "PYTHON", "LC_", "LANG"))
    }
    return kept | {"ZYZ_HOME": str(home)} | more


def process(
    home: Path, *args: object, shell: str = "", **env: str
) -> subprocess.CompletedProcess[bytes]:
    """The command line as a real process; `shell` is what stands behind it."""
    words = [sys.executable, "-m", "zyz_match", *map(str, args)]
    command = ["bash", "-c", f'set -o pipefail; "$@" {shell}', "zyz", *words] if shell else words
    return subprocess.run(
        command, cwd=home.parent, capture_output=True, timeout=120, check=False,
        env=environment(home, **env),
    )  # fmt: skip


def hears_interrupts() -> None:
    """What a shell starts in the background ignores them, and so would a child."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
