"""What all tests share."""

from __future__ import annotations

pytest_plugins = ["tests.services_plugin", "tests.forms_plugin"]
