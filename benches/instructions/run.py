#!/usr/bin/env python3
"""Counts the instructions of a hit under callgrind and compares them with expected.json: `.ci/run instructions`.

    benches/instructions/run.py                    # fails if a line needs 3 % more than expected, or 3 % less
    benches/instructions/run.py --update           # after a change that is meant: writes expected.json
    benches/instructions/run.py --only "hit 1 KB" --functions      # where they go

Needs valgrind and, unless --binary is given, a release build. Less than expected fails, too, so that a gain is kept:
run --update and commit it with what brought it. Compilers differ: expected.json names the one that it is for, and with
another the differences are told and nothing fails. Python 3.9 and its standard library.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
EXPECTED = os.path.join(HERE, "expected.json")
TOLERANCE = 0.03
COUNT = 2000
# The least of several: maps are seeded anew in each process, and housekeeping comes by the clock.
RUNS = 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", help="a bench `instructions` that is built already")
    parser.add_argument("--only", nargs="+", metavar="LINE")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--functions", action="store_true", help="what takes most, by function")
    arguments = parser.parse_args()
    binary = arguments.binary or build()
    names = subprocess.run([binary], check=True, capture_output=True, text=True).stdout.splitlines()
    names = [name for name in names if not arguments.only or name in arguments.only]
    if not names:
        sys.exit("no line has that name")
    with open(EXPECTED) as file:
        expected = json.load(file)
    compiler = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    counted = {name: min(count(binary, name, arguments.functions) for _ in range(1 if arguments.functions else RUNS)) for name in names}
    if arguments.update:
        lines = counted if not arguments.only else {**expected["lines"], **counted}
        with open(EXPECTED, "w") as file:
            json.dump({"compiler": compiler, "lines": lines}, file, indent=2)
            file.write("\n")
        print(f"wrote {EXPECTED}")
        return 0
    return judge(counted, expected, compiler)


def judge(counted, expected, compiler):
    failed = False
    for name, now in counted.items():
        before = expected["lines"].get(name)
        if before is None:
            print(f"{name}: {now}, and not in expected.json")
            failed = True
            continue
        change = now / before - 1
        word = "" if abs(change) <= TOLERANCE else "  MORE" if change > 0 else "  LESS: run --update"
        failed |= bool(word)
        print(f"{name}: {now}, expected {before} ({change:+.1%}){word}")
    if compiler != expected["compiler"]:
        print(f"instructions: {compiler} here, expected.json is for {expected['compiler']}: nothing is judged")
        return 0
    if failed:
        print(f"instructions: a line is off by more than {TOLERANCE:.0%}: README.md says what to do", file=sys.stderr)
    return int(failed)


def build():
    command = "cargo build --locked --release --bench instructions --message-format=json-render-diagnostics".split()
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        sys.exit("the build failed")
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "instructions":
            return message["executable"]
    sys.exit("cargo does not say where it put the bench")


def count(binary, name, functions):
    """Instructions of one repetition."""
    with tempfile.TemporaryDirectory(prefix="edgeseal-instructions-") as folder:
        out = os.path.join(folder, "out")
        command = ["valgrind", "--tool=callgrind", "--toggle-collect=*instructions*measured*", f"--callgrind-out-file={out}"]
        ran = subprocess.run(command + [binary, name, str(COUNT)], capture_output=True, text=True)
        collected = re.search(r"Collected : (\d+)", ran.stderr)
        if ran.returncode != 0 or not collected or int(collected.group(1)) == 0:
            sys.exit(f"{name}: nothing was counted:\n{ran.stderr[-2000:]}")
        if functions:
            told = subprocess.run(["callgrind_annotate", "--threshold=90", out], capture_output=True, text=True)
            print(f"== {name}\n{told.stdout}")
        return round(int(collected.group(1)) / COUNT)


if __name__ == "__main__":
    sys.exit(main())
