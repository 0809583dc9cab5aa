#!/usr/bin/env python3
"""What is deployed: Helm chart, compose file, unit and Dockerfile, by the tools that can be had without a cluster or an engine.

    tests/deploy/run.py [EDGESEAL]

EDGESEAL is the binary; without it, the newest one under the target directory. Needs Python 3.9 with venv, and PyPI at the
first run; systemd-analyze if the unit is to be verified. Ends with `N passed, N failed`. Not looked at: helm itself, a
cluster, a container engine.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

sys.dont_write_bytecode = True  # leaves a clean checkout clean
sys.path.append(str(HERE.parent / "acceptance"))

from tools import chosen_binary, install  # noqa: E402


def main() -> None:
    binary = chosen_binary(__doc__)
    python = str(install(HERE) / "python")
    # PyYAML and Kubernetes' schemas are there, and not here.
    os.execv(python, [python, "-B", str(HERE / "walk.py"), str(binary)])


if __name__ == "__main__":
    main()
