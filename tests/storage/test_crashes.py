"""kill -9 at every step of saving and promoting: the serving version always verifies."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_step_of_saving_and_promoting_can_be_the_last(
    tmp_path: Path, database_url: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.storage.crash_sweep", str(tmp_path / "home"), database_url],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20
