"""Why a firm stands no higher: what it loses against the head of the list, what would move it."""

import numpy as np

from zyz_match.domain import Contribution, Match
from zyz_match.matching.model import Head, Scores
from zyz_match.matching.similarity import TEXT

TOP = 20  # the head of the list that a firm is held against
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


class Gap:
    """One firm beside the head of its list, `TOP` firms or fewer."""

    def __init__(self, scores: Scores, head: Head, match: Match) -> None:
        self.head, self.match = head, match
        values = scores.table(head.rows).values
        mean = values.mean(axis=1) if len(head.rows) else np.zeros(len(values))
        self.usual: list[float] = (scores.points * mean).tolist()

    def _parts(self) -> list[tuple[Contribution, float]]:
        """Each contribution with what the head has of it, in points."""
        return list(zip(self.match.contributions, self.usual, strict=True))

    def holds_back(self) -> tuple[str, ...]:
        """Chinese: the parts in which the firm loses most against the head of the list."""
        losses = []
        for contribution, usual in self._parts():
            loss = usual - contribution.points
            if loss >= WORTH_TELLING:
                because = f"（{contribution.missing}）" if contribution.missing else ""
                told = (
                    f"{contribution.label}得 {contribution.points:.1f} 分，名单前 "
                    f"{len(self.head.rows)} 名平均 {usual:.1f} 分，少 {loss:.1f} 分{because}"
                )
                losses.append((loss, told))
        losses.sort(key=lambda x: -x[0])
        return tuple(text for _, text in losses[:4])

    def would_change(self) -> tuple[str, ...]:
        """Chinese: what separates the firm from the head, and what could be mended."""
        told = []
        if self.match.rank > TOP and len(self.head.rows) >= TOP:
            gap = float(self.head.total[TOP - 1]) - self.match.score
            told.append(f"再得 {gap:.1f} 分可进入前 {TOP} 名")
        for contribution, usual in self._parts():
            room = usual - contribution.points
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
