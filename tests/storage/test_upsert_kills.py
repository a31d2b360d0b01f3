"""kill -9 at random moments of a real server: nothing acknowledged is lost, nothing is twice.

`tests/benchmarks/sweep_upserts.py` does the same with 1,000 requests and 200 kills.
"""

from pathlib import Path

import pytest

from tests.upsert_sweep import sweep


@pytest.mark.slow
def test_a_killed_server_loses_nothing_acknowledged_and_does_nothing_twice(
    tmp_path: Path, database_url: str
) -> None:
    done = sweep(tmp_path / "home", database_url, requests=100, kills=15, seed=7)
    assert done.requests >= 100
    assert done.kills == 15
    assert done.repeats > 0, "no request was ever cut off"
