"""Fuzz the whole interface with schemathesis: every check and phase, one seed, >= 2,000 cases.

python tests/benchmarks/fuzz_api.py [--examples 8]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.fuzzing import ROLES, SEED, fuzz, operations, server

LEAST = 2000
# what an administrator may not ask for is asked by those who may
OTHERS = ("--include-path-regex", r"^/v1/(accounts|keys|audit|session)", "--phases",
          "examples,coverage,fuzzing")  # fmt: skip


def main() -> int:
    """Run and print; 1 when something was found or too few cases were made."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--examples", type=int, default=8, help="cases an operation and phase")
    examples = str(options.parse_args().examples)
    cases = findings = 0
    with tempfile.TemporaryDirectory() as name, server(Path(name)) as (url, keys):
        print(f"{operations(url, keys['admin'])} operations, seed {SEED}", flush=True)
        for role in ROLES:
            begun = time.monotonic()
            more = () if role == "admin" else OTHERS
            done = fuzz(Path(name), url, keys[role], "-n", examples, *more)
            cases, findings = cases + done.cases, findings + done.findings
            seconds = time.monotonic() - begun
            print(
                f"{role}: {done.cases:,} cases, {done.findings} findings, {seconds:.0f} s",
                flush=True,
            )
            if done.findings:
                print(done.text)
    print(f"{cases:,} cases, {findings} findings")
    return int(findings > 0 or cases < LEAST)


if __name__ == "__main__":
    sys.exit(main())
