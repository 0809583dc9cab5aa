#!/usr/bin/env python3
"""Acceptance: `edgeseal run` in front of SeaweedFS, seeded by the AWS CLI, asked by curl.

    tests/acceptance/run.py [EDGESEAL]

EDGESEAL is the binary; without it, the newest one under the target directory (CARGO_TARGET_DIR, else target/).
Needs Python 3.9 with venv, curl with HTTP/2, and PyPI at the first run. Ends with `N passed, N failed`.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

sys.dont_write_bytecode = True  # leaves a clean checkout clean

from report import Abort, Report  # noqa: E402
from store import Store  # noqa: E402
from story import World, story  # noqa: E402
from tools import chosen_binary, install  # noqa: E402


def main() -> int:
    binary = chosen_binary(__doc__)
    tools = install(HERE)

    # Ended by a signal, it still unwinds and stops what it started.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="edgeseal-acceptance-") as folder:
        return walk(World(binary, Path(folder), Store(tools, Path(folder))))


def walk(world: World) -> int:
    report = Report()
    try:
        report.walk(story, world)
    except Abort as vital:
        print(f"the steps after {vital.args[0]!r} need it: not run", flush=True)
    finally:
        world.stop()
    if report.failed:
        tell_end("edgeseal", world.edge.child) if world.edge else tell_end("SeaweedFS", world.store.child)
    return report.close()


def tell_end(name: str, child) -> None:
    if child:
        print(f"--- the last lines of {name}", *child.err[-15:], sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
