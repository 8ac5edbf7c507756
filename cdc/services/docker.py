"""A server in a container, when a Docker engine answers; always meant by the container's id."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from cdc.services.command import last_lines, run
from cdc.services.progress import tell
from cdc.services.ways import WayClosed

INFO_SECONDS_MAX = 10.0
PULL_SECONDS_MAX = 900.0
COMMAND_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30


@dataclass(frozen=True)
class Image:
    """What to run: image, ports of this machine by ports of the container, settings."""

    name: str
    ports: Mapping[int, int]
    env: Mapping[str, str] = field(default_factory=dict)
    args: tuple[str, ...] = ()


def run_command(image: Image) -> list[str]:
    """The command line that starts a container of the image and prints its id."""
    argv = ["docker", "run", "--detach", "--label", "cdc.services=1"]
    for container_port, host_port in image.ports.items():
        argv += ["--publish", f"127.0.0.1:{host_port}:{container_port}"]
    for name, value in image.env.items():
        argv += ["--env", f"{name}={value}"]
    return [*argv, image.name, *image.args]


def fetch(image: str) -> None:
    """Gets the image if it isn't here; WayClosed if no engine answers or it can't be had."""
    if reason := closed_because():
        raise WayClosed(reason)
    if not _is_here(image):
        tell(f"getting the image {image} …")
        _docker("pull", "--quiet", image, seconds_max=PULL_SECONDS_MAX)


@cache
def closed_because() -> str | None:
    """Why no Docker engine can be used; None if one answers. Asked once per process."""
    if shutil.which("docker") is None:
        return "there is no docker command on PATH"
    try:
        run(
            ["docker", "info", "--format", "{{.ServerVersion}}"],
            doing="asking the Docker engine",
            seconds_max=INFO_SECONDS_MAX,
        )
    except WayClosed as closed:
        return f"no engine answers{last_lines(closed.message, 1)}"
    return None


class Container:
    """Carries a server as a container."""

    origin = "docker"
    pid = None

    def __init__(self, image: Image | None, container: str | None = None) -> None:
        self._image = image
        self.container = container

    @classmethod
    def of(cls, image: Image) -> Container:
        """A container of the image, fetched if need be, not started yet; WayClosed if it can't."""
        fetch(image.name)
        return cls(image)

    def start(self) -> None:
        """Starts the container; the same one again after a stop, with its data."""
        if self.container is not None:
            _docker("start", self.container)
            return
        assert self._image is not None, "a container read from a state file can only be stopped"
        self.container = run(
            run_command(self._image),
            doing=f"starting a container of {self._image.name}",
            seconds_max=COMMAND_SECONDS_MAX,
        ).strip()

    def is_running(self) -> bool:
        """Whether the container runs, paused or not."""
        if self.container is None:
            return False
        try:
            shown = _docker("inspect", "--format", "{{.State.Running}}", self.container)
        except WayClosed:
            return False
        return shown.strip() == "true"

    def stop(self) -> None:
        """Asks the server to end; the engine kills it when it hasn't within STOP_SECONDS_MAX."""
        if self.is_running():
            # A paused container can't be stopped.
            if self._is_paused():
                self.resume()
            _docker("stop", "--time", str(STOP_SECONDS_MAX), self._id)

    def kill(self) -> None:
        """Ends the server at once, as a crash would."""
        if self.is_running():
            _docker("kill", self._id)

    def pause(self) -> None:
        """Freezes the container; its connections stay open and silent."""
        _docker("pause", self._id)

    def resume(self) -> None:
        """Lets a paused container go on."""
        _docker("unpause", self._id)

    def remove(self) -> None:
        """Removes the container with its data."""
        if self.container is not None:
            _docker("rm", "--force", "--volumes", self._id)
            self.container = None

    def log_tail(self) -> str:
        """The last lines that the server wrote."""
        if self.container is None:
            return ""
        # Containers write to both streams, and docker keeps them apart.
        argv = ["sh", "-c", 'docker logs --tail 20 "$1" 2>&1', "sh", self._id]
        return last_lines(run(argv, doing="reading its log", seconds_max=COMMAND_SECONDS_MAX))

    @property
    def _id(self) -> str:
        assert self.container is not None, "not started yet"
        return self.container

    def _is_paused(self) -> bool:
        return _docker("inspect", "--format", "{{.State.Paused}}", self._id).strip() == "true"


def _is_here(image: str) -> bool:
    try:
        _docker("image", "inspect", "--format", "{{.Id}}", image)
    except WayClosed:
        return False
    return True


def _docker(*words: str, seconds_max: float = COMMAND_SECONDS_MAX) -> str:
    return run(["docker", *words], doing=f"docker {words[0]}", seconds_max=seconds_max)
