"""The listener: uvicorn in a thread of its own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import uvicorn

from cdc.console.application import Control, application
from cdc.errors import CdcError
from cdc.observe import Metrics

START_SECONDS_MAX = 10.0
CLOSE_SECONDS_MAX = 5.0
CONNECTIONS_MAX = 32
KEEP_ALIVE_SECONDS = 5
HEADER_BYTES_MAX = 16 * 1024


@dataclass(frozen=True, slots=True)
class ConsoleServer:
    """A listener that answers until it is closed."""

    address: str
    """`http://127.0.0.1:8710`."""
    _server: uvicorn.Server
    _thread: threading.Thread
    _socket: socket.socket

    def close(self) -> None:
        """Finish what is being answered, then stop listening; bounded by CLOSE_SECONDS_MAX."""
        self._server.should_exit = True
        self._thread.join(CLOSE_SECONDS_MAX)
        self._socket.close()


def serve(
    metrics: Metrics,
    controls: Mapping[str, Control],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    is_port_fixed: bool = True,
    ready_within_seconds: float = 30.0,
) -> ConsoleServer:
    """A listener on this host; port 0, or a taken port that is not fixed, means any free one."""
    listening = _listen(host, port, is_port_fixed)
    app = application(metrics, controls, host=host, ready_within_seconds=ready_within_seconds)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,  # the peer's address decides about control calls
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(CLOSE_SECONDS_MAX) - 1,
        h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        http="h11",
        loop="asyncio",
    )
    server = uvicorn.Server(config)
    # uvicorn takes signals over only in the main thread; here it leaves them alone.
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listening]}, name="console", daemon=True
    )
    thread.start()
    deadline = time.monotonic() + START_SECONDS_MAX
    while not server.started:
        thread.join(0.01)
        if not thread.is_alive() or time.monotonic() > deadline:
            server.should_exit = True
            listening.close()
            raise CdcError(f"the HTTP listener on {host} did not start")
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}"
    return ConsoleServer(address, server, thread, listening)


def _listen(host: str, port: int, is_port_fixed: bool) -> socket.socket:
    try:
        return _bound(host, port)
    except OSError as error:
        if port and not is_port_fixed:
            return _listen(host, 0, is_port_fixed)
        raise CdcError(
            f"can't listen on {host}:{port}: {error.strerror or error}",
            hint="choose another with http: {port: …} in the connector file; 0 is any free port",
        ) from error


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(CONNECTIONS_MAX)
        return listening
    except OSError:
        listening.close()
        raise
