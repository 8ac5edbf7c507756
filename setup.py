"""Builds the hot modules with Cython where a C compiler is there; they run without as well."""

import os
from pathlib import Path

from setuptools import Extension, setup

COMPILED = [
    "cdc/capture/avro_out.py",
    "cdc/capture/temporal.py",
    "cdc/capture/rows.py",
    "cdc/capture/decoder.py",
    "cdc/capture/framing.py",
    "cdc/codec/partition.py",
]


def extensions() -> list[Extension]:
    """The compiled forms; `CDC_PLAIN=1` leaves them out."""
    if os.environ.get("CDC_PLAIN"):
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    modules = [
        Extension(path[:-3].replace("/", "."), [path], extra_compile_args=["-O3"], optional=True)
        for path in COMPILED
        if Path(path).exists()
    ]
    return cythonize(modules, compiler_directives={"language_level": "3"})


setup(ext_modules=extensions())
