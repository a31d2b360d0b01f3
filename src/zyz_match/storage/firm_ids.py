"""Which firm a text of an events, leads or truth file means: an id, a code or a name."""

from contextlib import suppress

from zyz_match.domain import Col
from zyz_match.storage.readers import FirmFile
from zyz_match.storage.values import BadValue
from zyz_match.storage.words import parse_stock_code, parse_uscc
from zyz_match.text import name_key, same_name

_PREFERRED = "truth"  # its spelling is the one a run is scored against


class FirmIds:
    """Look-up of firm ids; a name that two firms share names neither."""

    def __init__(self, firms: FirmFile | None) -> None:
        self._exact: dict[str, str] = {}
        self._names: list[dict[str, str | None]] = [{}, {}, {}]  # as written, same name, key
        self._spelling: dict[str, str] = {}
        self._best: dict[str, str] = {}
        if firms is None:
            return
        self._spelling = dict(firms.written_ids)
        for firm, written in firms.written_ids.items():
            self._exact[written] = firm
        frame = firms.frame
        for firm, name in zip(frame[Col.FIRM_ID], frame[Col.NAME], strict=True):
            self._exact[firm] = firm
            for table, key in zip(
                self._names, (name, same_name(name), name_key(name)), strict=True
            ):
                if key:
                    table[key] = firm if table.get(key, firm) == firm else None

    def __bool__(self) -> bool:
        return bool(self._exact)

    def find(self, text: str) -> str | None:
        """The firm_id that a text stands for, None when there is none or more than one."""
        if text in self._exact:
            return self._exact[text]
        for table, key in zip(self._names, (text, same_name(text), name_key(text)), strict=True):
            if key in table:
                return table[key]
        return self._by_code(text)

    def _by_code(self, text: str) -> str | None:
        codes = []
        with suppress(BadValue):
            codes.append(parse_uscc(text))
        with suppress(BadValue):
            codes.append(parse_stock_code(text)[0])
        return next((self._exact[c] for c in codes if c in self._exact), None)

    def note(self, text: str, source: str) -> str | None:
        """As `find`; remembers how the source writes the firm."""
        firm = self.find(text)
        if firm is not None and (source == _PREFERRED or firm not in self._best):
            self._best[firm] = text
        return firm

    def written(self) -> dict[str, str]:
        """firm_id -> the spelling of the files: of truth, else of any other, else of the firms."""
        return {**self._spelling, **self._best}
