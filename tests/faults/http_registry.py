"""A schema registry in memory behind Confluent's HTTP API, which can be away."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from cdc.errors import RegistryError
from cdc.testing import MemoryRegistry

AWAY, UNKNOWN, NO_SCHEMA, NO_SUBJECT = 503, 404, 40403, 40401


class HttpRegistry:
    """What capture and a reader of its events ask of one."""

    def __init__(self) -> None:
        self._schemas, self._turn = MemoryRegistry(), threading.Lock()
        self.is_away = False
        handler = type("Handler", (_Handler,), {"registry": self})
        self._listener = _Listener(("127.0.0.1", 0), handler)
        self.port = int(self._listener.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> HttpRegistry:
        threading.Thread(target=self._listener.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._listener.server_close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """It answers nobody in the block."""
        self.is_away = True
        yield
        self.is_away = False

    def answer(self, path: str, body: bytes | None) -> tuple[int, Any]:
        """Status and JSON value."""
        if self.is_away:
            return AWAY, {"error_code": AWAY, "message": "told to be away"}
        path = path.partition("?")[0]
        with self._turn:
            if body is not None and (found := re.fullmatch("/subjects/(.+)/versions", path)):
                schema = json.loads(json.loads(body)["schema"])
                return 200, {"id": self._schemas.register(unquote(found[1]), schema)}
            if path == "/subjects":
                return 200, self._schemas.subjects()
            if found := re.fullmatch(r"/schemas/ids/(\d+)", path):
                return self._schema(int(found[1]))
            if found := re.fullmatch("/subjects/(.+)/versions", path):
                numbers = range(1, len(self._schemas.versions(unquote(found[1]))) + 1)
                return (200, list(numbers)) if numbers else _unknown(NO_SUBJECT)
            if found := re.fullmatch(r"/subjects/(.+)/versions/(\d+)", path):
                number = int(found[2])
                schema_id = self._schemas.versions(unquote(found[1]))[number - 1]
                _, schema = self._schema(schema_id)
                return 200, {**schema, "version": number, "id": schema_id}
        return _unknown(UNKNOWN)

    def _schema(self, schema_id: int) -> tuple[int, Any]:
        try:
            return 200, {"schema": json.dumps(self._schemas.schema(schema_id))}
        except RegistryError:
            return _unknown(NO_SCHEMA)


def _unknown(code: int) -> tuple[int, Any]:
    return UNKNOWN, {"error_code": code, "message": "not known"}


class _Listener(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of who was killed while asking."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    registry: HttpRegistry
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        status, value = self.registry.answer(self.path, self.rfile.read(size) if size else None)
        body = json.dumps(value).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # who asked has gone
            self.close_connection = True

    do_GET = do_POST = _answer  # noqa: N815 - the server's names

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
