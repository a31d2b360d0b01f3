"""The card of a model as text for the bureau."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_TITLES = {
    "version": "模型版本", "kind": "学习方法", "champion": "原模型", "period": "线索的时间范围",
    "rounds": "线索", "leads_used": "其中用于学习", "good_ends": "其中结果较好",
    "by_outcome": "各阶段的线索数", "by_town": "各镇用于学习的线索数", "verdict": "评判结论",
    "promoted": "是否启用", "metrics": "效果", "prior": "初始权重",
    "contest": "在最近的线索上高出（均值 [95% 区间]）",
    "left_out_towns": "换到没学过的镇", "calibration": "成功可能性的核对",
    "leads": "核对所用线索", "brier": "Brier 误差（越小越好）", "ece": "校准误差（越小越好）",
    "coverage_90": "90% 区间的覆盖率", "ours": "本系统", "naive_bayes": "朴素贝叶斯",
    "logistic_regression": "逻辑回归", "sufficiency": "数据是否够用", "weights": "权重",
    "limits": "已知的限度", "prediction_hash": "预测指纹", "map": "从初始权重出发，按结果修正",
    "boosted": "单调提升树",
}  # fmt: skip
_LEFT_OUT = ("format", "settings")  # for machines: --json shows them
_MOST = 40  # entries of one table shown in full; the rest is in the JSON


def card_lines(card: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """A card line by line; `names` are the Chinese names of components."""
    shown = {k: v for k, v in card.items() if k not in _LEFT_OUT}
    return list(_lines(shown, {**_TITLES, **names}, 0))


def _lines(values: Mapping[str, Any], names: Mapping[str, str], depth: int) -> Iterator[str]:
    indent = "　" * depth
    for number, (key, value) in enumerate(values.items()):
        if number == _MOST:
            yield f"{indent}……另有 {len(values) - _MOST} 项，加 --json 查看。"
            return
        title = names.get(str(key), str(key))
        if isinstance(value, Mapping) and not _is_interval(value):
            if value:
                yield f"{indent}{title}："
                yield from _lines(value, names, depth + 1)
        elif _is_list_of_texts(value):
            yield f"{indent}{title}："
            yield from (f"{indent}　{text}" for text in value)
        elif value != []:
            yield f"{indent}{title}：{names.get(str(value), _said(value))}"


def _is_interval(value: Mapping[str, Any]) -> bool:
    return {"mean", "low", "high"} <= value.keys()


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], str)


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{_said(value['mean'])} [{_said(value['low'])}, {_said(value['high'])}]"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "，".join(_said(v) for v in value)
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "是" if value else "否"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
