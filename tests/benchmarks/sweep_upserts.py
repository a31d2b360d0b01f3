"""1,000 upserts, leads and events to a server that is killed 200 times, on both databases.

Run as a program; prints what happened. A short version is in the default suite.
"""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests import postgres
from tests.upsert_sweep import Swept, sweep


def show(name: str, done: Swept) -> None:
    print(
        f"{name}: {done.requests} requests acknowledged, {done.kills} kills, {done.repeats} sent "
        f"again, {done.seconds:.0f} s: nothing lost, nothing twice"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261126)
    given = parser.parse_args()
    sizes = (given.requests, given.kills, given.seed)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        show("SQLite", sweep(home / "a", f"sqlite:///{home / 'zyz.db'}", *sizes))
        with postgres.server() as server:
            name = server.migrated()
            try:
                show("PostgreSQL", sweep(home / "b", server.address(name), *sizes))
            finally:
                server.drop(name)


if __name__ == "__main__":
    main()
