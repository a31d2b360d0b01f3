"""One engine in a process of its own: loads, then answers requests from a pipe, one a line.

python tests/benchmarks/engine.py NAME FOLDER

A request has the fields of `Request`; the answer has the milliseconds that it took in here, from
the request made ready to its result.
"""

import json
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path

OURS = "zyz-match"
if sys.argv[1] != OURS:  # peers answer one query on one thread
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[_name] = "1"

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.common import MB, memory, milliseconds, one_core
from tests.benchmarks.material import WARM, Engine, Material, Request
from tests.benchmarks.peers import PEERS


def engine(name: str, material: Material) -> Engine:
    """The engine of a name."""
    if name != OURS:
        return PEERS[name](material)
    from tests.benchmarks.ours import Ours  # peers need not load us

    return Ours(material)


def say(**answer: object) -> None:
    """One line to whoever asked."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Load, warm up, answer until the pipe is closed."""
    name, folder = sys.argv[1:]
    start = time.perf_counter()
    some = engine(name, Material(Path(folder)))
    loaded = time.perf_counter() - start
    for call in some.calls:
        some.prepared(Request(call, WARM, 1 << 20))()
    say(calls=some.calls, load_s=loaded, mb=some.size / MB)
    for line in sys.stdin:
        request = Request(**json.loads(line))
        if request.call == "work":
            say(**some.work(request))
            continue
        ready = some.prepared(request)
        with one_core() if "one core" in request.call else nullcontext():
            taken = milliseconds(ready)
        say(ms=taken, peak_mb=memory("VmHWM"))


if __name__ == "__main__":
    main()
