"""Stages and reasons in the words people write, and which stage may follow which."""

from zyz_match.domain import CLOSING_STAGES, REASONS, STAGE_NAMES, Stage
from zyz_match.errors import InputError
from zyz_match.text import name_key

_MORE_WORDS: dict[Stage, str] = {  # what teams write besides our names; 已 and 中 do not count
    Stage.RECOMMENDED: "推荐 待接触",
    Stage.CONTACTED: "接触 联系 对接 沟通",
    Stage.VISITED: "考察 拜访 走访 来访",
    Stage.NEGOTIATING: "洽谈 在谈 谈判 商谈",
    Stage.SIGNED: "签约 签订协议",
    Stage.LANDED: "落地 投产 开工",
    Stage.NO_INTEREST: "无意向 无意 没兴趣 不感兴趣",
    Stage.UNFIT: "不合适 不匹配 不符合",
    Stage.LOST: "流失 放弃 终止 失败",
}
_ORDER = {stage: place for place, stage in enumerate(Stage)}


def _bare(word: str) -> str:
    return name_key(word).removeprefix("已").removesuffix("中")


_STAGES: dict[str, Stage] = {
    _bare(word): stage
    for stage in Stage
    for word in (stage.value, STAGE_NAMES[stage], *_MORE_WORDS[stage].split())
}
_REASONS = {name_key(word): code for code, name in REASONS.items() for word in (code, name)}


def stage_of(text: str) -> Stage:
    """The stage of an English or Chinese word; InputError with the words there are."""
    if (found := _STAGES.get(_bare(text))) is None:
        words = "、".join(f"{STAGE_NAMES[s]}（{s}）" for s in Stage)
        raise InputError(f"“{text}”不是可用的阶段；可用：{words}。")
    return found


def reason_of(text: str) -> str:
    """The code of an English or Chinese reason, "" for none; InputError with those there are."""
    key = name_key(text)
    if key and key not in _REASONS:
        words = "、".join(f"{name}（{code}）" for code, name in REASONS.items())
        raise InputError(f"“{text}”不是可用的原因；可用：{words}，细节请写在备注里。")
    return _REASONS.get(key, "")


def order_of(stage: Stage) -> int:
    """The place of a stage on the way; the ways to end come last."""
    return _ORDER[stage]


def begins_round(before: Stage | None, after: Stage) -> bool:
    """Whether a stage cannot belong to the round that came to `before`."""
    if before is None or before in CLOSING_STAGES:
        return True
    return after not in CLOSING_STAGES and order_of(after) < order_of(before)


def may_follow(before: Stage, after: Stage) -> bool:
    """Whether a stage may come after another: onward or to an end; anew only after an end.

    A firm that landed can only be lost.
    """
    if before is Stage.LANDED:
        return after is Stage.LOST
    return before in CLOSING_STAGES or not begins_round(before, after)
