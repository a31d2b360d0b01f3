"""Files that are no firm table: refused whole, with a Chinese message that says the cure."""

import os
import zipfile
from pathlib import Path

import pytest
import xlsxwriter

from tests.readers import exports as make
from zyz_match.domain import Col
from zyz_match.errors import FileError
from zyz_match.storage import sheets, workbooks
from zyz_match.storage.readers import read_firms

ROWS = make.tyc_rows([make.firm(1), make.firm(2)])


def refusal(path: Path) -> str:
    with pytest.raises(FileError) as caught:
        read_firms(path)
    assert caught.value.message.endswith(("。", "？", "）", "，"))
    return caught.value.message


def test_a_missing_file_offers_the_nearest_names(tmp_path: Path) -> None:
    make.write_csv(tmp_path / "企业名单2024.csv", ROWS)
    assert "企业名单2024.csv" in refusal(tmp_path / "企业名单2023.csv")
    assert "文件夹" in refusal(tmp_path / "没有" / "a.csv")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "文件夹" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "空文件"), (b"%PDF-1.7 synthetic", "PDF"), (b"\x89PNG\r\n\x1a\n", "图片"),
        (b"\x7fELF\0\0\0\0", "程序"), (b"\0\1\2\3" * 100, "二进制"), (b"\n\n \n", "空表"),
        ("公司,别的\n".encode("utf-16-le"), "二进制"), (b"PK\x03\x04 broken", "损坏"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 600, "Excel"),
        ("<html><table><tr><td>企业名称</td></tr></table></html>".encode(), "另存为"),
        ('[{"企业名称": "合成甲"}]'.encode(), "JSON"), ("{坏}\n".encode(), "第 1 行"),
        ('{"企业名称": "合成甲"}\n[1]\n'.encode(), "第 2 行"),
        ("企业名称,注册资本\n".encode(), "只有表头"), ("城市,人口\n甲,1\n".encode(), "企业名称列"),
        ("企业名称\n\n  \n".encode(), "只有表头"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_says_what_it_is(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "a.xls"
    path.write_bytes(content)
    assert word in refusal(path)


def test_without_a_name_column_the_headers_found_are_listed(tmp_path: Path) -> None:
    path = make.write_csv(tmp_path / "a.csv", [["注册资本", "甲列", "成立日期"], ["1", "2", "3"]])
    message = refusal(path)
    for word in ("注册资本", "甲列", "企业名称", "统一社会信用代码"):
        assert word in message


def test_mixed_charsets_name_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        "企业名称,经营范围\n合成甲,铸件加工和机械制造\n".encode()
        + "合成乙,铸件加工和机械制造\n".encode("gb18030")
    )
    message = refusal(path)
    assert "第 3 行不是 UTF-8" in message
    assert "第 1 行" in message or "第 2 行" in message
    path.write_bytes("企业名称\n合成甲\n".encode() + b"\xff\xff\xff\n")
    assert "第 3 行" in refusal(path)


def test_a_broken_bom_file_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "企业名称\n合成甲\n".encode() + b"\xff\n")
    assert "第 3 行" in refusal(path)


def test_an_unclosed_quote_names_the_line(tmp_path: Path) -> None:
    rows = "".join(f"合成{n}号,x\n" for n in range(300))
    (tmp_path / "a.csv").write_text(f'企业名称,经营范围\n合成甲,"没有结束\n{rows}', "utf-8")
    message = refusal(tmp_path / "a.csv")
    assert "引号" in message
    assert "第 2 行" in message


def test_too_many_columns(tmp_path: Path) -> None:
    wide = ["企业名称", *(f"列{n}" for n in range(2_000))]
    assert "2000 列" in refusal(make.write_csv(tmp_path / "a.csv", [wide, ["合成甲"] * 2_001]))
    assert "2000 列" in refusal(make.write_xlsx(tmp_path / "a.xlsx", {"a": [wide]}))


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "LARGEST_FILE", 10)
    assert "上限" in refusal(make.write_csv(tmp_path / "a.csv", ROWS))


def test_a_zip_bomb_is_refused_by_its_directory(tmp_path: Path) -> None:
    path = make.write_xlsx(tmp_path / "a.xlsx", {"a": ROWS})
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/worksheets/bomb.xml", "w", force_zip64=True) as bomb,
    ):
        for _ in range(201):
            bomb.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    assert "上限" in refusal(path)


def test_a_zip_of_too_many_members(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(2_001):
            archive.writestr(f"{number}.csv", "")
    assert "2001" in refusal(tmp_path / "a.zip")


def test_zips_that_hold_no_table(tmp_path: Path) -> None:
    inner = make.write_csv(tmp_path / "a.csv", ROWS)
    with zipfile.ZipFile(tmp_path / "inner.zip", "w") as archive:
        archive.write(inner, "a.csv")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.write(tmp_path / "inner.zip", "inner.zip")
    assert "压缩包" in refusal(tmp_path / "outer.zip")
    with zipfile.ZipFile(tmp_path / "hidden.zip", "w") as archive:
        archive.write(tmp_path / "inner.zip", "a.csv")
    assert "压缩包" in refusal(tmp_path / "hidden.zip")
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("a.docx", "x")
    assert "没有表格" in refusal(tmp_path / "none.zip")
    with zipfile.ZipFile(tmp_path / "word.docx", "w") as archive:
        archive.writestr("[Content_Types].xml", "x")
        archive.writestr("word/document.xml", "x")
    assert "Word" in refusal(tmp_path / "word.docx")


def test_an_encrypted_zip_and_workbook(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "企业名称\n合成甲\n")
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag in the local header and in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(data))
    assert "密码" in refusal(path)
    book = tmp_path / "a.xlsx"
    signature = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    book.write_bytes(signature + bytes(600) + "EncryptedPackage".encode("utf-16-le") + bytes(600))
    assert "密码" in refusal(book)


def huge_sheet(path: Path, last: str) -> Path:
    """A workbook of a few kilobytes whose one far cell makes a parser reserve the whole range."""
    make.write_xlsx(path, {"a": [["企业名称"], ["合成甲"]]})
    with zipfile.ZipFile(path) as archive:
        parts = {n: archive.read(n) for n in archive.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    row = "".join(c for c in last if c.isdigit())
    far = f'<row r="{row}"><c r="{last}"><v>1</v></c></row></sheetData>'.encode()
    parts["xl/worksheets/sheet1.xml"] = sheet.replace(b"</sheetData>", far)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("last", ["XFD1048576", "ALL1048576"])
def test_a_tiny_workbook_that_would_take_all_memory(tmp_path: Path, last: str) -> None:
    message = refusal(huge_sheet(tmp_path / "a.xlsx", last))
    assert "列的上限" in message or "用尽" in message


def test_a_parser_that_runs_too_long_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "WALL_SECONDS", 0.001)
    assert "已停止" in refusal(make.write_xlsx(tmp_path / "a.xlsx", {"a": ROWS}))


def test_a_parser_that_takes_too_much_memory_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "MEMORY", 16 << 20)
    assert "用尽" in refusal(make.write_xlsx(tmp_path / "a.xlsx", {"a": ROWS}))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = make.write_csv(tmp_path / "a.csv", ROWS)
    path.chmod(0)
    assert "权限" in refusal(path)


def test_merged_cells_are_mentioned(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(str(tmp_path / "a.xlsx")) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["企业名称", "所属省份"])
        sheet.write_column(1, 0, ["合成甲", "合成乙", "合成丙", "合成丁"])
        sheet.merge_range(1, 1, 2, 1, "山西省")
        sheet.merge_range(3, 1, 4, 1, "浙江省")
    found = read_firms(tmp_path / "a.xlsx")
    assert list(found.frame[Col.PROVINCE]) == ["山西省", "", "浙江省", ""]
    assert any("合并单元格" in w for w in found.warnings)


def test_blank_rows_and_repeated_headers_count_as_rows_but_not_as_firms(tmp_path: Path) -> None:
    rows = [
        ["企业名称", "参保人数"],
        [],
        ["合成甲", "1"],
        ["企业名称", "参保人数"],
        ["合成乙", "-1"],
    ]
    found = read_firms(make.write_csv(tmp_path / "a.csv", rows))
    assert found.rows == 2
    assert list(found.rejects["行号"]) == [5]
