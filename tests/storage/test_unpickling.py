"""What a file may hold: a re-signed evil file is refused, and nothing in it has run."""

import functools
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from zyz_match.errors import ArtifactError
from zyz_match.matching.model import Model
from zyz_match.storage import registry
from zyz_match.storage.registry import Registry

ALLOWED = ("zyz_match.matching.*",)


class Calls:
    """Pickles as the call of anything with anything."""

    def __init__(self, call: Callable[..., Any], *args: object) -> None:
        self.call, self.args = call, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.args


def evil_object_array(trace: Path) -> object:
    """joblib writes arrays of objects as a pickle within the pickle."""
    return np.array([Calls(Path.touch, trace)], dtype=object)


EVIL: dict[str, Callable[[Path], object]] = {
    "a call": lambda t: Calls(Path.touch, t),
    "inside a list": lambda t: [{"x": (1, Calls(Path.touch, t))}],
    "inside an array": evil_object_array,
    "built-in eval": lambda t: Calls(eval, f"open({str(t)!r}, 'w')"),
    "a library": lambda t: Calls(functools.partial, Path.touch, t),
    "a pickle of a pickle": lambda t: Calls(pickle.loads, pickle.dumps(Calls(Path.touch, t))),
    "joblib itself": lambda t: Calls(joblib.load, str(t)),
    "a frame": lambda t: pd.DataFrame({"a": [1]}),
}


def put_signed(shelf: Registry, model: object) -> str:
    """A version whose sum and signature are right whatever is in it."""
    name = shelf.save(Model(), {})
    place = shelf.folder / name
    joblib.dump(model, place / registry.MODEL)
    return sign_again(shelf, name, sha256=registry._sha256(place / registry.MODEL))


def sign_again(shelf: Registry, name: str, **entries: object) -> str:
    """The version with other entries in its manifest, and a signature that fits them."""
    path = shelf.folder / name / registry.MANIFEST
    content = json.dumps(json.loads(path.read_text("utf-8")) | entries).encode()
    path.write_bytes(content)
    (shelf.folder / name / registry.SIGNATURE).write_text(shelf._sign(content), "ascii")
    return name


@pytest.fixture
def shelf(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models", ALLOWED, cure="请重新训练")


@pytest.mark.parametrize("kind", EVIL)
def test_a_signed_evil_file_is_refused_and_nothing_runs(
    shelf: Registry, tmp_path: Path, kind: str
) -> None:
    trace = tmp_path / "trace"
    name = put_signed(shelf, EVIL[kind](trace))
    with pytest.raises(ArtifactError, match=r"不该有的内容.*不在允许之列.*请重新训练"):
        shelf.load(name)
    assert not trace.exists()


@pytest.mark.parametrize(("module", "name"), [
    ("zyz_match.matching.model", "cached_property"),  # an import is not a class of the package
    ("zyz_match.matching.index", "groups"),  # nor is a function
    ("zyz_match.matching.index", "Index.fit"),
    ("zyz_match.storage.registry", "Registry"),
])  # fmt: skip
def test_a_package_lends_its_own_classes_only(shelf: Registry, module: str, name: str) -> None:
    put = shelf.save(Model(), {})
    content = b"\x80\x04" + b"".join(
        b"\x8c" + bytes([len(t)]) + t.encode() for t in (module, name)
    ) + b"\x93."  # fmt: skip
    (shelf.folder / put / registry.MODEL).write_bytes(content)
    sign_again(shelf, put, sha256=registry._sha256(shelf.folder / put / registry.MODEL))
    with pytest.raises(ArtifactError, match="不在允许之列"):
        shelf.load(put)


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04", b"not a pickle", b"\x80\x04K\x01", b"\x80\xff."]
)
def test_a_signed_file_of_rubbish_is_refused(shelf: Registry, content: bytes) -> None:
    name = shelf.save(Model(), {})
    path = shelf.folder / name / registry.MODEL
    path.write_bytes(content)
    sign_again(shelf, name, sha256=registry._sha256(path))
    with pytest.raises(ArtifactError, match="请重新训练"):
        shelf.load(name)


def test_a_model_comes_back_whole(shelf: Registry) -> None:
    model = Model(version="", curves={"words": ((0.0, 1.0), (0.0, 1.0))})
    assert shelf.load(shelf.save(model, {"schema": "a"}), {"schema": "a"})[0] == model


@pytest.mark.parametrize(("entries", "why"), [
    ({"format": registry.FORMAT - 1}, "较旧"), ({"format": registry.FORMAT + 1}, "升级 zyz-match"),
    ({"format": None}, "格式"),
    ({"libraries": registry.libraries() | {"numpy": "99.1"}}, "numpy 99.1"),
    ({"libraries": {}}, "程序库"), ({"about": {"schema": "b"}}, "另一套特征"),
])  # fmt: skip
def test_another_format_library_or_feature_set_is_refused_with_the_cure(
    shelf: Registry, entries: dict[str, object], why: str
) -> None:
    name = sign_again(shelf, shelf.save(Model(), {"schema": "a"}), **entries)
    with pytest.raises(ArtifactError, match=f"{why}.*请重新训练"):
        shelf.load(name, {"schema": "a"})


def test_another_patch_of_a_library_is_no_reason_to_refuse(shelf: Registry) -> None:
    ours = registry.libraries()
    patched = ours | {"numpy": ".".join([*ours["numpy"].split(".")[:2], "999"])}
    name = sign_again(shelf, shelf.save(Model(), {}), libraries=patched)
    assert shelf.load(name)[0] == Model()


# the card ----------------------------------------------------------------------------------


def test_a_card_is_kept_beside_its_model_and_signed_with_it(shelf: Registry) -> None:
    name = shelf.save(Model(), {}, {"线索": 3})
    assert shelf.card(name) == {"线索": 3}
    assert shelf.card(shelf.save(Model(), {})) == {}
    path = shelf.folder / name / registry.CARD
    path.write_text(path.read_text("utf-8").replace("3", "4"), "utf-8")
    with pytest.raises(ArtifactError, match="可能已损坏"):
        shelf.card(name)
    path.unlink()
    with pytest.raises(ArtifactError, match="缺少文件"):
        shelf.card(name)


# collecting --------------------------------------------------------------------------------


def test_collecting_removes_all_but_what_is_kept(shelf: Registry) -> None:
    names = [shelf.save(Model(), {}) for _ in range(4)]
    assert shelf.collect({names[1], "elsewhere"}) == [names[0], *names[2:]]
    assert [p.name for p in shelf.folder.iterdir()] == [names[1]]
    assert Registry(shelf.folder / "nowhere").collect(()) == []


def test_sweeping_removes_what_killed_writers_left(shelf: Registry) -> None:
    kept = shelf.save(Model(), {})
    (shelf.folder / ".aside-1").mkdir()
    (shelf.folder / ".aside-1" / registry.MODEL).write_bytes(b"half")
    (shelf.folder.parent / f"{registry.KEY}.aside-2").write_bytes(b"half")
    shelf.sweep(older_than=60)
    assert len(list(shelf.folder.iterdir())) == 2
    shelf.sweep()
    assert [p.name for p in shelf.folder.iterdir()] == [kept]
    assert sorted(p.name for p in shelf.folder.parent.iterdir()) == ["models", registry.KEY]
    shelf.load(kept)
