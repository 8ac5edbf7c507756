"""Asks a running connector, as `cdc status` does."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from cdc.errors import CdcError, Unreachable
from cdc.observe import ProcessStatus

TIMEOUT_SECONDS = 10.0
ANSWER_BYTES_MAX = 8 * 2**20


def status(address: str, timeout_seconds: float = TIMEOUT_SECONDS) -> ProcessStatus:
    """How the connector at this address is."""
    code, answer = _ask(address, "GET", "/status", None, timeout_seconds)
    try:
        if code == 200:
            return ProcessStatus.from_json(answer)
    except (KeyError, TypeError):
        pass
    raise CdcError(
        f"what answers at {address} is no connector of this version (HTTP {code})",
        hint="look at http: in the connector file, and which program has this port",
    )


def live(address: str, timeout_seconds: float = TIMEOUT_SECONDS) -> Mapping[str, Any]:
    """The connector's name and the process id of what answers at this address."""
    code, answer = _ask(address, "GET", "/live", None, timeout_seconds)
    if code != 200:
        raise CdcError(f"what answers at {address} is no connector (HTTP {code})")
    return answer


def control(
    address: str,
    name: str,
    body: Mapping[str, Any] | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Mapping[str, Any]:
    """The answer to the control call; CdcError with the connector's own reason if refused."""
    code, answer = _ask(address, "POST", f"/control/{name}", dict(body or {}), timeout_seconds)
    if code != 200:
        reason = str(answer.get("error") or f"HTTP {code}")
        raise CdcError(
            f"the connector at {address} refused {name}: {reason}", hint=str(answer.get("hint", ""))
        )
    return answer


def _ask(
    address: str, method: str, path: str, body: dict[str, Any] | None, timeout_seconds: float
) -> tuple[int, dict[str, Any]]:
    # http.client: it knows no proxies, and a proxy could not reach 127.0.0.1 of this machine.
    url = urlsplit(address)
    if url.scheme != "http" or not url.hostname:
        raise CdcError(f"{address!r} is not an address of the form http://127.0.0.1:8710")
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=timeout_seconds)
    try:
        headers = {"content-type": "application/json"}
        data = None if body is None else orjson.dumps(body)
        connection.request(method, path, body=data, headers=headers)
        response = connection.getresponse()
        text = response.read(ANSWER_BYTES_MAX)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(
            f"no connector answers at {address}: {_reason(error)}",
            hint="start it with: cdc run FILE",
        ) from error
    finally:
        connection.close()
    try:
        answer = orjson.loads(text)
    except orjson.JSONDecodeError:
        answer = {}
    return response.status, answer if isinstance(answer, dict) else {}


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
