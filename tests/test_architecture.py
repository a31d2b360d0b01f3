"""The rules of the house, read off the imports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "zyz_match"
GROUND = {
    "access", "acting", "credentials", "crm_maps", "sending", "signing", "targets",
    "days", "domain", "errors", "firms", "industry", "outputs", "profiles", "progress", "recent",
    "region", "settings", "shipped", "stages", "text",
}  # fmt: skip
HALL = (  # one hall and its desks
    "service", "access_desk", "batch_desk", "imports_desk", "index_desk", "jobs_desk",
    "leads_desk", "models_desk", "ops_desk", "upsert_desk",
    "delivering", "hooks_desk", "inbound_desk",
)  # fmt: skip
IO_MODULES = {"sqlalchemy", "alembic", "pathlib", "socket", "urllib", "httpx2", "fastapi", "os"}


def imports(path: Path) -> set[str]:
    """Absolute names of everything a module imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found |= {f"{node.module}.{a.name}" for a in node.names}
    return found


def touches(names: set[str], package: str) -> bool:
    return any(n == package or n.startswith(package + ".") for n in names)


def modules(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.py"))
    assert found, f"no module in {folder}"
    return found


@pytest.mark.parametrize("path", modules(SRC / "matching"), ids=lambda p: p.name)
def test_the_mathematics_opens_nothing_and_knows_no_shelf(path: Path) -> None:
    names = imports(path)
    assert not touches(names, "zyz_match.storage")
    assert not touches(names, "zyz_match.service")
    assert not touches(names, "api")
    assert not [m for m in IO_MODULES if touches(names, m)]
    calls = [
        n.func for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)
    ]
    assert not [c for c in calls if isinstance(c, ast.Name) and c.id == "open"]


@pytest.mark.parametrize("path", modules(SRC / "storage"), ids=lambda p: p.name)
def test_the_shelves_know_no_mathematics(path: Path) -> None:
    names = imports(path)
    for upper in ("zyz_match.matching", "zyz_match.service", "zyz_match.cli", "api", "sklearn"):
        assert not touches(names, upper)


@pytest.mark.parametrize("name", sorted(GROUND))
def test_the_ground_floor_stands_on_itself(name: str) -> None:
    above = {
        n for n in imports(SRC / f"{name}.py")
        if n.startswith("zyz_match.") and n.split(".")[1] not in GROUND
    }  # fmt: skip
    assert not above


def test_the_doors_reach_the_wings_only_through_the_hall() -> None:
    doors = [*modules(ROOT / "api"), *modules(SRC / "commands")]
    doors += [p for p in SRC.glob("*.py") if p.stem not in GROUND]
    for path in doors:
        if path.stem in HALL:
            continue
        names = imports(path)
        assert not touches(names, "zyz_match.storage"), path
        assert not touches(names, "zyz_match.matching"), path


@pytest.mark.parametrize("name", HALL)
def test_the_hall_knows_no_door(name: str) -> None:
    names = imports(SRC / f"{name}.py")
    for door in ("api", "zyz_match.cli", "zyz_match.commands"):
        assert not touches(names, door)


@pytest.mark.parametrize("path", modules(SRC / "scale"), ids=lambda p: p.name)
def test_the_cluster_floor_knows_neither_hall_nor_door(path: Path) -> None:
    names = imports(path)
    for upper in ("api", "zyz_match.cli", "zyz_match.commands", "sqlalchemy"):
        assert not touches(names, upper)
    assert not [n for n in HALL if touches(names, f"zyz_match.{n}")]


@pytest.mark.parametrize("name", [n for n in HALL if n != "service"])
def test_a_desk_does_not_lean_on_the_whole_hall(name: str) -> None:
    assert not touches(imports(SRC / f"{name}.py"), "zyz_match.service")


def test_the_face_does_not_load_the_hall() -> None:
    assert not touches(imports(SRC / "__init__.py"), "zyz_match.service")


def test_the_face_is_sorted_and_complete() -> None:
    import zyz_match

    assert list(zyz_match.__all__) == sorted(zyz_match.__all__)
    assert all(hasattr(zyz_match, name) for name in zyz_match.__all__)
