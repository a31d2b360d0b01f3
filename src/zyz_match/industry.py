"""The industries of GB/T 4754-2017 as a tree: finding a code in free text, how near two codes are.

Levels: 1 section 门类 (``C``), 2 division 大类 (``33``), 3 group 中类 (``339``), 4 class 小类
(``3391``). Codes are strings as the standard prints them, without the section letter.
"""

import csv
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from zyz_match.shipped import data_folder

LEVELS = 4
_COARSE_SHARE = 0.5
_IGNORED = re.compile(r"[\s、,，/／·・．.。()（）\[\]【】\"'“”]+")
_SEPARATORS = re.compile(r"[-—–―~→>»|｜:：;；\\]+")
_CODE_THEN_NAME = re.compile(r"([A-Ta-t]?)\s*(\d{0,4})(?:\.0+)?(?!\d)(.*)", re.DOTALL)


class IndustryTree:
    """All sections, divisions, groups and classes; asking about an unknown code is a KeyError.

    Parameters
    ----------
    rows
        ``(code, name, parent)`` of every node, parents of any order; the parent of a section is "".
    """

    def __init__(self, rows: Iterable[tuple[str, str, str]]) -> None:
        self._name: dict[str, str] = {}
        self._parent: dict[str, str] = {}
        self._children: dict[str, list[str]] = {}
        for code, name, parent in rows:
            self._name[code] = name
            self._parent[code] = parent
            self._children.setdefault(parent, []).append(code)
        self._path = {code: self._line(code) for code in self._name}
        self._full = {code: self._path[self._only_heir(code)] for code in self._name}
        self._exact = self._by_key(_key)
        self._loose = self._by_key(_loose_key)

    @classmethod
    def read(cls, path: Path) -> "IndustryTree":
        """The tree of a CSV file with the columns code, name and parent."""
        with path.open(encoding="utf-8-sig", newline="") as file:
            return cls((r["code"], r["name"], r["parent"]) for r in csv.DictReader(file))

    @classmethod
    def shipped(cls) -> "IndustryTree":
        """The tree that comes with the package, read once."""
        return _shipped()

    def __contains__(self, code: object) -> bool:
        """Whether this is a code of the standard, exactly as printed."""
        return code in self._name

    def __len__(self) -> int:
        """How many codes there are, of all levels."""
        return len(self._name)

    def name(self, code: str) -> str:
        """The official name of a code."""
        return self._name[code]

    def parent(self, code: str) -> str | None:
        """The code one level up; None for a section."""
        return self._parent[code] or None

    def level(self, code: str) -> int:
        """1 for a section, 2 a division, 3 a group, 4 a class."""
        return len(self._path[code])

    def ancestors(self, code: str) -> tuple[str, ...]:
        """The code itself, its parent and so on up to the section."""
        return self._path[code][::-1]

    def children(self, code: str) -> tuple[str, ...]:
        """The codes one level down, in the order of the standard."""
        self._path[code]
        return tuple(self._children.get(code, ()))

    def codes(self, level: int | None = None) -> tuple[str, ...]:
        """All codes, or those of one level, in the order of the standard."""
        return tuple(c for c in self._name if level is None or self.level(c) == level)

    def find(self, text: str | None) -> str | None:
        """The code that a text means, or None; never a guess by partial similarity.

        Accepts a code of any level with or without its section letter (``C``, ``33``, ``C3391``,
        ``3391.0``), a name of any level (signs, spaces, full or half width and a final 业 do not
        matter), both together (``C3391 黑色金属铸造``) and a path
        (``制造业-金属制品业-黑色金属铸造``), of which the deepest part that resolves counts, the
        first of several equally deep.

        A name that occurs at two levels means the deeper one. Where code and name disagree the name
        wins, because registries still print codes of the 2011 edition beside names. Digits alone
        are taken as written: ``111`` is group 111, though Excel may have made it of class 0111;
        only a section letter that fits no other way (``A111``) brings back a lost leading zero. A
        letter of another section (``A3391``) makes a code void.
        """
        if text is None:
            return None
        whole = unicodedata.normalize("NFKC", str(text)).strip()
        return self._one(whole) or self._deepest(_SEPARATORS.split(whole))

    def nearness(self, a: str, b: str) -> float:
        """How near two codes are, from 0 (other sections) to 1 (the same), symmetric.

        With ``d`` the level of the deepest common ancestor, two codes that part below it score
        ``d / 4``: .25 in one section, .5 in one division, .75 in one group. If one *is* an ancestor
        of the other, nothing says that they differ, only that one is known less well: it scores
        ``d / 4 + 0.5 / 4``, half a step more, below any pair with a deeper common ancestor. Equal
        codes score 1. A code with a single child counts as that child (134 is 1340, P is 83).
        """
        return _closeness(self._full[a], self._full[b])

    def path(self, code: str) -> tuple[str, ...]:
        """The line from the section down to a code, as `nearness` takes it."""
        return self._full[code]

    def nearness_to_any(self, code: str, codes: Iterable[str]) -> float:
        """The nearness to the nearest of some codes; 0 if there are none."""
        return max(self.row(code, tuple(codes)), default=0.0)

    def row(self, code: str, targets: Sequence[str]) -> list[float]:
        """The nearness of one code to each of many, in their order."""
        path = self._full[code]
        return [_closeness(path, self._full[target]) for target in targets]

    def _line(self, code: str) -> tuple[str, ...]:
        line = [code]
        while self._parent[line[-1]]:
            line.append(self._parent[line[-1]])
        return tuple(line[::-1])

    def _only_heir(self, code: str) -> str:
        while len(self._children.get(code, ())) == 1:
            code = self._children[code][0]
        return code

    def _by_key(self, key_of: Callable[[str], str]) -> Mapping[str, str]:
        """Key of a name -> its deepest code, where all codes with that key lie on one line."""
        found: dict[str, str] = {}
        torn: set[str] = set()
        for code in sorted(self._name, key=lambda c: len(self._path[c])):
            key = key_of(self._name[code])
            if key in found and found[key] not in self._path[code]:
                torn.add(key)
            found[key] = code
        return {key: code for key, code in found.items() if key not in torn}

    def _named(self, text: str) -> str | None:
        return self._exact.get(_key(text)) or self._loose.get(_loose_key(text))

    def _coded(self, letter: str, digits: str) -> str | None:
        if not digits:
            return letter if letter in self._name else None
        for code in (digits, "0" + digits) if letter else (digits,):
            if code in self._name and letter in ("", self._path[code][0]):
                return code
        return None

    def _one(self, text: str) -> str | None:
        """The code of a single name, code, or code followed by a name."""
        by_name = self._named(text)
        match = _CODE_THEN_NAME.fullmatch(text)
        if by_name or match is None:
            return by_name
        letter, digits, rest = match.group(1).upper(), match.group(2), match.group(3)
        after = self._named(rest) if _key(rest) else None
        if after is None and _key(rest) and not digits:
            return None
        return after or self._coded(letter, digits)

    def _deepest(self, parts: Iterable[str]) -> str | None:
        best: str | None = None
        for code in map(self._one, parts):
            if code and (best is None or self.level(code) > self.level(best)):
                best = code
        return best


@cache
def _shipped() -> IndustryTree:
    return IndustryTree.read(data_folder() / "reference" / "gbt4754_2017.csv")


def _key(name: str) -> str:
    return _IGNORED.sub("", unicodedata.normalize("NFKC", name))


def _loose_key(name: str) -> str:
    return _key(name).removesuffix("业")


def _closeness(a: tuple[str, ...], b: tuple[str, ...]) -> float:
    depth = 0
    for mine, other in zip(a, b, strict=False):
        if mine != other:
            break
        depth += 1
    return shared(depth, len(a), len(b))


def shared(depth: int, one: int, other: int) -> float:
    """The nearness of codes at two levels that have their first `depth` levels in common."""
    if depth == one == other:
        return 1.0
    return (depth + _COARSE_SHARE if depth == min(one, other) else depth) / LEVELS
