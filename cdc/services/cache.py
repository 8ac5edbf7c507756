"""The folder where downloaded servers are kept, each fetched once and whole."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cdc.services.ways import WayClosed

LOCK_SECONDS_MAX = 900.0
LOCK_POLL_SECONDS = 0.2


def services_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where servers are kept: below CDC_CACHE, else the user's cache folder."""
    if named := environment.get("CDC_CACHE"):
        return Path(named).expanduser().absolute() / "services"
    user_cache = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(user_cache).expanduser().absolute() / "cdc" / "services"


def kept(name: str, fetch: Callable[[Path], None], *, folder: Path | None = None) -> Path:
    """The folder `name` of the cache, filled by `fetch` the first time.

    `fetch` fills a sibling folder, which is renamed when it is done: a folder that is there is
    whole. A lock makes a second process wait for the first one's download.
    """
    folder = folder or services_folder()
    whole = folder / name
    if whole.is_dir():
        return whole
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder / f"{name}.lock"):
        if whole.is_dir():
            return whole
        partial = folder / f"{name}.partial"
        # Under the lock nobody else fills it: what lies there is left from a broken download.
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            fetch(partial)
            partial.rename(whole)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return whole


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    deadline = time.monotonic() + LOCK_SECONDS_MAX
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise WayClosed(
                        f"another process has been downloading for {LOCK_SECONDS_MAX:.0f} s "
                        f"(lock file {path})"
                    ) from None
                time.sleep(LOCK_POLL_SECONDS)
        yield
