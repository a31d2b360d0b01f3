"""A file that is sent: streamed to a folder of its own on disk, never held in memory."""

import hashlib
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from api import idempotency, strict_json
from api.problems import Refusal
from api.strict_route import Handler, StrictRequest, StrictRoute
from zyz_match.errors import StorageError
from zyz_match.imports_desk import check_file_name
from zyz_match.outputs import private_folder
from zyz_match.service import Service

FILE_NAME = "X-File-Name"
_MULTIPART, _RAW = b"multipart/form-data", b"application/octet-stream"
_MEGA = 1_000_000


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it lies on disk, alone in its folder."""

    path: Path
    digest: str  # sha256 of its bytes


class _Sink(Protocol):
    """What takes the body of a request part by part."""

    def feed(self, data: bytes) -> None:
        """Take a part."""

    def end(self) -> None:
        """Take note that there is no more."""

    def close(self) -> None:
        """Leave no file open, whatever happened."""


class _File:
    """A file being written, within the limit of its size."""

    def __init__(self, folder: Path, name: str, most: int) -> None:
        self.path, self._most, self._size = folder / name, most, 0
        self._digest = hashlib.sha256()
        self._out: BinaryIO = self.path.open("xb")

    def feed(self, data: bytes) -> None:
        """Write a part."""
        self._size += len(data)
        if self._size > self._most:
            raise _too_large(self._most)
        self._digest.update(data)
        self._out.write(data)

    def end(self) -> None:
        """Write out what is left."""
        self._out.flush()

    def close(self) -> None:
        """Close the file."""
        self._out.close()

    def upload(self) -> Upload:
        """The finished file."""
        if not self._size:
            raise Refusal(422, "empty_file", "文件是空的，请重新选择文件。")
        return Upload(self.path, self._digest.hexdigest())


class _Form:
    """A form with one file, as browsers and curl send it."""

    def __init__(self, boundary: bytes, folder: Path, most: int) -> None:
        self.file: _File | None = None
        self._whole = False
        self._folder, self._most = folder, most
        self._names, self._values = [bytearray()], [bytearray()]
        self._parser = MultipartParser(boundary, {
            "on_part_begin": self._begin, "on_header_field": self._header_name,
            "on_header_value": self._header_value, "on_header_end": self._header_end,
            "on_headers_finished": self._open, "on_part_data": self._data,
            "on_part_end": self._close, "on_end": self._finish,
        })  # fmt: skip

    def feed(self, data: bytes) -> None:
        """Parse a part of the body."""
        self._parser.write(data)

    def end(self) -> None:
        """Finish the form."""
        self._parser.finalize()
        if self.file is None:
            raise Refusal(422, "missing_file", "表单中没有文件，请用 file 字段发送一个文件。")
        if not self._whole:  # the parser does not mind
            raise Refusal(
                422, "invalid_form",
                "表单不完整：没有收到结尾的 boundary，文件可能只传了一部分。请重新发送整个文件。",
            )  # fmt: skip

    def close(self) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()

    def _begin(self) -> None:
        if self.file is not None:
            raise Refusal(422, "invalid_form", "表单中只能有一个 file 字段，一次发送一个文件。")
        self._names, self._values = [bytearray()], [bytearray()]

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._names[-1] += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._values[-1] += data[start:end]

    def _header_end(self) -> None:
        self._names.append(bytearray())
        self._values.append(bytearray())

    def _open(self) -> None:
        pairs = zip(self._names, self._values, strict=True)
        headers = {bytes(n).lower(): bytes(v) for n, v in pairs if n}
        _, options = parse_options_header(headers.get(b"content-disposition", b""))
        name = options.get(b"filename")
        if options.get(b"name") != b"file" or name is None:
            raise Refusal(
                422, "invalid_form", "表单中只能有一个 file 字段，其余选项写在查询参数里。"
            )
        self.file = _File(self._folder, _name(name), self._most)

    def _data(self, data: bytes, start: int, end: int) -> None:
        assert self.file is not None
        self.file.feed(data[start:end])

    def _close(self) -> None:
        assert self.file is not None
        self.file.end()

    def _finish(self) -> None:
        self._whole = True


def _name(raw: bytes) -> str:
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        raise Refusal(422, "invalid_encoding", "文件名不是 UTF-8，请改用 UTF-8 编码。") from None
    strict_json.check_text(name, "文件名")
    return check_file_name(name)


def _too_large(most: int) -> Refusal:
    return Refusal(
        413, "body_too_large",
        f"文件超过 {most // _MEGA:,} MB，请拆成几个文件，或由管理员调大 ZYZ_MAX_UPLOAD。",
    )  # fmt: skip


@asynccontextmanager
async def received(request: Request, service: Service) -> AsyncIterator[Upload]:
    """The file of a request; whoever keeps it moves its folder away before the end."""
    most = service.settings.max_upload
    declared = request.headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and int(declared[:18]) > most + _MEGA:
        raise _too_large(most)
    folder = service.settings.uploads / f"u-{secrets.token_hex(12)}"
    try:
        try:
            upload = await _written(request, folder, most)
        except OSError as error:
            raise StorageError(
                f"文件没有存下：{error.strerror}。请管理员检查数据目录的空间和权限后再发。"
            ) from error
        yield upload
    finally:
        await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)


async def _written(request: Request, folder: Path, most: int) -> Upload:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        kind = b""
    private_folder(folder)
    if kind == _MULTIPART and options.get(b"boundary"):
        form = _Form(options[b"boundary"], folder, most)
        await _stream(request, form)
        assert form.file is not None
        return form.file.upload()
    if kind == _RAW:
        name = unquote(request.headers.get(FILE_NAME, ""), errors="replace")
        file = _File(folder, _name(name.encode("utf-8", "replace")), most)
        await _stream(request, file)
        return file.upload()
    raise Refusal(
        415, "unsupported_media_type",
        f"请用 multipart/form-data 的 file 字段发送文件，或用 application/octet-stream 并在 "
        f"{FILE_NAME} 头写明文件名（百分号编码），不要压缩。",
    )  # fmt: skip


async def _stream(request: Request, sink: _Sink) -> None:
    try:
        async for part in request.stream():
            if part:
                await run_in_threadpool(sink.feed, part)
        await run_in_threadpool(sink.end)
    except MultipartParseError:
        raise Refusal(400, "bad_request", "表单格式有误，请检查 boundary 和内容。") from None
    finally:
        sink.close()


class UploadRoute(StrictRoute):
    """A route to which a file is sent; it finds the file in `request.state.upload`."""

    async def answer_once(
        self, request: StrictRequest, handle: Handler, *, takes_body: bool
    ) -> Response:
        """Receive the file first: a key stands for its name and content."""
        service: Service = request.app.state.service
        async with received(request, service) as upload:
            request.state.upload = upload
            content = f"{upload.digest} {upload.path.name}".encode()
            return await idempotency.once(request, content, lambda: self.respond(request, handle))
