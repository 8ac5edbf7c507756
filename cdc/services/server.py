"""A running server: where it is, how to stop it, to freeze it and to start it again."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Protocol

from cdc.services.progress import tell
from cdc.services.state import State
from cdc.services.ways import ServiceFailed

READY_SECONDS_MAX = 90.0
READY_POLL_SECONDS = 0.1
# An address of the environment names a server that should be there; it may be starting, though.
ENVIRONMENT_SECONDS_MAX = 10.0


_PASSWORD = re.compile(r"(//[^/@:]*):[^/@]*@")


def shown(url: str) -> str:
    """The address as it may be printed."""
    # Invariant 9: no secret in a log line or an error.
    return _PASSWORD.sub(r"\1:***@", url)


class Carrier(Protocol):
    """What carries a server: a process or a container."""

    @property
    def origin(self) -> str: ...
    @property
    def pid(self) -> int | None: ...
    def start(self) -> None: ...
    def is_running(self) -> bool: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def remove(self) -> None: ...
    def log_tail(self) -> str: ...


class Server:
    """One server. Children say how it is asked whether it is ready."""

    kind = ""
    label = ""

    def __init__(self, url: str, carrier: Carrier | None, folder: Path | None) -> None:
        self.url = url
        self._carrier = carrier
        self._folder = folder

    def refusal(self) -> str | None:
        """Why the server can't be used now; None if it answers. Children ask it."""
        raise NotImplementedError

    @property
    def origin(self) -> str:
        """How the server was found: environment, docker or packages."""
        return self._carrier.origin if self._carrier else "environment"

    @property
    def pid(self) -> int | None:
        """The id of the server's process, if it is a process of ours."""
        return self._carrier.pid if self._carrier else None

    @property
    def is_ours(self) -> bool:
        """Whether we started it, and so may stop, kill and freeze it."""
        return self._carrier is not None

    def is_running(self) -> bool:
        """Whether the server runs, as far as its carrier knows."""
        return self._carrier is None or self._carrier.is_running()

    def begin(self) -> None:
        """Starts the server, notes it in its folder, returns when it answers."""
        carrier = self._owned
        assert self._folder is not None, "a server of ours has a folder"
        self._folder.mkdir(parents=True, exist_ok=True)
        tell(f"starting {self.label} ({carrier.origin}) …")
        began = time.monotonic()
        carrier.start()
        State.of(self.kind, self.url, carrier, self._folder).write(self._folder.parent)
        try:
            self.wait_ready(READY_SECONDS_MAX)
        except ServiceFailed:
            self.stop()
            raise
        tell(f"{self.label} answers after {time.monotonic() - began:.1f} s: {shown(self.url)}")

    def wait_ready(self, seconds_max: float) -> None:
        """Returns when the server answers; ServiceFailed with its own last words if it doesn't."""
        deadline = time.monotonic() + seconds_max
        while (why := self.refusal()) is not None:
            if not self.is_running():
                self._fail("it ended", why)
            if time.monotonic() > deadline:
                self._fail(f"it doesn't answer after {seconds_max:g} s", why)
            time.sleep(READY_POLL_SECONDS)

    def stop(self) -> None:
        """Ends the server and forgets it; its data folder stays. A server not ours goes on."""
        if self._carrier is None:
            return
        self._carrier.stop()
        self._carrier.remove()
        assert self._folder is not None, "a server of ours has a folder"
        State.forget(self.kind, self._folder.parent)

    def kill(self) -> None:
        """Ends the server at once, as a crash would; `restart` brings it back."""
        self._owned.kill()

    def shut(self) -> None:
        """Ends the server in order, as for maintenance; `restart` brings it back."""
        self._owned.stop()

    def pause(self) -> None:
        """Freezes the server: connections stay open, nothing answers."""
        self._owned.pause()

    def resume(self) -> None:
        """Lets a paused server go on."""
        self._owned.resume()

    def restart(self) -> None:
        """Stops the server if it runs, and starts it with the same data on the same port."""
        self._owned.stop()
        self.begin()

    @property
    def _owned(self) -> Carrier:
        if self._carrier is None:
            raise ServiceFailed(
                f"asked to control {self.label} at {shown(self.url)}, which isn't ours",
                hint="use a server that was started here; the environment named this one",
            )
        return self._carrier

    def _fail(self, what: str, why: str) -> None:
        log = self._carrier.log_tail() if self._carrier else ""
        where = f"; its log says:{log}" if log else ""
        raise ServiceFailed(
            f"waited for {self.label} at {shown(self.url)}: {what} ({why}){where}",
            hint="mend what the log names" if log else "check the address and the server",
        )
