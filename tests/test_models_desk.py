"""Which model serves: promoted, rolled back, damaged, collected; and what each one is."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.desk_world import CARD, DeskService, keep_model, open_desk
from zyz_match.errors import ArtifactError, NotFoundError
from zyz_match.storage import registry


@pytest.fixture
def service(tmp_path: Path) -> Iterator[DeskService]:
    """A service whose canary is the same process, which takes no seconds."""
    with open_desk(tmp_path) as service:
        service._ask_child = lambda version: service.check(version)  # type: ignore[method-assign]
        yield service


def damage(service: DeskService, version: str) -> None:
    path = service.settings.models / version / registry.MODEL
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def scores(service: DeskService) -> list[float]:
    return [m.score for m in service.rank("铸造", k=5).matches]


def test_a_rollback_brings_the_golden_scores_back_within_a_second(service: DeskService) -> None:
    golden = scores(service)
    version = keep_model(service, words=60.0)
    assert service.promote(version, by="我", note="试").version == version
    better = scores(service)
    assert better != golden
    began = time.monotonic()
    assert service.rollback(by="我").version == "prior-1"
    assert time.monotonic() - began < 1
    assert scores(service) == golden
    service.rollback()
    assert scores(service) == better
    assert [e.action for e in service.model_log()] == ["rollback", "rollback", "promote"]


def test_the_prior_can_be_promoted_again(service: DeskService) -> None:
    service.promote(keep_model(service, words=60.0))
    assert service.promote("prior-1").version == "prior-1"
    assert service.model().version == "prior-1"


@pytest.mark.slow
def test_a_real_other_process_is_asked_before_a_version_serves(tmp_path: Path) -> None:
    with open_desk(tmp_path) as service:
        version = keep_model(service, words=60.0)
        assert service.promote(version).version == version


def test_a_version_may_be_named_by_a_part(service: DeskService) -> None:
    version = keep_model(service)
    assert service.model_card(version[-5:])["version"] == version
    keep_model(service, words=60.0)
    with pytest.raises(NotFoundError, match="对应多个模型版本"):
        service.model_card(version[:8])
    for unknown in ("", "nix", "../models"):
        with pytest.raises(NotFoundError, match="没有模型版本") as caught:
            service.promote(unknown)
        assert version in caught.value.details


@pytest.mark.parametrize("file", [registry.MODEL, registry.MANIFEST, registry.SIGNATURE])
@pytest.mark.parametrize("how", ["cut", "flipped", "removed"])
def test_a_damaged_version_is_refused_and_listed_as_unusable(
    service: DeskService, file: str, how: str
) -> None:
    version = keep_model(service)
    path = service.settings.models / version / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if how == "flipped" else content[: len(content) // 2])
    if how == "removed":
        path.unlink()
    with pytest.raises((ArtifactError, NotFoundError)):
        service.promote(version)
    assert service.serving().version == "prior-1"
    listed = {m.version: m for m in service.models()}
    if file != registry.MANIFEST or how != "removed":
        assert "retrain" in listed[version].unusable


def test_a_serving_version_that_is_damaged_is_stood_in_for_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeskService, "_ask_child", lambda self, version: self.check(version))
    with open_desk(tmp_path) as service:
        first, second = (keep_model(service, words=w) for w in (50.0, 60.0))
        service.promote(first)
        service.promote(second)
        assert service.status()["model_note"] == ""
    damage(service, second)
    with open_desk(tmp_path) as service:
        shown = service.rank("铸造", k=3)
        assert shown.model == first
        assert second in shown.notes[-1]
        assert "目前暂用模型" in str(service.status()["model_note"])
        assert service.explain("铸造", shown.matches[0].firm.firm_id).rank == 1
    damage(service, first)
    with open_desk(tmp_path) as service:
        assert service.rank("铸造", k=3).model == "prior-1"
        assert [bool(m.unusable) for m in service.models()] == [True, True, False]
        assert service.rollback().version == first
        assert service.promote("prior-1").version == "prior-1"
        assert service.model_note() == ""


def test_collecting_keeps_what_serves_served_or_was_shown(service: DeskService) -> None:
    names = [keep_model(service, words=20.0 + i) for i in range(9)]
    service.promote(names[2])
    service.rank("铸造", k=1)
    for name in (names[0], names[1]):
        service.promote(name)
    assert service.collect() == [names[3]]
    assert service._models.versions() == [*names[:3], *names[4:]]
    assert service._model(names[2]).weights["words"] == 22.0
    assert service.collect() == []


def test_two_models_side_by_side(service: DeskService) -> None:
    version = keep_model(service, words=1.0, terms=0.0, latent=0.0, peers=0.0, place=80.0)
    found = service.diff("prior-1", version[-5:])
    assert (found.before, found.after) == ("prior-1", version)
    changed = {w.name: (w.before, w.after) for w in found.weights if w.before != w.after}
    assert changed["words"] == (26.0, 1.0)
    assert set(found.metrics) == {"prior-1", version}
    [town] = found.towns
    assert town.moves
    distances = [abs((m.before or 21) - (m.after or 21)) for m in town.moves]
    assert distances == sorted(distances, reverse=True)
    assert not service.diff(version, version).towns[0].moves


def test_the_card_of_a_version_says_what_it_learnt_from(service: DeskService) -> None:
    version = keep_model(service)
    assert service.model_card(version) == {"version": version, **CARD}
    assert service.model_card()["weights"]["words"] == 26.0
    card = service.settings.models / version / registry.CARD
    card.write_text("{}")
    with pytest.raises(ArtifactError, match=r"card\.json.*可能已损坏"):
        service.model_card(version)


def test_something_else_than_a_model_is_refused(service: DeskService) -> None:
    from zyz_match.models_desk import feature_schema

    version = service._models.save({"weights": 1}, {"schema": feature_schema()})
    with pytest.raises(ArtifactError, match="不是模型"):
        service.promote(version)


def test_a_model_of_other_components_is_refused(
    service: DeskService, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = keep_model(service)
    monkeypatch.setattr("zyz_match.matching.index.Index.FORMAT", 99)
    with pytest.raises(ArtifactError, match=r"另一套特征.*retrain"):
        service.promote(version)
