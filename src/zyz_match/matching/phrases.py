"""The phrases of firms' texts, and the n-grams of every distinct phrase.

Business scopes repeat their phrases: texts are cut by Arrow and compiled loops, block by block,
and what is left to do is done once per distinct phrase of a block.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from zyz_match.domain import Col
from zyz_match.matching import counting
from zyz_match.matching.kernels import BLOCK
from zyz_match.matching.threads import in_order
from zyz_match.text import normalise

Ints = npt.NDArray[np.int64]
Whole = npt.NDArray[np.int32]
Keys = npt.NDArray[np.uint64]
Points = npt.NDArray[np.uint32]
Kinds = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_CONTROL_SPACE = "\x1c-\x1f"  # white space to Python; `normalise` drops it, so it ends no phrase
# wording that the registries put into every scope: it says nothing of the firm
_BOILERPLATE = (
    r"[(（【\[]?(?:除)?依法(?:须|需)经(?:相关部门)?批准的项目[^)）】\]。;；]*[)）】\]。;；]?"
    r"|(?:凭|持)(?:有效)?(?:营业执照|许可证)[^。;；)）]*"
    rf"|(?:一般|许可)(?:经营)?项目[{_SPACE}{_CONTROL_SPACE}]*[:：]?"
    rf"|经营范围[{_SPACE}{_CONTROL_SPACE}]*[:：]"
)
_LEGAL_FORM = r"(?:股份)?有限(?:责任)?公司|集团|股份|公司|分公司|农民专业合作社|专业合作社|合作社"
_LAST = r"|厂\n?\z"  # the end of a text is \Z to Python
_SIGNS = ';；、,，。.|/:：()（）[]【】“”"《》*'
_STROKED = "<>"  # each is another sign with a combining stroke after it, which separates nothing
_CUT = re.compile(f"[{_SPACE}{re.escape(_SIGNS)}]")
_SEPARATOR = re.compile(f"[{_SPACE}{re.escape(_SIGNS + _STROKED)}]+")
_POINTS = 0x110000
_BETWEEN = pa.scalar("；", pa.large_string())
_BOILERPLATE_HERE = re.compile(_BOILERPLATE)
_LEGAL_FORM_HERE = re.compile(_LEGAL_FORM + _LAST.replace("z", "Z"))


def phrases(scope: str, products: str, name: str) -> list[str]:
    """The phrases of one firm: products, business scope, name without its legal form."""
    own = _LEGAL_FORM_HERE.sub("", name)
    return _cut_up(f"{products}；{_BOILERPLATE_HERE.sub('；', scope)}；{own}")


@lru_cache(maxsize=4096)
def term_phrases(term: str) -> tuple[str, ...]:
    """The phrases of one profile term, cut as the firms' texts are."""
    return tuple(_cut_up(term))


def _cut_up(text: str) -> list[str]:
    return [phrase for part in _CUT.split(text) for phrase in _spell(part)]


@lru_cache(maxsize=1 << 15)
def _spell(part: str) -> tuple[str, ...]:
    """What stands between two separators in the spelling for matching; it may fall apart."""
    return tuple(p.lower() for p in _SEPARATOR.split(normalise(part)) if p)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The phrases of at most `BLOCK` firms, every distinct phrase once, as n-grams.

    Firm f has the phrases `ids[starts[f]:starts[f + 1]]`, repeats counted; phrase p has the n-grams
    `grams[gram_starts[p]:gram_starts[p + 1]]`, repeats counted, which are numbers in the order of
    first use, so that those of many firms are near by; n-gram g is `keys[place[g]]`.
    """

    starts: Ints  # (firms + 1,)
    ids: Whole  # (phrases,)
    gram_starts: Ints  # (distinct phrases + 1,)
    grams: Whole  # (occurrences,)
    place: Whole  # (distinct n-grams,)
    keys: Keys  # (distinct n-grams,) ascending, see `counting`
    users: Whole  # (distinct n-grams,) how many firms use each

    def __len__(self) -> int:
        """How many firms."""
        return len(self.starts) - 1

    def occurrences(self) -> int:
        """How many n-grams all texts have, repeats counted."""
        return int(np.diff(self.gram_starts)[self.ids].sum())

    def only(self, known: Flags) -> Self:
        """The same firms with some of the n-grams (by number); the others only keep their place."""
        kept = known[self.grams]
        return replace(
            self, grams=self.grams[kept], gram_starts=_before(kept)[self.gram_starts],
            users=self.users * known[np.argsort(self.place)],
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """The phrases of a firm table, in blocks of `BLOCK` firms."""

    blocks: tuple[Block, ...]

    def __len__(self) -> int:
        """How many firms."""
        return sum(map(len, self.blocks))

    def keys(self) -> Keys:
        """The distinct n-grams of all blocks, ascending."""
        keys = np.sort(np.concatenate([np.empty(0, np.uint64), *(b.keys for b in self.blocks)]))
        return keys[np.diff(keys, prepend=np.uint64(0)) > 0]  # many times faster than np.unique

    def grams(self) -> int:
        """How many n-grams all texts have, repeats counted."""
        return sum(b.occurrences() for b in self.blocks)


def _before(sizes: npt.NDArray[Any]) -> Ints:
    """The sum of all sizes before each place, and of all."""
    return np.append(0, np.cumsum(sizes, dtype=np.int64))


def cut(frame: pd.DataFrame) -> Cut:
    """The phrases of a firm table, two blocks at a time."""
    texts = [frame[c] for c in (Col.SCOPE, Col.PRODUCTS, Col.NAME)]
    parts = [[t.iloc[low : low + BLOCK] for t in texts] for low in range(0, len(frame), BLOCK)]
    return Cut(tuple(in_order(_cut, parts) if len(parts) > 1 else map(_cut, parts)))


def arrow_text(column: pd.Series) -> pa.LargeStringArray:
    """A text column as one Arrow array; missing text is empty."""
    array = pa.array(column, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return pc.fill_null(array.cast(pa.large_string()), "")


def _cut(texts: Sequence[pd.Series]) -> Block:
    scope, products, name = map(arrow_text, texts)
    scope = pc.replace_substring_regex(scope, _BOILERPLATE, "；")
    name = pc.replace_substring_regex(name, _LEGAL_FORM + _LAST, "")
    texts = pc.binary_join_element_wise(products, scope, name, _BETWEEN)
    starts, ids, parts = _parts(texts)
    gram_starts, grams, keys = _grams(*_spelled(*parts))
    users = np.zeros(len(keys), np.int32)
    counting.count_users(starts, ids, gram_starts, grams, users)
    order = np.argsort(keys)
    place = np.empty(len(keys), np.int32)
    place[order] = np.arange(len(keys), dtype=np.int32)
    return Block(starts, ids, gram_starts, grams, place, keys[order], users[order])


def _parts(texts: pa.LargeStringArray) -> tuple[Ints, Whole, tuple[Points, Ints, Kinds]]:
    """Where each text's parts between separators start, their numbers, and the distinct parts.

    These are code points, where each part's end, and whether it may be spelled otherwise.
    """
    ends, data = _buffers(texts)
    most = (len(data) + len(texts)) // 2 + 1
    starts, ids = np.empty(len(texts) + 1, np.int64), np.empty(most, np.int32)
    part_ends, strange = np.empty(most + 1, np.int64), np.empty(most, np.uint8)
    points = np.empty(len(data), np.uint32)
    found = counting.cut_texts(data, ends, _kinds(), starts, ids, part_ends, points, strange)
    part_ends = part_ends[: found + 1].copy()
    parts = points[: part_ends[-1]], part_ends, strange[:found]
    return starts, ids[: starts[-1]].copy(), parts


def _spelled(points: Points, part_ends: Ints, strange: Kinds) -> tuple[Points, Ints, Ints]:
    """Code points of phrases in the one spelling for matching, and where each begins and ends.

    A phrase that falls apart has NULs within.
    """
    starts, ends, odd = part_ends[:-1], part_ends[1:], np.flatnonzero(strange)
    if not len(odd):
        return points, starts, ends
    texts = [points[starts[p] : ends[p]].tobytes().decode("utf-32-le") for p in odd]
    others = ["\0".join(_spell(text)) for text in texts]
    more = np.frombuffer("".join(others).encode("utf-32-le"), np.uint32)
    behind = len(points) + _before(np.array([len(text) for text in others]))
    starts, ends = starts.copy(), ends.copy()
    starts[odd], ends[odd] = behind[:-1], behind[1:]
    return np.concatenate([points, more]), starts, ends


def _grams(points: Points, starts: Ints, ends: Ints) -> tuple[Ints, Whole, Keys]:
    """Where each phrase's n-grams start, their numbers by first use, and the keys of these."""
    gram_starts, keys = np.empty(len(starts) + 1, np.int64), np.empty(2 * len(points), np.uint64)
    grams = np.empty(2 * len(points), np.int32)
    distinct = counting.number_grams(points, starts, ends, gram_starts, grams, keys)
    return gram_starts, grams[: gram_starts[-1]].copy(), keys[:distinct]


def _buffers(texts: pa.LargeStringArray) -> tuple[Ints, npt.NDArray[np.uint8]]:
    """Where each text ends in its bytes, and the bytes."""
    _, ends, data = texts.buffers()
    own = np.frombuffer(ends, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    whole = np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)
    return own - own[0], whole[own[0] : own[-1]]


@lru_cache(maxsize=1)
def _kinds() -> Kinds:
    """Of every code point whether texts are cut there, or a text with it may be spelled otherwise.

    Texts are cut before they are normalised.
    """
    plain = [*map(chr, range(0x21, 0x7F)), *map(chr, range(0x3400, 0xA000))]
    found = np.full(_POINTS, counting.STRANGE, np.uint8)
    found[[ord(c) for c in plain if _spell(c) == (c,)]] = 0
    found[[ord(c) for c in map(chr, range(1 << 16)) if _CUT.match(c)]] = counting.SEPARATES
    return found
