"""The order of the steps between one town and one firm, judged by date, not by arrival."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from zyz_match.domain import STAGE_NAMES, Stage
from zyz_match.stages import may_follow, order_of


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pair's history."""

    date: str  # ISO
    stage: Stage
    key: str  # breaks ties, so that the order of arrival decides nothing
    id: int = 0  # of the stored entry, 0 for a new one
    at: int = -1  # place of a new one among the new


def in_order(steps: Iterable[Step]) -> list[Step]:
    """By date; on one day the way onward first, then how it ended."""
    return sorted(steps, key=lambda s: (s.date, order_of(s.stage), s.key))


def contradictions(steps: Iterable[Step]) -> dict[int, Step]:
    """Of the new steps those that cannot stand, each with the step that it contradicts.

    What is stored stands: a new step yields to it, whether it is earlier or later.
    """
    refused: dict[int, Step] = {}
    left = in_order(steps)
    while True:
        skipped, yielded = _walk(left)
        refused |= yielded
        if not yielded:
            return refused | skipped
        left = [s for s in left if s.id or s.at not in yielded]


def _walk(steps: list[Step]) -> tuple[dict[int, Step], dict[int, Step]]:
    """New steps that an earlier one forbids, and the first that a later, stored one forbids.

    The walk ends at the latter: without them, steps that they forbade may stand.
    """
    kept: list[Step] = []
    skipped: dict[int, Step] = {}
    for step in steps:
        if _fits(kept, step):
            kept.append(step)
        elif not step.id:
            skipped[step.at] = kept[-1]
        elif yielded := _new_alike(kept):
            return skipped, dict.fromkeys(yielded, step)
        else:
            kept.append(step)
    return skipped, {}


def _new_alike(kept: list[Step]) -> list[int]:
    """Places of the new steps at the end that are of one stage."""
    alike = takewhile(lambda s: not s.id and s.stage is kept[-1].stage, reversed(kept))
    return [s.at for s in alike]


def _fits(kept: list[Step], step: Step) -> bool:
    return not kept or may_follow(kept[-1].stage, step.stage)


def fault(step: Stage, other: Step) -> str:
    """Why a new step cannot stand beside another, and what to do."""
    which = f"第 {other.id} 条记录" if other.id else "同一文件中"
    if Stage.LANDED in (step, other.stage):
        law = f"“{STAGE_NAMES[Stage.LANDED]}”之后只能是“{STAGE_NAMES[Stage.LOST]}”"
    else:
        law = "同一轮跟进中阶段不能倒退，结束之后才能另起一轮"
    cure = f"；记错的话请更正第 {other.id} 条（--corrects {other.id}）" if other.id else ""
    return (
        f"“{STAGE_NAMES[step]}”与{which} {other.date} 的“{STAGE_NAMES[other.stage]}”先后矛盾："
        f"{law}。请核对日期和阶段{cure}。"
    )
