"""What is described is what is answered: schemathesis with every check, from one seed.

`tests/benchmarks/fuzz_api.py` is the long run.
"""

from pathlib import Path

import pytest

from tests.fuzzing import fuzz, operations, server


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    with server(tmp_path) as (url, keys):
        done = fuzz(
            tmp_path, url, keys["admin"], "-n", "3", "--phases", "examples,fuzzing,stateful"
        )
        assert done.findings == 0, done.text
        assert done.cases >= 4 * operations(url, keys["admin"])
        assert "Traceback" not in (tmp_path / "serve.log").read_text("utf-8")
