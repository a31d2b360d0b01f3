"""The desk for models: which version serves and what each one is."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zyz_match.acting import actor
from zyz_match.domain import Town
from zyz_match.errors import ArtifactError, NotFoundError, StorageError, ZyzError
from zyz_match.index_desk import IndexDesk
from zyz_match.settings import Settings
from zyz_match.storage.registry import Registry
from zyz_match.storage.serving import LogEntry, Serving
from zyz_match.storage.store import Store

if TYPE_CHECKING:  # loaded where used: an import needs no mathematics
    from zyz_match.matching.model import Model

__all__ = ["LogEntry", "ModelDesk", "ModelDiff", "ModelInfo", "Serving", "component_names"]

KEPT_MODELS = 5  # the newest, besides those in use
DIFF_LIST = 20  # firms of each town's list that two models are compared by
DIFF_MOVES = 5
CANARY_FIRMS = 100
CANARY_SECONDS = 300
EQUAL = 1e-9  # scores of one model in two processes
_MODEL_CURE = "可用 zyz-match models rollback 退回上一版本，或用 zyz-match retrain 重新训练"
_MODEL_CLASSES = ("zyz_match.matching.*", "zyz_match.domain.Chance")


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One version as the list of models shows it."""

    version: str
    created_at: str  # RFC 3339, "" for the prior, which comes with the program
    serving: bool
    previous: bool  # a rollback would go there
    verdict: str  # Chinese: what the contest said
    unusable: str  # Chinese: why it cannot serve, "" when it can


@dataclass(frozen=True, slots=True)
class WeightChange:
    """One component's weight in two models."""

    name: str
    label: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Move:
    """One firm's rank in two models' lists of a town; None is below the lists."""

    firm_id: str
    name: str
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class TownMoves:
    """The firms that move most in one town, and how many of its list change."""

    town_id: str
    name: str
    entered: int
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class ModelDiff:
    """Two models side by side."""

    before: str
    after: str
    weights: tuple[WeightChange, ...]
    metrics: Mapping[str, Any]  # version -> the metrics of its card
    towns: tuple[TownMoves, ...]


class ModelDesk(IndexDesk):
    """The models of one store."""

    def __init__(self, settings: Settings, store: Store) -> None:
        super().__init__(settings, store)
        self._loaded: dict[str, Model] = {}

    # which model -----------------------------------------------------------------------------

    def model(self) -> "Model":
        """The model that serves now; a damaged one is stood in for, see `model_note`."""
        return self._serving_model()[0]

    def model_note(self) -> str:
        """Chinese: why another model than the promoted one serves, "" when all is well."""
        return self._serving_model()[1]

    def _model(self, version: str | None = None) -> "Model":
        """The model of a version, the serving one without; ArtifactError for an unusable one."""
        if version is None:
            return self._serving_model()[0]
        return self._load(self._known(version))

    def _serving_model(self) -> "tuple[Model, str]":
        try:
            return self._load(self.store.versions().model), ""
        except ZyzError as error:
            stand_in = self._first_usable(self.store.serving.current().previous, "")
            return stand_in, f"{error.message}目前暂用模型 {stand_in.version}。"

    def _first_usable(self, *versions: str) -> "Model":
        for version in versions:
            with suppress(StorageError):
                return self._load(version)
        return self._load("")

    def _load(self, version: str) -> "Model":
        """The model of a stored name, where "" is the prior; loaded once a process."""
        from zyz_match.matching.model import Model

        if version not in self._loaded:
            if not version:
                self._loaded[version] = Model()
            else:
                found = self._models.load(version, {"schema": feature_schema()})[0]
                if not isinstance(found, Model):
                    raise ArtifactError(
                        f"“{self.settings.models / version}”不是模型；{_MODEL_CURE}。"
                    )
                self._loaded[version] = replace(found, version=version)
        return self._loaded[version]

    @property
    def _models(self) -> Registry:
        return Registry(self.settings.models, _MODEL_CLASSES, ("joblib", "numpy"), _MODEL_CURE)

    def _known(self, text: str) -> str:
        """The stored name of a version given in full or by an unambiguous part."""
        found = self._models.versions()
        if text == _prior():
            return ""
        near = [text] if text in found else [v for v in found if text and text in v]
        if len(near) == 1:
            return near[0]
        shown = "、".join([_prior(), *found[-5:]])
        what = f"“{text}”对应多个模型版本，请写全" if near else f"没有模型版本“{text}”"
        raise NotFoundError(f"{what}。最近的版本：{shown}；用 zyz-match models 查看全部。",
                            details=(_prior(), *found[-5:]))  # fmt: skip

    # what there is ---------------------------------------------------------------------------

    def models(self) -> list[ModelInfo]:
        """All versions, newest first; the prior comes last."""
        now = self.store.serving.current()
        return [self._info(v, now) for v in (*reversed(self._models.versions()), "")]

    def _info(self, version: str, now: Serving) -> ModelInfo:
        created, verdict, why = "", "随程序附带的先验权重，不需要成交结果。", ""
        if version:
            try:
                manifest = self._models.manifest(version)
                created, verdict = manifest.created_at, str(manifest.about.get("verdict", ""))
                self._load(version)
            except ZyzError as error:
                why = error.message
        promoted = now.since is not None
        return ModelInfo(
            version or _prior(), created, version == now.version,
            promoted and version == now.previous, verdict, why,
        )  # fmt: skip

    def model_card(self, version: str | None = None) -> dict[str, Any]:
        """The card of a version, of the serving one without: what it learnt from, how good it is.

        Who sees only some towns is not told how many leads each town gave.
        Raises NotFoundError for an unknown version, ArtifactError for a damaged card.
        """
        stored = self.store.serving.current().version if version is None else self._known(version)
        if stored:
            card = {"version": stored, **self._models.card(stored)}
            return card if actor().sees(None) else {n: card[n] for n in card if n != "by_town"}
        return {"version": _prior(), "weights": dict(self._load("").weights)}

    def model_log(self) -> list[LogEntry]:
        """What was promoted, rolled back and rejected, newest first."""
        return [
            e
            if e.action == "reject"
            else replace(e, version=e.version or _prior(), previous=e.previous or _prior())
            for e in self.store.serving.history()
        ]

    def diff(self, before: str, after: str) -> ModelDiff:
        """Two versions side by side: weights, metrics, and the firms that move most by town."""
        old, new = self._model(before), self._model(after)
        return ModelDiff(
            old.version, new.version, _weight_changes(old, new),
            {v: self.model_card(v).get("metrics", {}) for v in (old.version, new.version)},
            tuple(self._moves(town, old, new) for town in self.store.towns()),
        )  # fmt: skip

    def _moves(self, town: Town, old: "Model", new: "Model") -> TownMoves:
        from zyz_match.matching import ranking

        existing, index = self.store.existing(town.id), self.index()
        with self._lane:
            lists = [
                ranking.rank(index, town, k=DIFF_LIST, existing=existing, model=m).matches
                for m in (old, new)
            ]
        before, after = ({m.firm.firm_id: m.rank for m in found} for found in lists)
        names = {m.firm.firm_id: m.firm.name for found in lists for m in found}
        moves = [Move(f, name, before.get(f), after.get(f)) for f, name in names.items()]
        moved = sorted((m for m in moves if m.before != m.after), key=_by_distance)
        return TownMoves(town.id, town.name, len(after.keys() - before), tuple(moved[:DIFF_MOVES]))

    def serving(self) -> Serving:
        """Which version was promoted last, and which one served before it."""
        return _named(self.store.serving.current())

    # which one serves ------------------------------------------------------------------------

    def promote(self, version: str, *, by: str = "", note: str = "") -> Serving:
        """Let a version serve, after another process has loaded it and got the same scores.

        Raises NotFoundError for an unknown version, ArtifactError for one that cannot serve.
        """
        stored = self._known(version)
        if stored:
            self._canary(stored, self._load_anew(stored))
        done = self.store.serving.promote(
            stored, by=by or actor().name, note=note,
            check=lambda: stored and self._models.manifest(stored),
        )  # fmt: skip
        return _named(done)

    def rollback(self, *, by: str = "") -> Serving:
        """Go back to the version that served before; nothing but one row moves."""
        return _named(self.store.serving.rollback(by=by or actor().name))

    def collect(self) -> list[str]:
        """Remove the models that nothing refers to, but for the newest; the removed ones."""
        with self.store.serving.in_use() as used:
            return self._models.collect({*used, *self._models.versions()[-KEPT_MODELS:]})

    def check(self, version: str) -> dict[str, Any]:
        """The head of the first town's list by a version: what two processes must agree on."""
        return self._probe(self._load_anew(self._known(version)))

    def _load_anew(self, version: str) -> "Model":
        self._loaded.pop(version, None)
        return self._load(version)

    def _probe(self, model: "Model") -> dict[str, Any]:
        import numpy as np

        index, scores = self.index(whole=True), dict[str, float]()
        for town in self.store.towns()[:1]:
            with self._lane:
                total = model.score(town, index).total
            head = np.argsort(-total, kind="stable")[:CANARY_FIRMS]
            ids = index.frame["firm_id"].to_numpy()
            scores = {str(ids[row]): float(total[row]) for row in head}
        return {"data": index.stamp, "scores": scores}

    def _canary(self, version: str, model: "Model") -> None:
        """ArtifactError unless a fresh process loads a version and scores as `model` does."""
        for _ in range(3):  # an import may come in between
            told, ours = self._ask_child(version), self._probe(model)
            if told["data"] == ours["data"]:
                break
        theirs = told["scores"]
        same = theirs.keys() == ours["scores"].keys() and all(
            abs(theirs[f] - s) <= EQUAL for f, s in ours["scores"].items()
        )
        if not same:
            raise ArtifactError(f"模型 {version} 另行载入后得分不同，未启用；{_MODEL_CURE}。")

    def _ask_child(self, version: str) -> dict[str, Any]:
        try:
            done = subprocess.run(
                [*self.worker, "--check", version], env=self._child_environment(),
                stdin=subprocess.DEVNULL, capture_output=True, timeout=CANARY_SECONDS, check=True,
            )  # fmt: skip
            told: dict[str, Any] = json.loads(done.stdout)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise ArtifactError(
                f"模型 {version} 在另一进程中试载失败，未启用；{_MODEL_CURE}。"
            ) from error
        return told


def _prior() -> str:
    from zyz_match.matching.model import PRIOR_VERSION

    return PRIOR_VERSION


def feature_schema() -> str:
    """What a model's weights are weights of: the components and the layout that they read."""
    from zyz_match.matching.index import Index

    text = json.dumps([Index.FORMAT, *component_names()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def component_names() -> dict[str, str]:
    """The Chinese name of every component that a model weighs."""
    from zyz_match.matching.similarity import COMPONENTS

    return {c.name: c.label for c in COMPONENTS}


def _named(found: Serving) -> Serving:
    return replace(found, version=found.version or _prior(), previous=found.previous or _prior())


def _weight_changes(old: "Model", new: "Model") -> tuple[WeightChange, ...]:
    return tuple(
        WeightChange(name, label, old.weights.get(name, 0.0), new.weights.get(name, 0.0))
        for name, label in component_names().items()
    )


def _by_distance(move: Move) -> tuple[int, str]:
    below = DIFF_LIST + 1
    return -abs((move.before or below) - (move.after or below)), move.firm_id
