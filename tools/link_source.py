"""Make a checkout importable in its environment, and give it the `zyz-match` command.

Does by two files what an editable install does, without a build backend: a .pth file that names
`src` and the checkout (for `api`), and a launcher beside the interpreter. Safe for any path.
"""

import os
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write both files into the running environment."""
    site = Path(sysconfig.get_path("purelib"))
    # as bytes: a plain Chinese path in a .pth stops Python itself under an ASCII locale
    paths = [os.fsencode(p) for p in (ROOT / "src", ROOT)]
    line = f"import os, sys; sys.path.extend(os.fsdecode(p) for p in {paths!r})\n"
    (site / "zyz_match_checkout.pth").write_text(line, encoding="ascii")
    launcher = Path(sysconfig.get_path("scripts")) / "zyz-match"
    launcher.write_text(
        '#!/bin/sh\nexec "$(dirname "$(readlink -f "$0")")/python" -X utf8 -m zyz_match "$@"\n',
        encoding="utf-8",
    )
    launcher.chmod(0o755)


if __name__ == "__main__":
    main()
