"""A model kept in git by an earlier day's program: it loads as it was, or is refused plainly.

Made by `Registry(...).save(GOLDEN, {"schema": feature_schema()}, {"format": 1})` once; it is not
to be made anew, but joined by another when the format of models changes.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from zyz_match.domain import Chance
from zyz_match.errors import ArtifactError
from zyz_match.matching.calibration import Calibration
from zyz_match.matching.model import PRIOR, Model
from zyz_match.service import Service
from zyz_match.settings import load_settings
from zyz_match.storage.store import Store

KEPT = Path(__file__).parent / "golden"
GOLDEN = Model(
    dict(PRIOR) | {"words": 31.25},
    "",
    {"activity": ((0.0, 0.5, 1.0), (0.0, 0.75, 1.0))},
    Calibration((-1.5, 2.5), ((0.25, 0.0), (0.0, 0.5)), Chance(0.25, 0.125, 0.5)),
)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    shutil.copytree(KEPT, tmp_path, dirs_exist_ok=True)
    settings = load_settings({"ZYZ_HOME": str(tmp_path)})
    return Service(settings, Store.open(settings.database_url))


def test_an_old_model_loads_as_it_was_or_is_refused_with_the_cure(service: Service) -> None:
    with service:
        [info] = [m for m in service.models() if m.version != "prior-1"]
        if info.unusable:
            assert "zyz-match retrain" in info.unusable
            with pytest.raises(ArtifactError):
                service.promote(info.version)
        else:
            assert service._model(info.version) == replace(GOLDEN, version=info.version)
        assert service.model_card(info.version) == {"version": info.version, "format": 1}
