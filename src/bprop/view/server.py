"""Serves a page on this machine: on 127.0.0.1 only, and only to who knows the token."""

import errno
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..core.error import BpropError

HOST = "127.0.0.1"


class PageServer:
    """One page under an address with a token, ``url``; anything else gets 403. A context manager ends it.

    ``port`` 0 takes a free one. Raises `BpropError` where the port is taken or may not be used.

    >>> from urllib.request import urlopen
    >>> from bprop.view.server import PageServer
    >>> with PageServer("<p>a page</p>") as server:
    ...     with urlopen(server.url) as answer:
    ...         answer.read()
    b'<p>a page</p>'
    """

    def __init__(self, page: str, port: int = 0) -> None:
        self.token = secrets.token_urlsafe(24)
        body = page.encode("utf-8")
        try:
            self._server = ThreadingHTTPServer((HOST, port), self._handler(body))
        except OSError as error:
            raise BpropError(_reason(error, port)) from None
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.url = f"http://{HOST}:{self.port}/?token={self.token}"

    def _handler(self, body: bytes) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, text = outer._answer(self.path, self.headers.get("Host", ""), body)
                self.send_response(status)
                for name, value in _HEADERS.items():
                    self.send_header(name, value)
                kind = "text/html" if status == 200 else "text/plain"
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing: the terminal shows the address."""

        return Handler

    def _answer(self, path: str, host: str, body: bytes) -> tuple[int, bytes]:
        parts = urlsplit(path)
        (token,) = parse_qs(parts.query).get("token", [""])[:1]
        if host not in (
            f"{HOST}:{self.port}",
            f"localhost:{self.port}",
        ):  # a page elsewhere that points its name at this machine
            return 403, b"this server answers on 127.0.0.1 only\n"
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            return 403, b"the token is missing or wrong: open the address that the terminal shows\n"
        return (200, body) if parts.path == "/" else (404, b"there is one page here, at /\n")

    def run(self) -> None:
        """Answer until it is interrupted."""
        self._server.serve_forever(poll_interval=0.1)

    def __enter__(self) -> "PageServer":
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._server.server_close()


_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}


def _reason(error: OSError, port: int) -> str:
    free = "leave --port out, and a free one is taken"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {HOST} is taken: choose another with --port, or {free}"
    if error.errno == errno.EACCES:
        return f"port {port} on {HOST} may not be used by you (those below 1024 are the system's): {free}"
    return f"port {port} on {HOST} cannot be used ({error.strerror}): {free}"


__all__ = ["PageServer"]
