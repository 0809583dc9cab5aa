"""What is measured. A row is one figure of each server in each round; others come with it."""

import loads
import processes
from servers import SIZES

# Where a server's answers lie.
HOT = 16
OPEN_SHARE = 0.6


class Row:
    """`figure` names what is compared; `better` is "less" or "more"."""

    def __init__(self, name, title, load, figure="cpu_us", unit="µs", better="less", phase="main", misses=False):
        self.name, self.title, self.load = name, title, load
        self.figure, self.unit, self.better = figure, unit, better
        self.phase, self.misses = phase, misses

    def measure(self, stage, server):
        """Runs the load; adds the CPU time that it cost the server, and looks whether it was the cache that answered."""
        asked = stage.origin.requests()
        before = server.group.cpu()
        seen = self.load(stage, server)
        cpu = processes.since(before, server.group.cpu())
        asked = stage.origin.requests() - asked
        requests = seen["requests"]
        if self.misses and asked < requests * 0.98 or not self.misses and asked > 20 + requests // 1000:
            raise loads.Wrong(f"{asked} requests at the origin for {requests}")
        seen["cpu_us"] = cpu * 1e6 / requests
        seen["busy"] = cpu / seen["seconds"]
        seen["rps"] = requests / seen["seconds"]
        if seen.get("body"):
            seen["mbps"] = seen["rps"] * seen["body"] / 1e6
        if "p99_us" in seen:
            seen["p50_ms"], seen["p99_ms"] = seen["p50_us"] / 1000, seen["p99_us"] / 1000
        return seen


def hit(name, connections=16, **more):
    return lambda stage, server: loads.wrk(stage, server, f"/o/{name}", SIZES[name], stage.seconds, connections, **more)


def h2(name, connections, streams):
    return lambda stage, server: loads.h2load(stage, server, f"/o/{name}", SIZES[name], stage.seconds, connections, streams)


def not_modified(stage, server):
    more = ("--status", "304", "--field", f"If-None-Match: {stage.etags['1k']}")
    return bodiless(stage, server, *more)


def bodiless(stage, server, *more):
    return loads.client(stage, "bodiless", server, "/o/1k", SIZES["1k"], stage.seconds, "--seconds", str(stage.seconds), *more)


def part(stage, server):
    return loads.wrk(stage, server, "/o/100k", 1024, stage.seconds, headers={"Range": "bytes=50000-51023"})


def head(stage, server):
    return bodiless(stage, server, "--method", "HEAD")


def handshakes(*more):
    def load(stage, server):
        more_ = ("--seconds", str(stage.seconds), *more)
        return loads.client(stage, "handshakes", server, "/o/1k", SIZES["1k"], stage.seconds, *more_)

    return load


def miss(stage, server):
    stage.walks += 1
    paths = f'local n = 0\nrequest = function() n = n + 1; return wrk.format(nil, "/miss/{stage.run}-{stage.walks}/" .. n) end'
    return loads.wrk(stage, server, "/", SIZES["10k"], stage.seconds, request=paths)


def keys(among):
    """Keys that are stored already, in an order that nobody guesses."""

    def load(stage, server):
        count = HOT if among == "hot" else stage.keys
        paths = (
            f"math.randomseed({stage.walks + 7})\n"
            f'request = function() return wrk.format(nil, string.format("/k/%06d", math.random(0, {count - 1}))) end'
        )
        return loads.wrk(stage, server, "/", SIZES["1k"], stage.seconds, request=paths)

    return load


def open_loop(stage, server):
    rate = stage.open_rate()
    return loads.client(
        stage, "open", server, "/o/1k", SIZES["1k"], stage.seconds, "--rate", f"{rate:.0f}", "--seconds", str(stage.seconds)
    )


def shared(name, connections):
    return lambda stage, server: loads.wrk(
        stage, server, f"/o/{name}", SIZES[name], stage.seconds, connections, threads=len(stage.all_cores)
    )


ROWS = [
    Row("tls-1k", "TLS 1 KB hit, h1", hit("1k")),
    Row("tls-10k", "TLS 10 KB hit, h1", hit("10k")),
    Row("tls-100k", "TLS 100 KB hit, h1", hit("100k")),
    Row("tls-1m", "TLS 1 MB hit, h1", hit("1m", 8)),
    Row("plain-1k", "plain 1 KB hit, h1", hit("1k", tls=False)),
    Row("h2-1k", "h2 1 KB hit (16 connections of 32 streams)", h2("1k", 16, 32)),
    Row("h2-1m", "h2 1 MB hit (8 connections of 4 streams)", h2("1m", 8, 4)),
    Row("304", "304 to If-None-Match, TLS", not_modified),
    Row("206", "206, 1 KB of 100 KB, TLS", part),
    Row("head", "HEAD, TLS", head),
    Row("handshake", "full handshake, GET, close", handshakes()),
    Row("resumed", "resumed handshake, GET, close", handshakes("--resume")),
    Row("keys-hot", "TLS 1 KB hit, 16 keys of 100,000", keys("hot")),
    Row("keys-random", "TLS 1 KB hit, 100,000 keys at random", keys("random")),
    Row("miss-10k", "miss, 10 KB, TLS (edgeseal signs)", miss, misses=True),
    Row("open-1k", "p99 of TLS 1 KB hits, open loop at 60 % of nginx's most", open_loop, "p99_ms", "ms"),
    Row("logged-1k", "TLS 1 KB hit with an access log", hit("1k"), phase="log"),
    Row("shared-1k", "requests/s, TLS 1 KB, all cores for both", shared("1k", 32), "rps", "/s", "more", "shared"),
    Row("shared-1m", "MB/s, TLS 1 MB, all cores for both", shared("1m", 16), "mbps", "MB/s", "more", "shared"),
]

# Measured once or a few times, on a server that has just been started; not by a load.
MEMORY = [
    Row("idle", "memory of an idle TLS connection", None, "kb", "KB", phase="memory"),
    Row("overhead", "memory of a cached 1 KB object beside its body", None, "bytes", "B", phase="memory"),
]
EVERY = ROWS + MEMORY
