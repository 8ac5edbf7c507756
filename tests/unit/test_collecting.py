"""What the process holds stays bounded by what it needs, whichever threads need it."""

from __future__ import annotations

import subprocess
import sys

THREADS, MEGABYTES = 6, 20
SCRIPT = f"""
import threading
import psutil
from cdc.collecting import share_arenas

share_arenas()
bytearray(30_000_000)  # a large piece that is freed makes glibc keep as much from then on
turns, process = threading.Barrier({THREADS}), psutil.Process()
in_turn, before = threading.Lock(), process.memory_info().rss

def fill():
    turns.wait()
    with in_turn:
        pieces = [bytearray(1_000) for _ in range({MEGABYTES} * 1_000)]
        del pieces
    turns.wait()

threads = [threading.Thread(target=fill) for _ in range({THREADS})]
for one in threads:
    one.start()
for one in threads:
    one.join()
print((process.memory_info().rss - before) // 1_000_000)
"""


def test_threads_use_the_memory_that_others_have_freed() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True)
    assert int(ended.stdout) < 3 * MEGABYTES
