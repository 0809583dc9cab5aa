#!/usr/bin/env python3
"""Prometheus: its own tools judge the rules and a scrape, and a real server scrapes `edgeseal demo`.

    tests/prometheus/run.py [EDGESEAL]

EDGESEAL is the binary, with the embedded origin; without it, the newest one under the target directory. Needs Python 3.9,
curl, and Debian's `prometheus` (apt-get install prometheus). Ends with `N passed, N failed`.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
DEPLOY = REPOSITORY / "deploy"

sys.dont_write_bytecode = True  # leaves a clean checkout clean
sys.path.append(str(HERE.parent / "acceptance"))

from process import Child, environment, free_ports  # noqa: E402
from report import Abort, Mismatch, Report, Story, expect, poll, require  # noqa: E402
from tools import chosen_binary, demo  # noqa: E402
from viewer import curl  # noqa: E402

RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
# What a demo does not do: it has credentials that do not expire, and neither watches keys nor sends logs.
SILENT = re.compile(r"credentials_expiry|kms_key_usable|log_uploads|stale_served|handshake_errors|origin_denied|origin_errors|memory_limit|cache_evictions")

story = Story()
step = story.step


@dataclass
class World:
    binary: Path
    folder: Path
    edge: Child | None = None
    server: Child | None = None
    addresses: dict[str, str] = field(default_factory=dict)
    prometheus: str = ""

    def query(self, expression: str) -> list[dict]:
        answer = curl(f"http://{self.prometheus}/api/v1/query?query={quote(expression, safe='')}")
        said = json.loads(answer.body)
        require(said["status"] == "success", f"{expression}: {said.get('error')}")
        return said["data"]["result"]

    def stop(self) -> None:
        for child in (self.server, self.edge):
            if child:
                child.stop()


def promtool(*arguments: str, stdin: bytes | None = None) -> str:
    done = subprocess.run(["promtool", *arguments], input=stdin, capture_output=True, timeout=300)
    output = (done.stdout + done.stderr).decode()
    require(done.returncode == 0, f"promtool {' '.join(arguments[:2])}: {output.strip()[-1500:]}")
    return output


@step("promtool check rules: recording rules and alerts")
def _(world: World) -> str:
    output = promtool("check", "rules", *map(str, RULES))
    return " ".join(re.findall(r"\d+ rules found", output))


@step("promtool check config: the compose file's configuration")
def _(world: World) -> str:
    return promtool("check", "config", str(DEPLOY / "prometheus" / "prometheus.yml")).split("\n")[0]


@step("promtool test rules: every alert fires when it should, and only then")
def _(world: World) -> str:
    cases = sorted((DEPLOY / "prometheus" / "tests").glob("*.test.yml"))
    require(bool(cases), "there are no cases")
    promtool("test", "rules", *map(str, cases))
    named = set(re.findall(r"alert: (\w+)", "".join(rules.read_text() for rules in RULES)))
    fired = set(re.findall(r"alertname: (\w+)\n\s+eval_time: \w+\n\s+exp_alerts:\n", "".join(case.read_text() for case in cases)))
    expect("alerts without a case in which they fire", named - fired, set())
    return f"{len(named)} alerts"


@step("the dashboard is what its script writes")
def _(world: World) -> str:
    done = subprocess.run([sys.executable, "-B", str(DEPLOY / "grafana" / "dashboard.py"), "--check"])
    expect("exit code of dashboard.py --check", done.returncode, 0)
    return f"{len(expressions())} expressions"


@step("the demo listens", vital=True)
def _(world: World) -> str:
    world.edge, world.addresses = demo(world.binary, world.folder)
    traffic(world)
    return ", ".join(world.addresses)


def traffic(world: World) -> None:
    for path in ("/hello.txt", "/hello.txt", "/nothing-here"):
        curl(f"https://{world.addresses['https']}{path}", "--insecure")
    curl(f"http://{world.addresses['http']}/hello.txt")
    curl(f"https://{world.addresses['https']}/hello.txt", "--insecure", "-X", "POST", "--data", "x")


@step("promtool check metrics: a scrape in either format has nothing to complain of")
def _(world: World) -> str:
    admin = f"http://{world.addresses['admin']}/metrics"
    text = curl(admin).body
    promtool("check", "metrics", stdin=text)
    openmetrics = curl(admin, "-H", "Accept: application/openmetrics-text;version=1.0.0")
    require(openmetrics.body.endswith(b"# EOF\n"), "OpenMetrics does not end with # EOF")
    return f"{text.count(b'# TYPE')} families"


@step("a Prometheus server scrapes it", vital=True)
def _(world: World) -> str:
    config = world.folder / "prometheus.yml"
    rules = "".join(f"  - {path}\n" for path in RULES)
    config.write_text(
        "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\n"
        f"rule_files:\n{rules}"
        "scrape_configs:\n  - job_name: edgeseal\n    static_configs:\n"
        f"      - targets: [\"{world.addresses['admin']}\"]\n"
    )
    world.prometheus = f"127.0.0.1:{free_ports(1)[0]}"
    world.server = Child(
        [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={world.folder / 'tsdb'}",
            f"--web.listen-address={world.prometheus}",
            "--log.level=warn",
        ],
        env=environment(world.folder),
        cwd=world.folder,
    )

    def is_up() -> bool:
        require(world.server.alive, "it ended: " + " | ".join(world.server.err[-8:]))
        ready = curl(f"http://{world.prometheus}/-/ready", quiet=True)
        return ready.status == 200 and [one["value"][1] for one in world.query('up{job="edgeseal"}')] == ["1"]

    poll("the target is up", is_up)
    targets = json.loads(curl(f"http://{world.prometheus}/api/v1/targets").body)["data"]["activeTargets"]
    expect("last error of the scrape", [target["lastError"] for target in targets], [""])
    return f"up, in {targets[0]['lastScrapeDuration']:.3f} s"


@step("what it stores is what was counted")
def _(world: World) -> str:
    traffic(world)
    wanted = {"Hit": 3.0, "Miss": 1.0}

    def counted() -> bool:
        seen = world.query('sum by (result) (edgeseal_requests_total{method="GET",status="200"})')
        return {one["metric"]["result"]: float(one["value"][1]) for one in seen} == wanted

    poll(f"{wanted} in Prometheus", counted)
    return str(wanted)


@step("every recording rule is evaluated, and no alert's expression fails")
def _(world: World) -> str:
    def groups() -> list[dict]:
        return json.loads(curl(f"http://{world.prometheus}/api/v1/rules").body)["data"]["groups"]

    def evaluated() -> bool:
        return all(rule["health"] != "unknown" for group in groups() for rule in group["rules"])

    poll("all rules are evaluated", evaluated, seconds=60)
    rules = [rule for group in groups() for rule in group["rules"]]
    bad = [f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] != "ok"]
    expect("rules that fail", bad, [])
    firing = [rule["name"] for rule in rules if rule.get("state") == "firing"]
    expect("alerts that fire for a demo that is well", firing, [])
    return f"{len(rules)} rules"


@step("every panel of the dashboard has something to show")
def _(world: World) -> str:
    empty: dict[str, str] = {}

    def shown() -> bool:
        traffic(world)
        empty.clear()
        for title, expression in expressions():
            for variable, value in (("$__rate_interval", "30s"), ("$job", ".*"), ("$distribution", ".*")):
                expression = expression.replace(variable, value)
            if not world.query(expression) and not SILENT.search(expression):
                empty[title] = expression
        return not empty

    try:
        poll("", shown)
    except Mismatch:
        raise Mismatch(f"nothing to show: {empty}") from None
    return f"{len(expressions())} expressions"


def expressions() -> list[tuple[str, str]]:
    panels = json.loads((DEPLOY / "grafana" / "dashboards" / "edgeseal.json").read_text())["panels"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", [])]


@step("an edge that is stopped is an edge that is down")
def _(world: World) -> str:
    world.edge.stop()
    poll("up is 0", lambda: [one["value"][1] for one in world.query('up{job="edgeseal"}')] == ["0"])
    poll("the alert is pending", lambda: world.query('ALERTS{alertname="EdgesealDown"}'))
    return "EdgesealDown is pending"


def main() -> int:
    for program in ("prometheus", "promtool"):
        if not shutil.which(program):
            print(f"{program} is not installed (apt-get install prometheus): nothing was looked at")
            return 0
    binary = chosen_binary(__doc__)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="edgeseal-prometheus-") as folder:
        world, report = World(binary, Path(folder)), Report()
        try:
            report.walk(story, world)
        except Abort as vital:
            print(f"the steps after {vital.args[0]!r} need it: not run", flush=True)
        finally:
            world.stop()
        return report.close()


if __name__ == "__main__":
    sys.exit(main())
