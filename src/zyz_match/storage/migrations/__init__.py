"""The history of the tables; `HEAD` is the newest revision."""

from pathlib import Path

FOLDER = Path(__file__).parent
HEAD = "0006"
VERSION_TABLE = "zyz_version"
