"""A server process of our own: in a session of its own, stopped by its id alone."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cdc.services.command import last_lines
from cdc.services.ways import ServiceFailed

STOP_SECONDS_MAX = 30.0
KILL_SECONDS_MAX = 10.0
POLL_SECONDS = 0.02
PS_SECONDS_MAX = 5.0
# Field 22 of /proc/PID/stat, counted from the state that follows the name in parentheses.
STAT_STATE, STAT_START_TIME = 0, 19


@dataclass(frozen=True)
class ProcessId:
    """A pid and when it began: a recycled pid began at another time."""

    pid: int
    started: str

    def is_running(self) -> bool:
        """Whether this very process still runs."""
        return start_time(self.pid) == self.started


def start_time(pid: int) -> str | None:
    """When the process began, in the kernel's own words; None if it has ended."""
    if not Path("/proc/self/stat").exists():
        return _start_time_of_ps(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    # A zombie has ended; only its parent hasn't asked yet.
    return None if fields[STAT_STATE] in "ZX" else fields[STAT_START_TIME]


def _start_time_of_ps(pid: int) -> str | None:
    shown = subprocess.run(  # noqa: S603 - the command is our own
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607 - every Unix has it on PATH
        capture_output=True,
        text=True,
        check=False,
        timeout=PS_SECONDS_MAX,
    )
    state, _, began = shown.stdout.strip().partition(" ")
    return began.strip() if state and not state.startswith("Z") else None


@dataclass(frozen=True)
class Launch:
    """How to start a server: command line, environment, working folder, log file."""

    argv: tuple[str, ...]
    folder: Path
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)


class Process:
    """Carries a server as a process of this machine."""

    origin = "packages"

    def __init__(self, launch: Launch | None, log: Path, running: ProcessId | None = None) -> None:
        self._launch = launch
        self._log = log
        self._child: subprocess.Popen[bytes] | None = None
        self.running = running

    @classmethod
    def of(cls, launch: Launch) -> Process:
        """A process that isn't started yet."""
        return cls(launch, launch.log)

    @property
    def pid(self) -> int | None:
        """The process's id; None before the first start."""
        return self.running.pid if self.running else None

    def start(self) -> None:
        """Starts the process, which outlives us; its output goes to the log file."""
        assert self._launch is not None, "a process read from a state file can only be stopped"
        assert not self.is_running(), "started twice"
        launch = self._launch
        with launch.log.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603 - the command is our own
                launch.argv,
                cwd=launch.folder,
                env={**os.environ, **launch.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # Ended already: any text that no running process has.
        self.running = ProcessId(self._child.pid, start_time(self._child.pid) or "ended")

    def is_running(self) -> bool:
        """Whether the process runs, paused or not."""
        return self.running is not None and self.running.is_running()

    def stop(self) -> None:
        """Asks the process to end; kills it when it hasn't within STOP_SECONDS_MAX."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        if not self._ended_within(STOP_SECONDS_MAX):
            self.kill()

    def kill(self) -> None:
        """Ends the process at once, as a crash would."""
        self._signal(signal.SIGKILL)
        if not self._ended_within(KILL_SECONDS_MAX):
            raise ServiceFailed(
                f"killed process {self.pid}, and it is still there {KILL_SECONDS_MAX:.0f} s later",
                hint="look at what holds it, for example a disk that doesn't answer",
            )

    def pause(self) -> None:
        """Freezes the process; its connections stay open and silent."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a paused process go on."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """Nothing: what a process leaves is its folder."""

    def log_tail(self) -> str:
        """The last lines that the server wrote."""
        if not self._log.exists():
            return ""
        return last_lines(self._log.read_text(errors="replace"))

    def _signal(self, number: signal.Signals) -> None:
        # Checked each time: a pid that was recycled belongs to somebody else.
        if self.running is not None and self.running.is_running():
            os.kill(self.running.pid, number)

    def _ended_within(self, seconds_max: float) -> bool:
        deadline = time.monotonic() + seconds_max
        while self.is_running():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        if self._child is not None:
            self._child.wait()
        return True
