"""Settings: one table of (name, default, help), read once at the door and handed down."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from zyz_match.errors import InputError
from zyz_match.targets import Target, targets_of


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table: the environment variable, its default, and what it does."""

    name: str
    default: str
    help: str


SETTINGS: tuple[Setting, ...] = (
    Setting("ZYZ_HOME", "", "数据目录；空 = 源码检出时为检出目录下 .zyz，安装后为 ~/.zyz-match"),
    Setting("ZYZ_DATABASE_URL", "", "数据库地址；空 = 数据目录下的 SQLite 文件 zyz.db"),
    Setting("ZYZ_HOST", "127.0.0.1", "接口监听地址；启用身份认证之前只允许本机回环地址"),
    Setting("ZYZ_PORT", "8000", "接口监听端口"),
    Setting("ZYZ_MAX_UPLOAD", "200", "接口导入文件最大多少 MB"),
    Setting("ZYZ_AUTH", "auto", "身份认证：auto = 建了第一个账号或密钥起启用，on = 一直启用"),
    Setting("ZYZ_HOSTS", "", "除本机外，接口可用哪些域名或地址访问，逗号分隔；启用身份认证后有效"),
    Setting("ZYZ_OIDC_ISSUER", "", "统一身份认证（OIDC）的签发地址，空 = 不用"),
    Setting("ZYZ_OIDC_CLIENT_ID", "", "本系统在统一身份认证中的客户端编号（client_id）"),
    Setting("ZYZ_OIDC_CLIENT_SECRET", "", "本系统在统一身份认证中的客户端密钥"),
    Setting("ZYZ_WEBHOOK_TARGETS", "", "允许推送到哪里：主机:端口，逗号分隔；空 = 哪里也不推送"),
    Setting("ZYZ_WORKERS", "1", "接口进程数，一般取 CPU 核数"),
    Setting("ZYZ_RATE", "600/minute", "每个调用者在每个进程中的请求上限，off = 不限；本机自用不限"),
    Setting("ZYZ_DRAIN", "0", "停止时先报告未就绪、照常应答多少秒，再停止接受请求"),
    Setting("ZYZ_LOG", "auto", "日志格式：json、console，auto = 终端上 console，否则 json"),
    Setting("ZYZ_CONTACT_DAYS", "0", "联系人保存多少天，从导入之日算起；0 = 不自动删除"),
    Setting("ZYZ_HOOKS", "", "接收哪些系统推来的消息：YAML 文件的路径；空 = 不接收"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process, resolved."""

    home: Path
    database_url: str
    host: str
    port: int
    max_upload: int = 200_000_000  # bytes
    auth: str = "auto"
    hosts: tuple[str, ...] = ()  # besides loopback, lower case
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    targets: frozenset[Target] = frozenset()  # where webhooks may go
    hooks: Path | None = None  # the file of the systems that may call us
    workers: int = 1
    rate: str = "600/minute"  # or off
    drain: int = 0  # seconds
    log: str = "auto"  # json | console | auto
    contact_days: int = 0  # 0 keeps them

    @property
    def models(self) -> Path:
        """Folder of the trained models."""
        return self.home / "models"

    @property
    def uploads(self) -> Path:
        """Folder of the files that were sent and not yet imported, and of their refused rows."""
        return self.home / "uploads"

    @property
    def run(self) -> Path:
        """Folder of what running processes need between them, worth nothing once they end."""
        return self.home / "run"

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
            "ZYZ_MAX_UPLOAD": str(self.max_upload // 1_000_000),
            "ZYZ_AUTH": self.auth,
            "ZYZ_HOSTS": ",".join(self.hosts),
            "ZYZ_OIDC_ISSUER": self.oidc_issuer,
            "ZYZ_OIDC_CLIENT_ID": self.oidc_client_id,
            "ZYZ_OIDC_CLIENT_SECRET": self.oidc_client_secret,
            "ZYZ_WEBHOOK_TARGETS": ",".join(sorted(map(str, self.targets))),
            "ZYZ_HOOKS": str(self.hooks or ""),
            "ZYZ_WORKERS": str(self.workers),
            "ZYZ_RATE": self.rate,
            "ZYZ_DRAIN": str(self.drain),
            "ZYZ_LOG": self.log,
            "ZYZ_CONTACT_DAYS": str(self.contact_days),
        }


def default_home() -> Path:
    """The data folder unless ZYZ_HOME names another one."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file() and (checkout / "src").is_dir():
        return checkout / ".zyz"
    return Path.home() / ".zyz-match"


def database_of(home: Path) -> str:
    """The address of a data folder's own database."""
    path = str(home / "zyz.db").replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{path}"


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
    home = Path(value["ZYZ_HOME"]).expanduser() if value["ZYZ_HOME"] else default_home()
    url = value["ZYZ_DATABASE_URL"] or database_of(home)
    return Settings(
        home, url, value["ZYZ_HOST"], int(value["ZYZ_PORT"]),
        max_upload=_megabytes(value["ZYZ_MAX_UPLOAD"]),
        auth=_auth(value["ZYZ_AUTH"]),
        hosts=_hosts(value["ZYZ_HOSTS"]),
        oidc_issuer=_issuer(value),
        oidc_client_id=value["ZYZ_OIDC_CLIENT_ID"],
        oidc_client_secret=value["ZYZ_OIDC_CLIENT_SECRET"],
        targets=targets_of(value["ZYZ_WEBHOOK_TARGETS"]),
        hooks=Path(value["ZYZ_HOOKS"]).expanduser() if value["ZYZ_HOOKS"] else None,
        workers=_whole(value, "ZYZ_WORKERS", 1, 64),
        rate=_rate(value["ZYZ_RATE"]),
        drain=_whole(value, "ZYZ_DRAIN", 0, 300),
        log=_log(value["ZYZ_LOG"]),
        contact_days=_whole(value, "ZYZ_CONTACT_DAYS", 0, 36_500),
    )  # fmt: skip


def _whole(value: Mapping[str, str], name: str, low: int, high: int) -> int:
    text = value[name]
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and low <= int(text) <= high):
        raise InputError(f"{name} 应为 {low}-{high} 的整数，现为“{text}”。")
    return int(text)


def _rate(text: str) -> str:
    if text != "off" and not re.fullmatch(r"[1-9]\d{0,8}/(second|minute|hour)", text):
        raise InputError(f"ZYZ_RATE 应为 off 或形如 600/minute（秒为 second），现为“{text}”。")
    return text


def _log(text: str) -> str:
    if text not in ("auto", "json", "console"):
        raise InputError(f"ZYZ_LOG 应为 auto、json 或 console，现为“{text}”。")
    return text


def _megabytes(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:9]) <= 100_000):
        raise InputError(f"ZYZ_MAX_UPLOAD 应为 1-100000 的整数（MB），现为“{text}”。")
    return int(text) * 1_000_000


def _auth(text: str) -> str:
    if text not in ("auto", "on"):
        raise InputError(f"ZYZ_AUTH 应为 auto 或 on，现为“{text}”。")
    return text


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(h.strip().lower() for h in text.split(",") if h.strip())
    for host in hosts:
        if not re.fullmatch(r"[a-z0-9.-]+|\[[0-9a-f:.]+\]", host):
            raise InputError(f"ZYZ_HOSTS 只写域名或地址，不写协议和端口，现有“{host}”。")
    return hosts


def _issuer(value: Mapping[str, str]) -> str:
    issuer = value["ZYZ_OIDC_ISSUER"].rstrip("/")
    parts = urlsplit(issuer)
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if issuer and not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise InputError("ZYZ_OIDC_ISSUER 应为 https:// 开头的地址。")
    if issuer and not (value["ZYZ_OIDC_CLIENT_ID"] and value["ZYZ_OIDC_CLIENT_SECRET"]):
        raise InputError("用统一身份认证须同时设置 ZYZ_OIDC_CLIENT_ID 和 ZYZ_OIDC_CLIENT_SECRET。")
    return issuer
