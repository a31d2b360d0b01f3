"""The worker as a real process, with a training whose end the test decides.

What it does stands in `fake.json` in the home folder; each attempt leaves a line in `attempts`.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from zyz_match.jobs_desk import JobDesk, Pace

COMMAND = (sys.executable, "-P", str(Path(__file__).resolve()))
PACE = Pace(heartbeat=0.3, lease=4.0, tick=0.05)
VERDICT = "合成结论：新模型更好。"


def fake_retrain(
    index: Any, towns: Any, rounds: Any, champion: Any, *, progress: Any = None
) -> Any:
    """A training that does what the test wrote down."""
    from zyz_match.matching.model import PRIOR, Model
    from zyz_match.matching.training import Retrained
    from zyz_match.settings import load_settings

    home = load_settings().home
    plan = json.loads((home / "fake.json").read_text("utf-8"))
    with (home / "attempts").open("a") as file:
        threads = os.environ.get("OMP_NUM_THREADS")
        file.write(json.dumps({"pid": os.getpid(), "nice": os.nice(0), "threads": threads}) + "\n")
    for step in range(plan.get("steps", 1)):
        progress("合成训练", step, plan.get("steps", 1))
        time.sleep(plan.get("pause", 0.0))
    if plan.get("bug"):
        raise KeyError("合成的缺陷")
    model = Model(dict(PRIOR) | {"words": plan["words"]}, "")
    card = {"format": 1, "leads_used": 7, "weights": dict(model.weights), "limits": ["合成限度。"]}
    return Retrained(model, plan.get("promote", True), VERDICT, card)


if __name__ == "__main__":
    from zyz_match import cli
    from zyz_match.matching import training

    training.retrain = fake_retrain  # type: ignore[assignment]
    JobDesk.pace = PACE
    JobDesk._ask_child = lambda self, version: self.check(version)  # type: ignore[method-assign]
    sys.exit(cli.main(["worker", *sys.argv[1:]]))
