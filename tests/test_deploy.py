"""The files in deploy/: what they forbid, the program does not need; what they say, it knows."""

import re
from pathlib import Path

from zyz_match.settings import SETTINGS, load_settings

FOLDER = Path(__file__).parents[1] / "deploy"
UNIT = (FOLDER / "zyz-match.service").read_text("utf-8")
NGINX = (FOLDER / "nginx.conf").read_text("utf-8")
IMAGE = (FOLDER / "Containerfile").read_text("utf-8")


def directives() -> list[tuple[str, str]]:
    lines = [line for line in UNIT.splitlines() if "=" in line and not line.startswith("#")]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def given(name: str) -> list[str]:
    return [value for n, value in directives() if n == name]


def statements() -> list[tuple[int, str]]:
    """Each directive of the proxy with the number of braces around it."""
    found, depth = [], 0
    bare = re.sub(r"#.*", "", NGINX)
    for text, end in re.findall(r"((?:'[^']*'|[^;{}'])*)([;{}])", bare):
        if text.strip():
            found.append((depth, " ".join(text.split())))
        depth += {"{": 1, "}": -1, ";": 0}[end]
    assert depth == 0
    return found


def test_the_unit_denies_no_system_call_that_numpy_and_the_worker_make() -> None:
    denied = " ".join(v for v in given("SystemCallFilter") if v.startswith("~"))
    assert "@resources" not in denied  # mbind of OpenBLAS, setpriority of os.nice
    assert given("SystemCallErrorNumber") == ["EPERM"]  # a refusal, not the end of the service


def test_the_unit_lets_numba_compile_and_sockets_be_opened() -> None:
    assert "MemoryDenyWriteExecute" not in dict(directives())
    assert {"AF_INET", "AF_INET6", "AF_UNIX"} <= set(given("RestrictAddressFamilies")[0].split())


def test_what_the_unit_writes_lies_in_its_own_folder() -> None:
    set_to = dict(v.split("=", 1) for v in given("Environment"))
    folder = f"/var/lib/{given('StateDirectory')[0]}"
    assert set_to["ZYZ_HOME"] == folder
    assert Path(set_to["NUMBA_CACHE_DIR"]).parent == Path(folder)
    assert (given("StateDirectoryMode"), given("UMask")) == (["0700"], ["0077"])
    load_settings(set_to)


def test_the_settings_of_the_image_are_known() -> None:
    named = set(re.findall(r"\bZYZ_[A-Z_]+(?==)", IMAGE))
    assert named
    assert named <= {s.name for s in SETTINGS}


def test_the_proxy_keeps_to_where_nginx_allows_its_directives() -> None:
    for depth, text in statements():
        if text.split()[0] in ("log_format", "limit_conn_zone", "upstream"):
            assert depth == 0, text
    assert "server_name match.example.gov.cn" in [text for depth, text in statements() if depth]


def test_the_proxy_takes_what_the_service_takes() -> None:
    sizes = [int(n) for n in re.findall(r"client_max_body_size\s+(\d+)m;", NGINX)]
    assert sizes == [1, int(next(s.default for s in SETTINGS if s.name == "ZYZ_MAX_UPLOAD"))]


def test_every_way_to_the_service_says_who_asks_for_which_host() -> None:
    ways = re.findall(r"location [^{]*{([^}]*)}", NGINX)
    asked = [way for way in ways if "proxy_pass" in way and "access_log off" not in way]
    assert len(asked) == 2
    for way in asked:
        for header in ("Host $host", "X-Forwarded-For $remote_addr", "X-Forwarded-Proto $scheme"):
            assert f"proxy_set_header {header};" in way
