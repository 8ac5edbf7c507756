"""Builds the hot modules with Cython where a C compiler is there; they run without as well."""

import os

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

COMPILED = [
    "cdc/capture/avro_out.py",
    "cdc/capture/temporal.py",
    "cdc/capture/columns.py",
    "cdc/capture/moments.py",
    "cdc/capture/decimals.py",
    "cdc/capture/json_binary.py",
    "cdc/capture/values.py",
    "cdc/capture/rows.py",
    "cdc/capture/bound_table.py",
    "cdc/capture/checksum.py",
    "cdc/capture/transaction.py",
    "cdc/capture/cursor.py",
    "cdc/capture/block_writer.py",
    "cdc/capture/context_headers.py",
    "cdc/capture/source_field.py",
    "cdc/capture/transaction_metadata.py",
    "cdc/capture/change_events.py",
    "cdc/capture/tables.py",
    "cdc/capture/boundaries.py",
    "cdc/capture/rows_events.py",
    "cdc/capture/statement_events.py",
    "cdc/capture/decoder.py",
    "cdc/capture/framing.py",
    "cdc/capture/folds.py",
    "cdc/codec/partition.py",
    # In Cython alone, since it calls C functions by pointers; the plain form has a way without.
    "cdc/log/handover.pyx",
]
ARGUMENTS = os.environ.get("CDC_COMPILE_ARGUMENTS", "-O3").split()


class BuildIfPossible(build_ext):
    """Compiles all of the hot modules, or none: a module alone would find the others' C missing."""

    def run(self) -> None:
        try:
            super().run()
        # Whatever a missing or broken compiler raises, differently with each setuptools; also
        # `optional=True`, which exists for this, doesn't survive cythonize.
        except Exception as error:  # noqa: BLE001
            print(f"warning: not compiled, the plain form will run: {error}")  # noqa: T201
            self.extensions = []


def extensions() -> list[Extension]:
    """The compiled forms; `CDC_PLAIN=1` leaves them out."""
    if os.environ.get("CDC_PLAIN"):
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    modules = [
        Extension(path.rpartition(".")[0].replace("/", "."), [path], extra_compile_args=ARGUMENTS)
        for path in COMPILED
    ]
    return cythonize(modules, compiler_directives={"language_level": "3"})


setup(
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildIfPossible},
    # On all cores: it is most of the time of a first `make demo`.
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
)
