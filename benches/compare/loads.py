"""The loads: each runs for a while against one server and tells what it saw, checked."""

import json
import os
import re
import subprocess

import processes

# A load may be late by this much before something is wrong.
GRACE = 30

WRK = """
for name, value in pairs({%(headers)s}) do wrk.headers[name] = value end
%(request)s
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\\nJSON {"requests":%%d,"seconds":%%f,"bytes":%%d,"errors":%%d,"p50_us":%%f,"p99_us":%%f}\\n',
    summary.requests, summary.duration / 1e6, summary.bytes,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""


class Wrong(Exception):
    """A server that did not answer as it should: its figure would say nothing."""


def wrk(stage, server, path, size, seconds, connections=16, tls=True, headers=None, request="", threads=1):
    """wrk: a closed loop. `size`: bytes of each body."""
    script = os.path.join(stage.folder, "load.lua")
    fields = ", ".join(f'["{name}"] = {json.dumps(value)}' for name, value in (headers or {}).items())
    with open(script, "w") as file:
        file.write(WRK % {"headers": fields, "request": request})
    url = f"https://localhost:{server.https}{path}" if tls else f"http://localhost:{server.http}{path}"
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency", "-s", script, url]
    cores = stage.load_cores if threads == 1 else stage.all_cores
    out = processes.run(command, cores, seconds + GRACE, stage.load_environment())
    seen = json.loads(re.search(r"^JSON (.*)$", out, re.M).group(1))
    if seen["errors"] or not seen["requests"]:
        raise Wrong(f"wrk: {seen['errors']} errors in {seen['requests']} requests")
    # What is under way at the end is not counted as a request, and its bytes are.
    started = seen["requests"] + connections
    if not seen["requests"] * (size + 50) <= seen["bytes"] <= started * (size + 1500):
        raise Wrong(f"wrk: {seen['bytes']} bytes in {seen['requests']} answers whose bodies have {size}")
    seen["body"] = size
    return seen


def h2load(stage, server, path, size, seconds, connections, streams):
    command = ["h2load", "-t1", f"-c{connections}", f"-m{streams}", "-D", str(seconds), "-w", "24", "-W", "26"]
    out = processes.run(
        command + [f"https://localhost:{server.https}{path}"], stage.load_cores, seconds + GRACE, stage.load_environment()
    )
    if stage.suite not in out:
        raise Wrong(f"h2load did not agree on {stage.suite}")
    if "Application protocol: h2" not in out:
        raise Wrong("no HTTP/2")
    counts = re.search(r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", out)
    _, done, good, failed, errored = map(int, counts.groups())
    codes = [int(count) for count in re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out).groups()]
    data = int(re.search(r"traffic: .* \((\d+)\) data", out).group(1))
    # What is under way at the end may count as failed, and its bytes count.
    rest = connections * streams
    if not good or sum(codes[1:]) or failed + errored > rest or not good * size <= data <= (good + rest) * size:
        raise Wrong(f"h2load: {counts.group(0)}, status {codes}, {data} bytes")
    return {"requests": good, "seconds": seconds, "body": size}


def client(stage, mode, server, path, size, timeout, *more):
    return json.loads(processes.run(client_command(stage, mode, server, path, size, *more), stage.load_cores, timeout + GRACE))


def client_command(stage, mode, server, path, size, *more):
    command = [stage.client, mode, f"127.0.0.1:{server.https}", "--path", path, "--length", str(size)]
    return command + ["--ca", stage.cert, "--suite", stage.suite] + list(more)


class Idle:
    """Connections that do nothing, for as long as this is open."""

    def __init__(self, stage, server, path, size, count):
        command = client_command(stage, "idle", server, path, size, "--count", str(count))
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, stage.load_cores),
        )

    def __enter__(self):
        if "connections" not in self.process.stdout.readline():
            self.__exit__()
            raise Wrong("the idle connections could not be opened")

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
