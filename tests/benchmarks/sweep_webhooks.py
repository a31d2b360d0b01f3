"""The long sweep over killed senders: 1,000 events, 50 kills, on SQLite and on PostgreSQL.

Run as a program, it prints what came of it; any loss, changed id or broken order is an error.
"""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests import postgres
from tests.storage.delivery_sweep import Swept, sweep

EVENTS, KILLS, SEED = 1_000, 50, 20261126


def main() -> None:
    """Sweep on both databases."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        url = f"sqlite:///{home / 'zyz.db'}"
        tell("SQLite", sweep(home, url, events=EVENTS, kills=KILLS, seed=SEED))
        with postgres.server() as server:
            url = server.address(server.migrated())
            tell("PostgreSQL", sweep(home, url, events=EVENTS, kills=KILLS, seed=SEED))


def tell(database: str, found: Swept) -> None:
    """One line of the result."""
    print(
        f"{database}: {found.events} events, {found.kills} kills, {found.posts} posts "
        f"({found.early} by senders that were killed), "
        f"{found.twice} taken twice, none lost, order kept, {found.seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
