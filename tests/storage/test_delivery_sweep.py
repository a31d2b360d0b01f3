"""The short sweep over killed senders; tests/benchmarks/sweep_webhooks.py is the long one."""

from pathlib import Path

import pytest

from tests.storage.delivery_sweep import sweep


@pytest.mark.slow
def test_killed_senders_lose_nothing_and_keep_the_order(tmp_path: Path, database_url: str) -> None:
    found = sweep(tmp_path, database_url, events=100, kills=6, seed=7)
    assert (found.events, found.kills) == (100, 6)
    assert found.posts >= 150  # half of them failed
    assert found.early > 0
