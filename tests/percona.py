"""pt-online-schema-change of Debian's percona-toolkit, unpacked like the servers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cdc.services.debian import Root, unpacked
from cdc.services.ways import WayClosed
from tests.services_plugin import FreshDatabase

SECONDS_MAX = 120.0
PACKAGES = ("percona-toolkit", "perl", "libdbi-perl", "libdbd-mysql-perl")


def change_online(database: FreshDatabase, table: str, alter: str) -> str:
    """What the tool says of ALTER TABLE, done online; skips without Debian's packages."""
    try:
        root = unpacked("percona-toolkit", suite="sid", packages=PACKAGES, size="60 MB")
    except WayClosed as closed:
        if os.environ.get("CI") == "true":
            pytest.fail(str(closed), pytrace=False)
        pytest.skip(str(closed))
    address = database.server.address
    ended = subprocess.run(
        [
            *root.command("usr/bin/perl"),
            str(root.folder / "usr/bin/pt-online-schema-change"),
            *("--alter", alter, "--execute", "--chunk-size", "200", "--no-version-check"),
            *("--recursion-method", "none", "--no-check-replication-filters"),
            f"h={address.host},P={address.port},u={address.user},p={address.password}"
            f",D={database.name},t={table}",
        ],
        env={**os.environ, **_environment(root)},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def _environment(root: Root) -> dict[str, str]:
    """Where perl finds its modules, and the client its ways to log in."""
    patterns = (
        "usr/lib/*/perl/5.*", "usr/share/perl/5.*", "usr/lib/*/perl5/5.*", "usr/share/perl5",
        "usr/lib/*/perl-base",
    )  # fmt: skip
    folders = [str(path) for pattern in patterns for path in root.folder.glob(pattern)]
    (plugins,) = root.folder.glob("usr/lib/*/libmariadb3/plugin")
    return {
        "PERL5LIB": ":".join(folders),
        "MARIADB_PLUGIN_DIR": str(plugins),
        "HOME": str(Path.cwd()),
    }
