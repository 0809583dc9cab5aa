#!/usr/bin/env python3
"""Acceptance: `edgeseal run` in front of SeaweedFS, seeded by the AWS CLI, asked by curl.

    tests/acceptance/run.py [EDGESEAL]

EDGESEAL is the binary; without it, the newest one under the target directory (CARGO_TARGET_DIR, else target/).
Needs Python 3.9 with venv, curl with HTTP/2, and PyPI at the first run. Ends with `N passed, N failed`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent

sys.dont_write_bytecode = True  # leaves a clean checkout clean

from report import Abort, Report  # noqa: E402
from store import Store  # noqa: E402
from story import World, story  # noqa: E402


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("edgeseal", nargs="?", type=Path, help="the binary (default: the newest under target/)")
    target = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve()
    binary = (arguments.parse_args().edgeseal or newest_binary(target)).resolve()
    if not os.access(binary, os.X_OK):
        sys.exit(f"{binary} is not a program; build it with: cargo build --bin edgeseal")
    print(f"edgeseal: {binary}", flush=True)
    tools = install(target / "acceptance" / "venv")

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


def newest_binary(target: Path) -> Path:
    built = [target / profile / "edgeseal" for profile in ("debug", "release", "dist")]
    built = [one for one in built if one.exists()]
    if not built:
        sys.exit(f"no edgeseal under {target}; build it with: cargo build --bin edgeseal")
    return max(built, key=lambda one: one.stat().st_mtime)


def install(folder: Path) -> Path:
    """The virtual environment's programs; made anew when the pinned list has changed since."""
    wanted = (HERE / "requirements.txt").read_text()
    stamp = folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {HERE.name}/requirements.txt into {folder}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(HERE / "requirements.txt")], check=True, stdin=subprocess.DEVNULL)
        stamp.write_text(wanted)
    return folder / "bin"


def tell_end(name: str, child) -> None:
    if child:
        print(f"--- the last lines of {name}", *child.err[-15:], sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
