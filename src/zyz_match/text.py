"""Chinese text made comparable: one spelling for matching, one key for a company name."""

import re
import unicodedata
from functools import lru_cache

import opencc

_HAN_BLOCKS = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x323B0))
# C0 and C1 controls but for tab, line feed and return; zero-width signs; surrogates; the BOM
_CONTROL = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064"
    "\ud800-\udfff\ufeff\ufff9-\ufffb]"
)
_LOOSE = re.compile(r"^\s|\s$|[^\S ]|\s{2}")
_SPACES = re.compile(r"\s+")
_BRACKETS = str.maketrans("[]{}<>〔〕【】〖〗〈〉《》「」『』", "()" * 10)
_BESIDE_HAN = re.compile(r"(?<=[\u3400-\u9fff()]) | (?=[\u3400-\u9fff()])")


@lru_cache(maxsize=1)
def _converter() -> opencc.OpenCC:
    return opencc.OpenCC("t2s")


@lru_cache(maxsize=1)
def _traditional() -> frozenset[str]:
    """Every character that OpenCC changes; text without any of them needs no conversion."""
    every = "\n".join(chr(i) for low, high in _HAN_BLOCKS for i in range(low, high))
    simple = _converter().convert(every).split("\n")
    return frozenset(a for a, b in zip(every.split("\n"), simple, strict=True) if a != b)


def has_controls(text: str) -> bool:
    """Whether a text holds signs that print nothing: controls, zero-width signs, surrogates."""
    return _CONTROL.search(text) is not None


def tidy(text: str) -> str:
    """The same text without control characters, with single spaces and none at the ends."""
    if text.isprintable() and not _LOOSE.search(text):
        return text
    return _SPACES.sub(" ", _CONTROL.sub("", text)).strip()


def normalise(text: str) -> str:
    """One spelling for matching: NFKC, simplified characters, no controls, single spaces."""
    if not text.isascii():
        if not text.isprintable():
            text = _CONTROL.sub("", text)  # one may stand between a letter and its accent
        if not unicodedata.is_normalized("NFKC", text):
            text = unicodedata.normalize("NFKC", text)
        if not _traditional().isdisjoint(text):
            text = _converter().convert(text)
    return tidy(text)


@lru_cache(maxsize=1)
def _spellings() -> dict[str, str]:
    """The signs that are one sign to `normalise`, whatever their case, by that sign."""
    found: dict[str, str] = {}
    for sign in map(chr, range(0x20, 0x10000)):
        one = normalise(sign).lower() or " " * sign.isspace()
        if len(one) == 1:
            found[one] = found.get(one, "") + sign
    return found


def pattern_of(text: str) -> str:
    """A regular expression of RE2 that finds a text in every spelling of its signs."""
    known = _spellings()
    classes = (
        "".join(f"\\x{{{ord(c):X}}}" for c in known.get(sign, sign))
        for sign in normalise(text).lower()
    )
    return "".join(f"[{signs}]" for signs in classes)


def same_name(name: str) -> str:
    """A company name as its writer would call it unchanged.

    Width, brackets, traditional characters and spaces beside Chinese characters do not count;
    letter case and spaces between Latin words do.
    """
    return _BESIDE_HAN.sub("", normalise(name).translate(_BRACKETS))


def name_key(name: str) -> str:
    """A company name as a key: as `same_name`, without any space, case folded."""
    return _SPACES.sub("", same_name(name)).casefold()
