"""Free TCP ports of 127.0.0.1."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

# Below the range that outgoing connections take theirs from (32768 and up on Linux), so that a
# server that is down for a moment finds its port still free.
PORT_MIN = 15000
PORT_MAX = 31999
ATTEMPTS_MAX = 200


def free_ports(count: int) -> tuple[int, ...]:
    """So many different ports on which nobody listens now."""
    found: list[int] = []
    with ExitStack() as held:
        for _ in range(ATTEMPTS_MAX):
            if len(found) == count:
                break
            port = random.randint(PORT_MIN, PORT_MAX)  # noqa: S311 - no secret hangs on it
            probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    assert len(found) == count, f"no {count} free ports in {PORT_MIN}-{PORT_MAX}"
    return tuple(found)
