#!/usr/bin/env python3
"""The public suite of HTTP cache tests (https://cache-tests.fyi) against edgeseal, with CloudFront's managed policy
UseOriginCacheControlHeaders-QueryStrings.

    tests/http-cache/run.py [--suite CHECKOUT] [--results FILE] [--policy NAME] [--failing] [EDGESEAL]

CHECKOUT is a clone of https://github.com/http-tests/cache-tests with `npm install` done; without one, the last release
is installed from npm (0.4.5, which is older and has fewer tests). Needs Node and Python 3.9. About a minute and a half;
loopback only. Prints how many tests of each kind passed, counted as the suite counts, failed dependencies included.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
RELEASE = "http-cache-tests@0.4.5"

CONFIG = """
[cache]
memory = "64MiB"
{cache}
[log]
access = "off"

[[distribution]]
id = "suite"
[[distribution.origin]]
id = "suite"
domain_name = "localhost"
[distribution.origin.custom_origin]
http_port = {port}
origin_protocol_policy = "http-only"
[distribution.default_cache_behavior]
viewer_protocol_policy = "allow-all"
allowed_methods = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
cache_policy = "{policy}"
origin_request_policy = "AllViewer"
"""

COUNT = """
import tests from '{suite}/tests/index.mjs'
import {{ determineTestResult }} from '{results}'
import fs from 'fs'
const results = JSON.parse(fs.readFileSync(process.argv[2]))
const seen = []
for (const group of tests) for (const test of group.tests) {{
  if (test.browser_only) continue
  const kind = test.kind ?? 'required'
  seen.push({{ kind, id: test.id, name: test.name, verdict: determineTestResult(tests, test.id, results)[2],
    result: results[test.id] ?? null }})
}}
console.log(JSON.stringify(seen))
"""

PASSED = {"✅", "Y"}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("edgeseal", nargs="?", type=Path)
    arguments.add_argument("--suite", type=Path)
    arguments.add_argument("--results", type=Path, help="where the suite's own results go")
    arguments.add_argument("--policy", default="UseOriginCacheControlHeaders-QueryStrings")
    arguments.add_argument("--cache", default="", help="lines for the [cache] section")
    arguments.add_argument("--id", default="", help="one test only, with its conversation")
    arguments.add_argument("--failing", action="store_true", help="list what did not pass")
    given = arguments.parse_args()
    target = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve()
    binary = (given.edgeseal or target / "debug" / "edgeseal").resolve()
    suite = given.suite.resolve() if given.suite else install(target / "http-cache")
    engine = suite / "test-engine" if (suite / "test-engine").is_dir() else suite
    with tempfile.TemporaryDirectory(prefix="edgeseal-http-cache-") as folder:
        return measure(given, binary, suite, engine, Path(folder))


def measure(given, binary: Path, suite: Path, engine: Path, folder: Path) -> int:
    port = free_port()
    environment = {**os.environ, "npm_config_protocol": "http", "npm_config_port": str(port),
                   "npm_config_pidfile": str(folder / "pid")}
    config = folder / "suite.toml"
    config.write_text(CONFIG.format(port=port, policy=given.policy, cache=given.cache))
    children = []
    try:
        server = ["node", str(engine / "server" / "server.mjs")]
        children.append(subprocess.Popen(server, env=environment, stdout=subprocess.DEVNULL))
        wait_for(port)
        edge = subprocess.Popen(
            [str(binary), "run", "--config", str(config), "--http", "127.0.0.1:0", "--https", "127.0.0.1:0",
             "--admin", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=(folder / "edge.log").open("w"), text=True)
        children.append(edge)
        address = listening(edge, folder / "edge.log")
        client = {**environment, "npm_config_base": f"http://{address}", "npm_config_id": given.id, "npm_package_config_id": ""}
        ran = subprocess.run(["node", "--no-warnings", str(engine / "cli.mjs")], env=client, text=True,
                             stdout=subprocess.PIPE, timeout=900, check=True)
    finally:
        for child in children:
            child.terminate()
            child.wait(timeout=20)
    if given.id:
        print(ran.stdout)
        return 0
    results = given.results or folder / "results.json"
    results.write_text(ran.stdout)
    return report(given, suite, engine, results, folder)


def report(given, suite: Path, engine: Path, results: Path, folder: Path) -> int:
    count = folder / "count.mjs"
    count.write_text(COUNT.format(suite=suite, results=engine / "lib" / "results.mjs"))
    seen = json.loads(subprocess.run(["node", str(count), str(results)], stdout=subprocess.PIPE, check=True).stdout)
    for kind in ("required", "optimal", "check"):
        of_kind = [test for test in seen if test["kind"] == kind]
        passed = [test for test in of_kind if test["verdict"] in PASSED]
        print(f"{kind}: {len(passed)} of {len(of_kind)}")
    if given.failing:
        for test in seen:
            if test["verdict"] not in PASSED and test["kind"] != "check":
                print(f"{test['kind']}\t{test['id']}\t{test['verdict']}\t{json.dumps(test['result'])[:160]}")
    return 0


def install(folder: Path) -> Path:
    package = folder / "node_modules" / RELEASE.split("@")[0]
    if not package.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), RELEASE],
                       check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return package


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit("the suite's server does not answer")


def listening(edge: subprocess.Popen, log: Path) -> str:
    for line in edge.stdout:
        if line.startswith("listening http "):
            return line.split()[2]
    sys.exit(f"edgeseal did not start:\n{log.read_text()}")


if __name__ == "__main__":
    sys.exit(main())
