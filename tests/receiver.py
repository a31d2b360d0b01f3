"""A receiver of webhooks on this machine, which answers as the test decides and keeps a log."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Answer = tuple[int, dict[str, str], bytes]
TAKEN: Answer = (204, {}, b"")


@dataclass
class Receiver:
    """What came, in order, and what was answered."""

    port: int = 0
    decide: Callable[[dict[str, Any]], Answer] = lambda body: TAKEN
    log: list[tuple[dict[str, str], bytes, int]] = field(default_factory=list)  # headers, body
    check: Callable[[dict[str, str], bytes], object] = lambda headers, body: None
    faults: list[str] = field(default_factory=list)  # what `check` raised
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def bodies(self, status: int | None = None) -> list[dict[str, Any]]:
        """The messages that came, or those that got this answer."""
        with self.lock:
            return [json.loads(b) for _, b, s in self.log if status in (None, s)]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver that takes everything until it is told otherwise."""
    found = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            if len(body := self.rfile.read(length)) < length:  # its sender was killed
                self.close_connection = True
                return
            sent = {k.lower(): v for k, v in self.headers.items()}
            try:
                found.check(sent, body)
            except Exception as error:
                found.faults.append(repr(error))
            with found.lock:  # what was decided is what was taken, whoever is still listening
                status, headers, content = found.decide(json.loads(body))
                found.log.append((sent, body, status))
            try:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                self.close_connection = True  # the sender is gone

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a sender that was killed

    server = Server(("127.0.0.1", 0), Handler)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
