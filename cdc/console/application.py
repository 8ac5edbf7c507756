"""The HTTP interface of a running connector, as an ASGI application."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from cdc.console.readiness import why_not_ready
from cdc.errors import CdcError
from cdc.observe import Metrics

Control = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""What a control call does: its JSON object in, a JSON object out; CdcError if it can't."""

BODY_BYTES_MAX = 64 * 1024
BODY_SECONDS_MAX = 5.0


def application(
    metrics: Metrics,
    controls: Mapping[str, Control],
    *,
    host: str,
    ready_within_seconds: float,
) -> ASGIApp:
    """`/live`, `/ready`, `/metrics`, `/status` and `/control/<name>`."""

    async def live(_: Request) -> Response:
        status = metrics.status()
        return _json({"connector": status.connector, "pid": status.pid})

    async def ready(_: Request) -> Response:
        reasons = why_not_ready(metrics.status(), ready_within_seconds)
        return _json({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    async def scrape(_: Request) -> Response:
        text, content_type = metrics.exposition()
        return Response(text, headers={"content-type": content_type})

    async def show_status(_: Request) -> Response:
        return _json(metrics.status().to_json())

    async def control(request: Request) -> Response:
        return await _control(request, controls)

    routes = [
        Route("/live", live),
        Route("/ready", ready),
        Route("/metrics", scrape),
        Route("/status", show_status),
        Route("/control/{name}", control, methods=["POST"]),
    ]
    inner = Starlette(routes=routes)
    return _OwnHostOnly(inner) if is_loopback(host) else inner


async def _control(request: Request, controls: Mapping[str, Control]) -> Response:
    # The listener may be open to a network, for probes and metrics; control never is.
    if request.client is None or not is_loopback(request.client.host):
        return _error(403, "control calls are taken from this machine only")
    # A page in a browser can't send this type without asking first, and nobody answers that.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return _error(415, "send the header Content-Type: application/json")
    name = request.path_params["name"]
    if name not in controls:
        allowed = ", ".join(sorted(controls)) or "none"
        return _error(404, f"no control call {name!r}; there are: {allowed}")
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            body = await _body(request)
    except TimeoutError:
        return _error(408, f"the body did not come within {BODY_SECONDS_MAX:.0f} seconds")
    if body is None:
        return _error(413, f"the body is larger than {BODY_BYTES_MAX} bytes")
    try:
        arguments = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        return _error(400, "the body is not JSON")
    if not isinstance(arguments, dict):
        return _error(400, "the body is not a JSON object")
    try:
        return _json(await run_in_threadpool(controls[name], arguments))
    except CdcError as error:
        return _error(409, error.message, error.hint)


async def _body(request: Request) -> bytes | None:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            return None
    return body


class _OwnHostOnly:
    """Refuses requests whose Host is not this machine's own name.

    Else a page on the web could reach the listener through a name that it makes point to
    127.0.0.1 (DNS rebinding)."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            if len(hosts) != 1 or not is_loopback(_host_name(hosts[0].decode("latin-1"))):
                response = _error(421, "the Host header is not this machine's own: use 127.0.0.1")
                await response(scope, receive, send)
                return
        await self._inner(scope, receive, send)


def is_loopback(host: str) -> bool:
    """Whether this name or address means the machine itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_name(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")


def _error(status: int, message: str, hint: str = "") -> Response:
    return _json({"error": message, "hint": hint}, status)
