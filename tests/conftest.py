"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["tests.services_plugin", "tests.forms_plugin"]

# A slow machine is no fault: no test asserts timings, pytest's own limit ends what hangs.
settings.register_profile("cdc", deadline=None)
settings.load_profile("cdc")
