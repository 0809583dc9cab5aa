"""What a walk needs before it begins: the binary, and the pinned programs in a virtual environment of its own."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from process import Child, environment
from report import poll, require

REPOSITORY = Path(__file__).resolve().parent.parent.parent
LISTENING = re.compile(r"listening (http|https|admin) (127\.0\.0\.1:\d+)$")
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve()


def chosen_binary(purpose: str) -> Path:
    """The one that the command line names, else the newest. `purpose`: what `--help` says."""
    arguments = argparse.ArgumentParser(description=purpose.splitlines()[0])
    arguments.add_argument("edgeseal", nargs="?", type=Path, help="the binary (default: the newest under target/)")
    binary = (arguments.parse_args().edgeseal or newest_binary()).resolve()
    if not os.access(binary, os.X_OK):
        sys.exit(f"{binary} is not a program; build it with: cargo build --bin edgeseal")
    print(f"edgeseal: {binary}", flush=True)
    return binary


def newest_binary() -> Path:
    built = [TARGET / profile / "edgeseal" for profile in ("debug", "release", "dist")]
    built = [one for one in built if one.exists()]
    if not built:
        sys.exit(f"no edgeseal under {TARGET}; build it with: cargo build --bin edgeseal")
    return max(built, key=lambda one: one.stat().st_mtime)


def install(walk: Path) -> Path:
    """The programs of a walk's requirements.txt; the environment is made anew when the pinned list has changed since."""
    folder = TARGET / walk.name / "venv"
    wanted = (walk / "requirements.txt").read_text()
    stamp = folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {walk.name}/requirements.txt into {folder}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(walk / "requirements.txt")], check=True, stdin=subprocess.DEVNULL)
        stamp.write_text(wanted)
    return folder / "bin"


def demo(binary: Path, folder: Path) -> tuple[Child, dict[str, str]]:
    """`edgeseal demo`, running in `folder`, and the addresses that it listens on, by their names."""
    listeners = ("--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    child = Child([str(binary), "demo", *listeners], env=environment(folder), cwd=folder)
    addresses: dict[str, str] = {}

    def listens() -> bool:
        found = (LISTENING.match(line) for line in list(child.out))
        addresses.update({match[1]: match[2] for match in found if match})
        require(child.alive, "it ended: " + " | ".join(child.err[-8:]))
        return len(addresses) == 3

    poll("three lines", listens)
    return child, addresses
