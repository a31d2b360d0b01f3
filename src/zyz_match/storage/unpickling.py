"""Loading what joblib wrote, with an allow-list: nothing else is imported, called or run."""

import pickle
from collections.abc import Collection
from pathlib import Path
from typing import Any

from joblib.numpy_pickle import NumpyUnpickler

_ARRAYS = frozenset(
    {
        "joblib.numpy_pickle.NumpyArrayWrapper", "numpy.dtype", "numpy.ndarray",
        "numpy._core.multiarray._reconstruct", "numpy._core.multiarray.scalar",
    }
)  # fmt: skip


class _Unpickler(NumpyUnpickler):  # type: ignore[misc]  # joblib ships no types
    """Asks the list before it looks up a class; joblib's inner pickles ask it as well."""

    def __init__(self, path: Path, stream: object, allowed: Collection[str]) -> None:
        super().__init__(str(path), stream, ensure_native_byte_order=False, mmap_mode="r")
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        """The class of this name; UnpicklingError for one that is not on the list."""
        full = f"{module}.{name}"
        if full in _ARRAYS or full in self._allowed:
            return super().find_class(module, name)
        if any(_in_package(module, entry) for entry in self._allowed):
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"不在允许之列：{full}")


def _in_package(module: str, entry: str) -> bool:
    return entry.endswith(".*") and module.startswith(entry[:-1])


def load_allowed(path: Path, allowed: Collection[str]) -> Any:
    """What is in the file, its arrays mapped; UnpicklingError before anything else is loaded.

    `allowed` holds full names (`pandas.DataFrame`), and `package.*` for the classes that the
    modules of a package define themselves; plain containers and arrays need no mention.
    """
    with path.open("rb") as stream:
        return _Unpickler(path, stream, allowed).load()
