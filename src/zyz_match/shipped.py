"""Where the data that comes with the package lies."""

from pathlib import Path


def data_folder() -> Path:
    """The folder of shipped data: inside the installed package, else that of the checkout."""
    here = Path(__file__).resolve()
    installed = here.parent / "data"
    return installed if installed.is_dir() else here.parents[2] / "data"
