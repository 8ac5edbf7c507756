"""An HTTP proxy before one server that fails or waits when it is told to."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SECONDS_MAX = 60.0


class HttpProxy:
    """Passes requests on; `status` other than 0 answers with that one, after `delay_seconds`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path
        self.status = 0
        self.delay_seconds = 0.0
        self.failed = 0
        """Requests that were answered with `status`, or late."""
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._listener = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._listener.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        return int(self._listener.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self._path}"

    def __enter__(self) -> HttpProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._listener.server_close()

    def answer(self, method: str, path: str, body: bytes | None, kind: str) -> tuple[int, bytes]:
        """Status and body."""
        status, delay = self.status, self.delay_seconds
        self.failed += bool(status or delay)
        time.sleep(delay)
        if status:
            return status, b'{"error_code": 50001, "message": "told to fail"}'
        url = self._server + path
        request = urllib.request.Request(url, body, {"Content-Type": kind}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS_MAX) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read()


class _Handler(BaseHTTPRequestHandler):
    proxy: HttpProxy
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size) if size else None
        kind = self.headers.get("Content-Type", "application/json")
        status, answer = self.proxy.answer(self.command, self.path, body, kind)
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        except OSError:  # who asked has gone
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = _pass  # noqa: N815 - the server's names

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
