"""How long work says how far it is."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # what is going on, done, total


def silent(_what: str, _done: int, _total: int) -> None:
    """Progress for callers that show none."""
