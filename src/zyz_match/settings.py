"""Settings: one table of (name, default, help), read once at the door and handed down."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zyz_match.errors import InputError


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table: the environment variable, its default, and what it does."""

    name: str
    default: str
    help: str


SETTINGS: tuple[Setting, ...] = (
    Setting("ZYZ_HOME", "", "数据目录；空 = 源码检出时为检出目录下 .zyz，安装后为 ~/.zyz-match"),
    Setting("ZYZ_DATABASE_URL", "", "数据库地址；空 = 数据目录下的 SQLite 文件 zyz.db"),
    Setting("ZYZ_HOST", "127.0.0.1", "接口监听地址；本版本没有身份认证，只允许本机回环地址"),
    Setting("ZYZ_PORT", "8000", "接口监听端口"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process, resolved."""

    home: Path
    database_url: str
    host: str
    port: int

    @property
    def models(self) -> Path:
        """Folder of the trained models."""
        return self.home / "models"

    @property
    def index(self) -> Path:
        """Folder of the fitted indexes, which can be computed anew at any time."""
        return self.home / "index"

    @property
    def environment(self) -> dict[str, str]:
        """The variables from which a child process reads the same settings."""
        return {
            "ZYZ_HOME": str(self.home),
            "ZYZ_DATABASE_URL": self.database_url,
            "ZYZ_HOST": self.host,
            "ZYZ_PORT": str(self.port),
        }


def _default_home() -> Path:
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file() and (checkout / "src").is_dir():
        return checkout / ".zyz"
    return Path.home() / ".zyz-match"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment.

    Raises InputError for an unknown ZYZ_ variable or a port that is no port.
    """
    env = os.environ if environ is None else environ
    known = {s.name: s.default for s in SETTINGS}
    unknown = sorted(
        k for k in env if k.startswith("ZYZ_") and not k.startswith("ZYZ_TEST_") and k not in known
    )
    if unknown:
        raise InputError(f"不认识的设置：{'、'.join(unknown)}。可用的设置：{'、'.join(known)}。")
    value = {name: env.get(name) or default for name, default in known.items()}
    if not value["ZYZ_PORT"].isdecimal() or not 0 < int(value["ZYZ_PORT"]) < 65536:
        raise InputError(f"ZYZ_PORT 应为 1-65535 的整数，现为“{value['ZYZ_PORT']}”。")
    home = Path(value["ZYZ_HOME"]).expanduser() if value["ZYZ_HOME"] else _default_home()
    url = value["ZYZ_DATABASE_URL"] or f"sqlite:///{home / 'zyz.db'}"
    return Settings(home, url, value["ZYZ_HOST"], int(value["ZYZ_PORT"]))
