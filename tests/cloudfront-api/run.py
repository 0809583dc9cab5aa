#!/usr/bin/env python3
"""CloudFront's API: the AWS CLI and boto3, unchanged, ask `edgeseal run` by its admin listener.

    tests/cloudfront-api/run.py [EDGESEAL]

EDGESEAL is the binary; without it, the newest one under the target directory (CARGO_TARGET_DIR, else target/).
Needs Python 3.9 with venv, curl, and PyPI at the first run. Ends with `N passed, N failed`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHARED = HERE.parent / "acceptance"

sys.dont_write_bytecode = True  # leaves a clean checkout clean
sys.path.append(str(SHARED))

from tools import chosen_binary, install  # noqa: E402


def main() -> None:
    binary = chosen_binary(__doc__)
    python = str(install(HERE) / "python")
    # boto3 is there, and not here.
    os.execv(python, [python, "-B", str(HERE / "walk.py"), str(binary)])


if __name__ == "__main__":
    main()
