#!/usr/bin/env python3
"""edgeseal beside nginx, Varnish with hitch, Traffic Server and HAProxy: the same bytes, certificate and suite, in turn.

    benches/compare/run.py --install         # once, as root, on Debian: apt-get install
    benches/compare/run.py                   # 25 minutes; writes benches/RESULTS.md and benches/results.svg
    benches/compare/run.py --quick           # 3 minutes, figures to look at and not to keep
    benches/compare/run.py --only tls-1k 304 --servers nginx edgeseal --rounds 9

README.md beside it says how it measures. Python 3.9 and its standard library; Linux.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import loads
import machine
import processes
import report
import rows
import servers

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PACKAGES = "nginx varnish hitch trafficserver haproxy wrk nghttp2-client openssl".split()
PORTS = 60_000


def main():
    arguments = parse()
    if arguments.install:
        machine.install(PACKAGES)
        return 0
    if arguments.again:
        with open(arguments.again) as file:
            return tell(json.load(file), arguments)
    # All as Ctrl-C, so that everything is cleared away.
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    processes.adopt_orphans()
    chosen = choose(arguments)
    if os.geteuid() != 0:
        say("not root: hitch, and whoever needs many files, may not start")
    stage = None
    try:
        binaries = build(arguments)
        stage = Stage(arguments, *binaries)
        results = Comparison(stage, chosen, arguments).run()
    except KeyboardInterrupt:
        say("\ninterrupted: ending what was started")
        return 130
    finally:
        if stage is not None:
            stage.end()
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(results, file, indent=1)
    return tell(results, arguments)


def tell(results, arguments):
    report.terminal(results)
    if arguments.write:
        report.write(results, os.path.join(ROOT, "benches"))
    return 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--install", action="store_true", help="install what is compared with (Debian, root), and end")
    parser.add_argument("--edgeseal", metavar="BINARY", help="measure this one; built otherwise")
    parser.add_argument("--client", metavar="BINARY", help="a compare-client that is built already")
    parser.add_argument("--profile", default="dist", help="cargo profile to build with (dist, as the image)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each row, for each server and round")
    parser.add_argument("--keys", type=int, default=100_000, help="objects that lie in each cache")
    parser.add_argument("--idle", type=int, default=2000, help="idle connections")
    parser.add_argument("--rate", type=float, help="of the open loop; 60 %% of nginx's most otherwise")
    parser.add_argument("--suite", default="TLS_AES_128_GCM_SHA256", help="the only one that clients offer")
    parser.add_argument("--servers", nargs="+", default=list(servers.ALL), choices=list(servers.ALL), metavar="NAME")
    names = [row.name for row in rows.EVERY]
    parser.add_argument("--only", nargs="+", choices=names, metavar="ROW", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="one round of a second, 10,000 keys, 500 connections")
    parser.add_argument("--json", metavar="FILE", help="every figure of every round")
    parser.add_argument("--again", metavar="FILE", help="tell what --json has kept, and measure nothing")
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, default=None, help="benches/RESULTS.md and results.svg")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.keys, arguments.idle = 1, 1, 10_000, 500
    if arguments.write is None:
        # A part of the picture must not replace the whole.
        arguments.write = not (arguments.quick or arguments.only or len(arguments.servers) < len(servers.ALL))
    return arguments


def choose(arguments):
    """The servers whose programs are there."""
    chosen = []
    missing = [program for program in ("wrk", "h2load", "openssl", "nginx") if not shutil.which(program, path=machine.PATH)]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)}: run.py --install, as root")
    os.environ["PATH"] = machine.PATH
    for name in arguments.servers:
        lacking = [program for program in servers.ALL[name].programs if not shutil.which(program)]
        if lacking:
            say(f"{name} is left out: {', '.join(lacking)} is not installed (run.py --install)")
        else:
            chosen.append(servers.ALL[name])
    return chosen


def build(arguments):
    """The paths of edgeseal and of the client. One cargo command builds both."""
    if arguments.edgeseal and arguments.client:
        return os.path.abspath(arguments.edgeseal), os.path.abspath(arguments.client)
    profile = "release" if arguments.edgeseal else arguments.profile
    command = ["cargo", "build", "--locked", "--profile", profile, "--bench", "compare-client"]
    say(" ".join(command))
    built = subprocess.run(command + ["--message-format=json-render-diagnostics"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        sys.exit("the build failed")
    made = {}
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable"):
            made[message["target"]["name"]] = message["executable"]
    client = arguments.client or made["compare-client"]
    return os.path.abspath(arguments.edgeseal or made["edgeseal"]), os.path.abspath(client)


class Stage:
    """What all servers share: a folder in RAM, a certificate, an origin, cores, and what the loads need to know."""

    def __init__(self, arguments, edgeseal, client):
        self.edgeseal, self.client = edgeseal, client
        self.suite, self.seconds, self.keys, self.rate = arguments.suite, arguments.seconds, arguments.keys, arguments.rate
        # Of nginx, requests a second, as measured so far.
        self.most = []
        self.etags, self.walks, self.run, self.origin = {}, 0, os.getpid(), None
        self.all_cores = sorted(os.sched_getaffinity(0))
        if len(self.all_cores) < 2:
            sys.exit("two cores are needed: one for the server, one for the load")
        self.server_core, self.load_cores = {self.all_cores[0]}, {self.all_cores[1]}
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else PORTS, hard))
        self.folder = tempfile.mkdtemp(prefix="edgeseal-compare-", dir=machine.ram())
        try:
            os.chmod(self.folder, 0o755)
            self.cert, self.key, self.pem = machine.certificate(self.folder)
            self.head = os.path.join(self.folder, "head")
            self.openssl = machine.openssl_conf(self.folder, self.suite)
            self.origin = servers.Origin(self.folder, {self.all_cores[min(2, len(self.all_cores) - 1)]})
        except BaseException:
            self.end()
            raise

    def load_environment(self):
        return {**os.environ, "OPENSSL_CONF": self.openssl}

    def open_rate(self):
        """Fixed when it is first asked for: the same for all."""
        if self.rate is None:
            if not self.most:
                raise loads.Wrong("nginx's most is not known: measure tls-1k of nginx in the same run, or give --rate")
            self.rate = rows.OPEN_SHARE * statistics.median(self.most)
        return self.rate

    def end(self):
        if self.origin is not None:
            self.origin.end()
        shutil.rmtree(self.folder, ignore_errors=True)


class Comparison:
    """The phases, in turn. `figures[row][server]` gets a dictionary a round."""

    def __init__(self, stage, chosen, arguments):
        self.stage, self.chosen, self.arguments = stage, chosen, arguments
        self.figures = {row.name: {} for row in rows.EVERY if not arguments.only or row.name in arguments.only}
        self.missing = {row: {} for row in self.figures}
        self.heads = {}
        self.standing = []

    def run(self):
        began = time.time()
        before = machine.facts()
        versions = {server.name: server.version(self.stage) for server in self.chosen}
        try:
            self.main()
            self.variant("log", [server for server in self.chosen if server.logs], {"log": True}, self.stage.server_core)
            self.variant("shared", self.chosen, {"workers": len(self.stage.all_cores)}, set(self.stage.all_cores))
        finally:
            self.leave()
        return {
            "command": " ".join(["benches/compare/run.py", *sys.argv[1:]]),
            "date": time.strftime("%Y-%m-%d", time.gmtime(began)),
            "seconds": round(time.time() - began),
            "machine": before,
            "load_after": os.getloadavg(),
            "versions": versions,
            "edgeseal": report.commit(ROOT),
            "suite": self.stage.suite,
            "rounds": self.arguments.rounds,
            "row_seconds": self.arguments.seconds,
            "keys": self.arguments.keys,
            "idle": self.arguments.idle,
            "rate": self.stage.rate,
            "heads": self.heads,
            "figures": self.figures,
            "missing": self.missing,
        }

    def wants(self, phase):
        return [row for row in rows.EVERY if row.phase == phase and row.name in self.figures]

    def main(self):
        """One worker on a core of its own, with a cache that is full of other things."""
        measured, memory = self.wants("main"), self.wants("memory")
        if not measured and not memory:
            return
        stored = any(row.name in ("overhead", "keys-hot", "keys-random") for row in measured + memory)
        idle_rounds = 1 if self.arguments.quick else 3
        for server in self.chosen:
            for _ in range(idle_rounds if "idle" in self.figures else 0):
                # One of its own: memory that connections leave behind would be used for objects.
                with_idle = self.open(server)
                self.idle(with_idle)
                self.close(with_idle)
            instance = self.open(server)
            if stored:
                self.fill(instance)
            instance.group.pause()
        if "tls-1k" in self.figures and os.path.exists(self.stage.head):
            self.open(servers.Bare, checked=False).group.pause()
        self.rounds(measured)
        self.leave()

    def variant(self, phase, chosen, how, cores):
        measured = self.wants(phase)
        if measured:
            for server in chosen:
                self.open(server, cores, **how).group.pause()
            self.rounds(measured)
            self.leave()

    def open(self, server, cores=None, checked=True, **how):
        say(f"start {server.name}")
        instance = server(self.stage, **how)
        instance.start(cores or self.stage.server_core)
        self.standing.append(instance)
        if checked:
            found = machine.check(self.stage, instance)
            self.heads[server.name] = found
            if server is servers.Edgeseal:
                shutil.copy(os.path.join(instance.here, "head"), self.stage.head)
        return instance

    def close(self, instance):
        instance.end()
        shutil.rmtree(instance.here, ignore_errors=True)
        self.standing.remove(instance)

    def leave(self):
        for instance in list(self.standing):
            self.close(instance)

    def rounds(self, measured):
        for number in range(1, self.arguments.rounds + 1):
            for row in measured:
                for instance in self.standing:
                    if instance.rows is None or row.name in instance.rows:
                        self.once(row, instance, number)

    def once(self, row, instance, number):
        reason = instance.unsupported.get(row.name)
        if reason is None:
            instance.group.resume()
            try:
                seen = row.measure(self.stage, instance)
            except (loads.Wrong, RuntimeError, subprocess.TimeoutExpired) as wrong:
                if instance.group.dead():
                    raise RuntimeError(f"{instance.name} ended under {row.name}") from wrong
                reason = str(wrong)
            finally:
                instance.group.pause()
        if reason is not None:
            if instance.name not in self.missing[row.name]:
                say(f"  {row.name}: {instance.name} is left out: {reason}")
            self.missing[row.name][instance.name] = reason
            instance.unsupported[row.name] = reason
            return
        if row.name == "tls-1k" and instance.name == "nginx":
            self.stage.most.append(seen["rps"])
        # By round, so that ratios are of neighbours.
        self.figures[row.name].setdefault(instance.name, {})[number] = seen
        say(f"  {number}: {row.name}: {instance.name}: {seen[row.figure]:.2f} {row.unit} ({seen['busy'] * 100:.0f} % of a core)")

    def idle(self, instance):
        """Memory of connections that have had one answer and wait."""
        count = self.arguments.idle
        try:
            # The first ones make room that later ones use.
            with loads.Idle(self.stage, instance, "/o/1k", servers.SIZES["1k"], 50):
                before = instance.group.settled_pss()
            with loads.Idle(self.stage, instance, "/o/1k", servers.SIZES["1k"], count):
                after = instance.group.settled_pss()
        except loads.Wrong as wrong:
            self.missing["idle"][instance.name] = str(wrong)
            return
        of = self.figures["idle"].setdefault(instance.name, {})
        of[len(of) + 1] = {"kb": (after - before) / 1024 / (count - 50)}
        say(f"  idle: {instance.name}: {of[len(of)]['kb']:.1f} KB")

    def fill(self, instance):
        """Stores the objects that later rows ask for; what they take beside their bodies."""
        count = self.arguments.keys
        before = instance.group.settled_pss() + instance.disk()
        loads.client(self.stage, "walk", instance, "/k/{n}", servers.SIZES["1k"], 300, "--count", str(count))
        took = instance.group.settled_pss() + instance.disk() - before
        if "overhead" not in self.figures:
            return
        each = took / count - servers.SIZES["1k"]
        if each < 0:
            self.missing["overhead"][instance.name] = "its memory is taken at the start"
            return
        self.figures["overhead"].setdefault(instance.name, {})[1] = {"bytes": each}
        say(f"  overhead: {instance.name}: {each:.0f} B")


def say(text):
    try:
        print(text, file=sys.stderr, flush=True)
    except BrokenPipeError:
        pass


if __name__ == "__main__":
    sys.exit(main())
