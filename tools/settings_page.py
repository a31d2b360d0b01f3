"""Writes docs/settings.md from the one table of settings: `python tools/settings_page.py`."""

from pathlib import Path

from zyz_match.settings import SETTINGS

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
HEAD = """# 设置

全部用环境变量设置，启动时读一次；写错名字或值会拒绝启动并说明原因。
`zyz-match settings` 显示现值和来自哪里。

本页由 `python tools/settings_page.py` 从 `src/zyz_match/settings.py` 的同一张表生成，请勿手改。

| 设置 | 默认 | 含义 |
|---|---|---|
"""


def page() -> str:
    """The page as it should be."""
    rows = (
        f"| `{s.name}` | {f'`{s.default}`' if s.default else ''} | {s.help} |" for s in SETTINGS
    )
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
