"""What is being done while a server is fetched or started, told to whoever listens."""

from __future__ import annotations

import logging

_log = logging.getLogger("cdc.services")


def tell(text: str) -> None:
    """Tells one line of progress."""
    _log.info(text)


def show_on_stderr() -> None:
    """Shows progress on stderr from now on."""
    if not _log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    _log.propagate = False
