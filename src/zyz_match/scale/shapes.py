"""Surveys and sights of towns as flat arrays, so that they can wait in files."""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from zyz_match.matching.survey import Best, Latent, Sight, Survey

Arrays = dict[str, npt.NDArray[Any]]
Meta = dict[str, Any]
_OF_LATENT = ("keys", "packed", "scale")
_OF_SURVEY = ("covered", "words", "covers")
_OF_SIGHT = ("term_weights", "towards", "seeds")
_NUMBERS_OF_SIGHT = ("best_words", "best_terms", "best_latent", "best_peers")


def survey_parts(found: Survey) -> tuple[Meta, Arrays]:
    """A survey as what JSON can hold and flat arrays."""
    arrays: Arrays = {n: getattr(found, n) for n in _OF_SURVEY}
    for name, latent in (("head", found.head), ("anchors", found.anchors)):
        arrays |= {f"{name}.{n}": getattr(latent, n) for n in _OF_LATENT}
    return {"firms": found.firms, "bests": found.bests}, arrays


def survey_of(meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Survey:
    """The survey that `survey_parts` took apart."""
    head, anchors = (
        Latent(*(arrays[f"{name}.{n}"] for n in _OF_LATENT)) for name in ("head", "anchors")
    )
    covered, words, covers = (arrays[n] for n in _OF_SURVEY)
    return Survey(meta["firms"], covered, words, covers, head, anchors, _bests(meta))


def sight_parts(seen: Sight) -> tuple[Meta, Arrays]:
    """A sight as what JSON can hold and flat arrays."""
    arrays: Arrays = {n: getattr(seen, n) for n in _OF_SIGHT}
    if seen.peers is not None:
        arrays["peers"] = seen.peers
    return {n: getattr(seen, n) for n in _NUMBERS_OF_SIGHT} | {"bests": seen.bests}, arrays


def sight_of(meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Sight:
    """The sight that `sight_parts` took apart."""
    fields: dict[str, Any] = {n: meta[n] for n in _NUMBERS_OF_SIGHT}
    fields |= {n: arrays[n] for n in _OF_SIGHT}
    return Sight(**fields, peers=arrays.get("peers"), bests=_bests(meta))


def _bests(meta: Mapping[str, Any]) -> dict[str, Best]:
    return {name: Best(*values) for name, values in meta["bests"].items()}


# several in one file -------------------------------------------------------------------------


def together(some: list[tuple[Meta, Arrays]]) -> tuple[Meta, Arrays]:
    """The parts of several things as those of one."""
    arrays = {
        f"{i}.{name}": array for i, (_, own) in enumerate(some) for name, array in own.items()
    }
    return {"each": [meta for meta, _ in some]}, arrays


def apart(
    meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
) -> list[tuple[Meta, Arrays]]:
    """The parts of the several things again."""
    found: list[tuple[Meta, Arrays]] = [(own, {}) for own in meta["each"]]
    for name, array in arrays.items():
        number, _, own = name.partition(".")
        found[int(number)][1][own] = array
    return found
