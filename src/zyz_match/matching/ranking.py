"""Filter, take the top k, spread over the chain, explain."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from zyz_match.domain import (
    Explanation,
    Filters,
    Firm,
    Match,
    Shortlist,
    Similar,
    Standing,
    Town,
    TownFit,
)  # fmt: skip
from zyz_match.errors import NotFoundError
from zyz_match.firms import firm_from_row
from zyz_match.industry import IndustryTree
from zyz_match.matching.evidence import Explainer, shared_words
from zyz_match.matching.index import Index
from zyz_match.matching.model import Model, Scores, Wide
from zyz_match.matching.pool import candidates, excluded_because, filter_mask
from zyz_match.matching.query import PRODUCTS, prepare
from zyz_match.matching.segment import Mask, Whole
from zyz_match.matching.whatif import TOP, Gap

HEAD = 300  # firms among which a diversified list chooses, at least
PLACES_BYTES = 128_000_000  # of lists of all firms' places that are kept
MODEL = Model()


def rank(
    index: Index,
    town: Town,
    *,
    k: int,
    filters: Filters | None = None,
    existing: Collection[str] = (),
    diversify: bool = False,
    after: tuple[float, str] | None = None,
    model: Model = MODEL,
) -> Shortlist:
    """The k best candidates of a town, best first, ties by firm id, each explained.

    `existing` are firm ids that are in the town already; `after` is (score, firm_id) of the last
    match of the page before. Raises InputError for a filter word that nobody knows.
    """
    filters = filters or Filters()
    scores = model.score(town, index)
    allowed = candidates(index, town, existing) & filter_mask(index, filters)
    head = scores.best(max(HEAD, 10 * k) if diversify else k, allowed, after)
    ranks = {int(row): head.ahead + i + 1 for i, row in enumerate(head.rows)}
    explainer, rows, pool = Explainer(index, scores), head.rows, int(np.count_nonzero(allowed))
    if diversify:
        rows = _spread(explainer, town, rows, k)
    matches = _matches(scores, explainer, rows.tolist(), ranks)
    return Shortlist(
        town, matches, pool, len(index), filters, model.version, index.stamp,
        notes=_notes(scores, matches, pool),
    )  # fmt: skip


def _matches(
    scores: Scores, explainer: Explainer, rows: list[int], ranks: Mapping[int, int]
) -> tuple[Match, ...]:
    if not rows:
        return ()
    table = scores.table(rows)
    confidence = scores.confidence(table.missing).tolist()
    return tuple(
        Match(
            rank=ranks[row],
            firm=found.firm,
            score=score,
            fit=sum(c.points for c in found.contributions if c.part == "fit"),
            propensity=sum(c.points for c in found.contributions if c.part == "propensity"),
            confidence=sure,
            reason=found.reason,
            segment=found.segment,
            flags=_flags(found.firm),
            contributions=found.contributions,
            chance=scores.chance(score, sure),
        )
        for row, score, sure, found in zip(
            rows, table.total.tolist(), confidence, explainer.explain(rows, table), strict=True
        )
    )


def _flags(firm: Firm) -> tuple[str, ...]:
    flags = []
    if firm.standing is Standing.ABNORMAL:
        flags.append(f"登记状态：{firm.status or '异常'}")
    if firm.standing is Standing.UNKNOWN:
        flags.append("登记状态未知，请先核实")
    if not firm.scope and not firm.products:
        flags.append("缺经营范围和主营产品")
    return tuple(flags)


def _notes(scores: Scores, matches: Sequence[Match], pool: int) -> tuple[str, ...]:
    notes = []
    if not scores.parts:
        notes.append("专业镇画像中没有可比较的内容，请补充产品、产业链或行业代码。")
    elif not len(scores.query.columns):
        notes.append("没有一家企业的文本出现该镇的产品或环节用词，名次只反映行业、区位等其他信息。")
    if not pool:
        notes.append("没有符合条件的企业，请放宽筛选条件或导入更多企业。")
    if matches and all(m.confidence < 0.5 for m in matches):
        notes.append("名单中企业的已知信息不足一半，名次仅供初筛。")
    return tuple(notes)


# spread over the chain -----------------------------------------------------------------------


def _spread(
    explainer: Explainer, town: Town, rows: npt.NDArray[np.int64], k: int
) -> npt.NDArray[np.int64]:
    """Best firms segment by segment in turn, needy segments first; rest by score.

    A town whose segments are all known to be present gets the plain order.
    """
    order = sorted(
        (s for s in town.chain if s.need != "present"),
        key=lambda s: ("missing", "weak", None).index(s.need),
    )
    names = [s.segment for s in order] or [PRODUCTS]
    queues: dict[str, list[int]] = {name: [] for name in names}
    for row, segment in zip(rows, explainer.segments([int(r) for r in rows]), strict=True):
        if segment in queues:
            queues[segment].append(int(row))
    taken: list[int] = []
    while len(taken) < k and any(queues.values()):
        for name in names:
            if queues[name] and len(taken) < k:
                taken.append(queues[name].pop(0))
    chosen = set(taken)
    rest = [int(r) for r in rows if int(r) not in chosen]
    picked = {*taken, *rest[: max(0, k - len(taken))]}
    return np.array([int(r) for r in rows if int(r) in picked], dtype=np.int64)


# one firm ------------------------------------------------------------------------------------


def explain(
    index: Index, town: Town, firm: Firm, existing: Collection[str] = (), *, model: Model = MODEL
) -> Explanation:
    """Where a firm stands among all candidates of a town, and why it stands no higher."""
    row = _row(index, firm)
    scores = model.score(town, index)
    allowed = candidates(index, town, existing)
    pool = int(np.count_nonzero(allowed))
    reason = excluded_because(index, town, row, existing)
    if reason:
        return Explanation(town, None, firm, None, pool, reason)
    rank, head = _rank_of(row, allowed, _places(index, town, model)), scores.best(TOP, allowed)
    (match,) = _matches(scores, Explainer(index, scores), [row], {row: rank})
    gap = Gap(scores, head, match)
    return Explanation(town, match, firm, rank, pool, "", gap.holds_back(), gap.would_change())


def _row(index: Index, firm: Firm) -> int:
    row = index.row(firm.firm_id)
    if row is None:
        raise NotFoundError(f"企业库中没有企业“{firm.name}”（{firm.firm_id}）。")
    return row


def towns_for(
    index: Index,
    firm: Firm,
    towns: Sequence[Town],
    existing: Mapping[str, Collection[str]],
    k: int,
    *,
    model: Model = MODEL,
) -> list[TownFit]:
    """The k best towns of a firm, by its rank on each town's own list, then by score.

    Scores of two towns are not on one scale; ranks in the same pool are. Towns that the firm is
    excluded from are left out.
    """
    row, ranks = _row(index, firm), list[tuple[int, Town]]()
    for town in towns:
        allowed = candidates(index, town, existing.get(town.id, ()))
        if allowed[row]:
            ranks.append((_rank_of(row, allowed, _places(index, town, model)), town))
    last = max(sorted(rank for rank, _ in ranks)[:k], default=0)
    found = []
    for rank, town in ranks:
        if rank <= last:
            scores = model.score(town, index)
            (match,) = _matches(scores, Explainer(index, scores), [row], {row: rank})
            found.append((rank, -match.score, town.id, town, match))
    found.sort(key=lambda x: x[:3])
    return [TownFit(town, i + 1, match) for i, (*_, town, match) in enumerate(found[:k])]


def _places(index: Index, town: Town, model: Model) -> Whole:
    """Place of every firm in a town's list if all were allowed; kept for the next firm."""
    key = prepare(town, index.features.words_), model.key
    most = PLACES_BYTES // (4 * index.size)
    return index.recent("places", key, lambda: model.score(town, index).places(), most)


def _rank_of(row: int, allowed: Mask, places: Whole) -> int:
    """Rank of an allowed firm among all allowed ones."""
    return 1 + int(np.count_nonzero(allowed & (places < places[row])))


def similar(
    index: Index, seeds: Sequence[Firm], k: int, filters: Filters | None = None
) -> list[Similar]:
    """Firms whose text lies nearest to the given ones (latent cosine), with what they share."""
    rows = [_row(index, s) for s in seeds]
    towards = index.latent_mean(index.latent_rows(rows))
    near = index.latent_near(np.arange(index.size), towards).astype(np.float64)
    allowed = index.active & filter_mask(index, filters or Filters()) & (near > 0)
    allowed[rows] = False
    best = _nearest(index, near, allowed, k)
    firms = [firm_from_row(r) for r in index.records(best)]
    return [
        Similar(
            i + 1, firm, min(1.0, float(near[row])), shared_words(index, seeds, firm),
            _common_industry(firm, seeds),
        )
        for i, (row, firm) in enumerate(zip(best, firms, strict=True))
    ]  # fmt: skip


def _nearest(index: Index, near: Wide, allowed: Mask, k: int) -> list[int]:
    """The k nearest allowed rows, ties by firm id."""
    rows = np.flatnonzero(allowed)
    rows = rows[index.by_id(rows)]
    found: list[int] = rows[np.argsort(-near[rows], kind="stable")[:k]].tolist()
    return found


def _common_industry(firm: Firm, seeds: Sequence[Firm]) -> str:
    tree = IndustryTree.shipped()
    if firm.industry not in tree:
        return ""
    others = [set(tree.ancestors(s.industry)) for s in seeds if s.industry in tree]
    common = next((a for a in tree.ancestors(firm.industry) if any(a in o for o in others)), None)
    return tree.name(common) if common is not None else ""
