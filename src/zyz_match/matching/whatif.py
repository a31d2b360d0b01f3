"""Why a firm stands no higher: what it loses against the head of the list, what would move it."""

import numpy as np
import numpy.typing as npt

from zyz_match.domain import Match
from zyz_match.matching.model import Scores
from zyz_match.matching.similarity import TEXT

HEAD = 20  # the head of the list that a firm is held against
WORTH_TELLING = 0.5  # points

_ADVICE = {
    "words": "确有相关产品而文本未写的，补录主营产品后重新评分",
    "terms": "确有相关产品而文本未写的，补录主营产品后重新评分",
    "industry": "核对其国标行业小类",
    "place": "注册地不可改变，可关注其在周边的子公司",
    "marks": "取得或补录专精特新等资质",
    "capacity": "补录注册资本、参保人数、营业收入",
    "activity": "有新的对外投资后会上升，补录其投资事件",
    "region": "有在本地的投资记录后会上升，补录其投资事件",
    "sector": "有在本行业的投资记录后会上升，补录其投资事件",
    "both": "有在本地投资本行业的记录后会上升，补录其投资事件",
}


def _head(scores: Scores, best: npt.NDArray[np.int64], part: int) -> float:
    """Mean points of one part among the head of the list."""
    values = scores.parts[part].values[best[:HEAD]].astype(np.float64)
    return float(scores.points[part] * values.mean()) if len(values) else 0.0


def holds_back(
    scores: Scores, match: Match, row: int, best: npt.NDArray[np.int64]
) -> tuple[str, ...]:
    """Chinese: the parts in which the firm loses most against the head of the list."""
    losses = []
    for i, contribution in enumerate(match.contributions):
        head = _head(scores, best, i)
        loss = head - scores.contribution(i, row)
        if loss >= WORTH_TELLING:
            because = f"（{contribution.missing}）" if contribution.missing else ""
            told = (
                f"{contribution.label}得 {contribution.points:.1f} 分，名单前 "
                f"{min(HEAD, len(best))} 名平均 {head:.1f} 分，少 {loss:.1f} 分{because}"
            )
            losses.append((loss, told))
    losses.sort(key=lambda x: -x[0])
    return tuple(text for _, text in losses[:4])


def would_change(
    scores: Scores, match: Match, row: int, best: npt.NDArray[np.int64]
) -> tuple[str, ...]:
    """Chinese: what separates the firm from the head, and what could be mended."""
    told = []
    if match.rank > HEAD and len(best) >= HEAD:
        gap = float(scores.total[best[HEAD - 1]] - scores.total[row])
        told.append(f"再得 {gap:.1f} 分可进入前 {HEAD} 名")
    for i, contribution in enumerate(match.contributions):
        room = _head(scores, best, i) - contribution.points
        advice = _ADVICE.get(contribution.name)
        if advice is None or (room < WORTH_TELLING and not contribution.missing):
            continue
        most = contribution.maximum - contribution.points
        if contribution.name in TEXT and contribution.missing:
            advice = "补录经营范围和主营产品"
        line = f"{contribution.label}：{advice}，最多可再得 {most:.1f} 分"
        if most >= WORTH_TELLING and not any(advice in t for t in told):
            told.append(line)
    return tuple(told[:5])
