"""The capture core in both its forms: as compiled, and the same source as plain Python."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import cdc.capture
import cdc.codec.partition

PACKAGE = "cdc.capture"
HASH = "cdc.codec.partition"
"""The one module outside the package that is compiled with it."""
MODULES = (
    "rows", "transaction", "decoder", "binder", "batch", "binlog", "checkpoint", "shapes",
    "charsets", "types", "columns", "decimals", "description", "envelope", "json_binary", "plan",
    "settings", "statements", "decisions", "knowledge", "files", "framing", "gtid",
    "source_settings", "folds", "unfolding", "ddl",
    "ddl_ahead", "statement_context", "dead_changes", "prepared_store",
)  # fmt: skip


class Capture(SimpleNamespace):
    """The core's modules by name, `form` says which form they are of."""

    form: str
    rows: Any
    decoder: Any
    binder: Any
    batch: Any
    checkpoint: Any
    shapes: Any
    settings: Any
    description: Any
    unfolding: Any

    def __repr__(self) -> str:
        return self.form


class _FromSource(MetaPathFinder):
    """Finds hot modules by their .py files, never by a compiled one beside them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not _is_hot(fullname):
            return None
        file = Path(str(cdc.__file__)).parent.joinpath(*fullname.split(".")[1:])
        if file.is_dir():
            return importlib.util.spec_from_file_location(
                fullname, file / "__init__.py", submodule_search_locations=[str(file)]
            )
        file = file.with_suffix(".py")
        return importlib.util.spec_from_file_location(fullname, file) if file.exists() else None


@cache
def plain() -> Capture:
    """The core loaded a second time, from source; the first stays what an import gives."""
    kept = {name: module for name, module in sys.modules.items() if _is_hot(name)}
    for name in kept:
        del sys.modules[name]
    finder = _FromSource()
    sys.meta_path.insert(0, finder)
    try:
        return _loaded("plain")
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _is_hot(name)]:
            del sys.modules[name]
        for name, module in kept.items():
            sys.modules[name] = module
            parent, _, child = name.rpartition(".")
            setattr(sys.modules[parent], child, module)


def _is_hot(name: str) -> bool:
    return name in (PACKAGE, HASH) or name.startswith(f"{PACKAGE}.")


def _loaded(form: str) -> Capture:
    modules = {name: importlib.import_module(f"{PACKAGE}.{name}") for name in MODULES}
    return Capture(form=form, **modules)


@cache
def compiled() -> Capture | None:
    """The core as an import gives it, if that is the compiled form."""
    return _loaded("compiled") if cdc.capture.is_compiled() else None


@pytest.fixture(scope="session", params=["compiled", "plain"])
def capture(request: pytest.FixtureRequest) -> Capture:
    """The capture core, once in each form."""
    if request.param == "plain":
        return plain()
    found = compiled()
    if found is None:
        reason = "the compiled form is missing: no C compiler was there at `make setup`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found
