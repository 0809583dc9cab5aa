"""The walk itself, in the Python that has PyYAML and Kubernetes' schemas."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "acceptance"))

import kubernetes_validate  # noqa: E402
import yaml  # noqa: E402
from process import environment  # noqa: E402
from report import Abort, Mismatch, Report, Story, expect, require  # noqa: E402

DEPLOY = HERE.parent.parent / "deploy"
CHART = DEPLOY / "helm" / "edgeseal"
TOOLS = Path(sys.executable).parent
KUBERNETES = "1.30"
# Not Kubernetes' own.
FOREIGN = {"ServiceMonitor"}

TOML = """[[distribution]]
aliases = ["cdn.example.com"]
[[distribution.origin]]
bucket = "my-private-bucket"
region = "eu-west-1"
"""

story = Story()
step = story.step


@dataclass
class World:
    binary: Path
    folder: Path
    renderer: Path | None = None

    def render(self, **changes) -> list[dict]:
        """The chart's objects, with these values changed."""
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        for path, value in changes.items():
            place = values
            *way, last = path.split("__")
            for name in way:
                place = place[name]
            require(last in place, f"there is no value {path}")
            place[last] = value
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        root = {
            "Values": values,
            "Chart": {"Name": chart["name"], "Version": chart["version"], "AppVersion": chart["appVersion"]},
            "Release": {"Name": "cdn", "Namespace": "edge", "Service": "Helm"},
        }
        task = json.dumps({"chart": str(CHART), "root": root})
        done = subprocess.run([str(self.renderer)], input=task, capture_output=True, encoding="utf-8", timeout=60)
        if done.returncode != 0:
            raise Mismatch(done.stderr.strip()[-500:])
        files = json.loads(done.stdout)
        files.pop("NOTES.txt")
        return [object_ for text in files.values() for object_ in yaml.safe_load_all(text) if object_]


def of_kind(objects: list[dict], kind: str) -> dict:
    return next(object_ for object_ in objects if object_["kind"] == kind)


def pod(objects: list[dict]) -> dict:
    return of_kind(objects, "Deployment")["spec"]["template"]


def refused(world: World, **changes) -> str:
    try:
        world.render(**changes)
    except Mismatch as why:
        return str(why)
    raise Mismatch("the chart was rendered all the same")


@step("Go builds what renders the chart", vital=True)
def _(world: World) -> str:
    world.renderer = world.folder / "render"
    env = environment(world.folder, GOCACHE=str(world.folder / "cache"), GOFLAGS="-p=1", GOTOOLCHAIN="local", GO111MODULE="off", CGO_ENABLED="0")
    done = subprocess.run([str(TOOLS / "go"), "build", "-o", str(world.renderer), str(HERE / "render.go")], env=env, capture_output=True, encoding="utf-8")
    require(done.returncode == 0, done.stderr[-500:])
    return "text/template"


@step("the chart's objects are what Kubernetes knows, whatever is chosen")
def _(world: World) -> str:
    kinds: set[str] = set()
    choices = [
        {"config": TOML},
        {"distribution": {"distribution.json": "{}", "oac.json": '{"a": "b\\"c"}'}},
        {
            "config": TOML,
            "tls__secretName": "tls",
            "admin__secretName": "admin",
            "serviceMonitor__enabled": True,
            "serviceMonitor__labels": {"release": "prometheus"},
            "serviceAccount__roleArn": "arn:aws:iam::111122223333:role/edge",
            "awsSecretName": "keys",
            "region": "eu-west-1",
            "env": [{"name": "EDGESEAL_LOG_LEVEL", "value": "debug"}],
            "extraArgs": ["--geo-database=/a b"],
            "imagePullSecrets": [{"name": "pull"}],
            "nodeSelector": {"kubernetes.io/arch": "arm64"},
            "tolerations": [{"key": "edge", "operator": "Exists"}],
            "podAnnotations": {"a": "1"},
            "podLabels": {"b": "2"},
            "service__annotations": {"service.beta.kubernetes.io/aws-load-balancer-type": "external"},
        },
        {
            "config": TOML,
            "autoscaling__enabled": False,
            "podDisruptionBudget__enabled": False,
            "serviceAccount__create": False,
            "service__type": "ClusterIP",
            "service__http3": False,
            "topologySpreadConstraints": [],
            "resources": {},
            "preStopSeconds": 0,
        },
    ]
    for choice in choices:
        for object_ in world.render(**choice):
            kinds.add(object_["kind"])
            if object_["kind"] not in FOREIGN:
                kubernetes_validate.validate(object_, KUBERNETES, strict=True)
    return ", ".join(sorted(kinds))


@step("its pods are not root, and cannot write, gain or be taken for somebody else")
def _(world: World) -> str:
    spec = pod(world.render(config=TOML))["spec"]
    [container] = spec["containers"]
    expect("runAsNonRoot, runAsUser", (spec["securityContext"]["runAsNonRoot"], spec["securityContext"]["runAsUser"]), (True, 65532))
    wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    expect("securityContext of the container", container["securityContext"], wanted)
    expect("automountServiceAccountToken", spec["automountServiceAccountToken"], False)
    expect("topology keys", [one["topologyKey"] for one in spec["topologySpreadConstraints"]], ["topology.kubernetes.io/zone", "kubernetes.io/hostname"])
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        command = container[probe]["exec"]["command"]
        done = subprocess.run([str(world.binary), *command[1:], "--admin", "127.0.0.1:1"], capture_output=True, encoding="utf-8")
        expect(f"{probe} of an edge that is not there: exit code", done.returncode, 1)
    return "three exec probes, which the binary understands"


@step("another configuration makes other pods")
def _(world: World) -> str:
    sums = [pod(world.render(config=text))["metadata"]["annotations"]["checksum/config"] for text in (TOML, TOML + "\n", TOML)]
    require(sums[0] != sums[1] and sums[0] == sums[2], str(sums))
    return sums[0]


@step("the edge starts with what the chart gives it")
def _(world: World) -> str:
    objects = world.render(config=TOML, region="eu-west-1")
    [container] = pod(objects)["spec"]["containers"]
    config = world.folder / "edge.toml"
    config.write_text(of_kind(objects, "ConfigMap")["data"]["edge.toml"])
    expect("the file", config.read_text(), TOML)
    arguments = [one.replace("/etc/edgeseal/config/edge.toml", str(config)) for one in container["args"][1:]]
    variables = {one["name"]: one["value"] for one in container["env"]}
    done = subprocess.run([str(world.binary), "check", *arguments], env=environment(world.folder, **variables), capture_output=True, encoding="utf-8")
    expect("exit code of check", (done.returncode, done.stderr), (0, ""))
    return done.stdout.strip().splitlines()[-1]


@step("roles: IRSA by annotation, Pod Identity by the account's name")
def _(world: World) -> str:
    arn = "arn:aws:iam::111122223333:role/edge"
    account = of_kind(world.render(config=TOML, serviceAccount__roleArn=arn), "ServiceAccount")
    expect("annotation", account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"], arn)
    objects = world.render(config=TOML, serviceAccount__name="edge")
    require("annotations" not in of_kind(objects, "ServiceAccount")["metadata"], "an annotation that nobody asked for")
    expect("serviceAccountName", pod(objects)["spec"]["serviceAccountName"], "edge")
    return arn


@step("what cannot be is refused")
def _(world: World) -> str:
    said = [
        refused(world),
        refused(world, config=TOML, distribution={"a.json": "{}"}),
        refused(world, config=TOML, serviceMonitor__enabled=True),
    ]
    for words, why in zip(("give what is served", "not both", "needs admin.secretName"), said):
        require(words in why, why)
    return "nothing to serve, two things to serve, a scrape of loopback"


@step("the compose file, and what it mounts")
def _(world: World) -> str:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    for name, service in services.items():
        for after in service.get("depends_on", {}):
            require(after in services, f"{name} waits for {after}, which there is not")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            there = source in compose.get("volumes", {}) or (DEPLOY / source).exists()
            require(there, f"{name} mounts {source}, which there is not")
        for config in service.get("configs", []):
            require(config["source"] in compose["configs"], f"{name} has no config {config['source']}")
    text = (DEPLOY / "compose.yaml").read_text()
    wanted = set(re.findall(r"\$\{(\w+)", text)) - {"TAG"}
    given = set(re.findall(r"^(\w+)=", (DEPLOY / "env.example").read_text(), re.M))
    expect("variables without an example", wanted - given, set())
    return ", ".join(services)


@step("the edge starts with the compose file's configuration")
def _(world: World) -> str:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    config = world.folder / "compose.toml"
    config.write_text(compose["configs"]["edge"]["content"])
    done = subprocess.run([str(world.binary), "check", "--config", str(config)], env=environment(world.folder), capture_output=True, encoding="utf-8")
    expect("exit code of check", (done.returncode, done.stderr), (0, ""))
    json.loads(re.sub(r"\$\{[^}]*\}", "x", compose["configs"]["s3"]["content"]))
    return done.stdout.strip().splitlines()[-1]


@step("systemd has nothing to say against the unit")
def _(world: World) -> str:
    if not shutil.which("systemd-analyze"):
        return "systemd-analyze is not installed: not looked at"
    unit = world.folder / "edgeseal.service"
    # The program is not where it will be.
    unit.write_text((DEPLOY / "systemd" / "edgeseal.service").read_text().replace("/usr/local/bin/edgeseal", str(world.binary)))
    verified = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, encoding="utf-8")
    # Its manual page is not installed here.
    ours = [line for line in verified.stderr.splitlines() if "edgeseal" in line and "man edgeseal(1)" not in line]
    expect("complaints", ours, [])
    graded = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)], capture_output=True, encoding="utf-8")
    verdict = graded.stdout.strip().splitlines()[-1] if graded.stdout else graded.stderr
    expect("exit code of systemd-analyze security", (graded.returncode, verdict if graded.returncode else ""), (0, ""))
    return verdict.strip()


@step("hadolint has nothing to say against the Dockerfile")
def _(world: World) -> str:
    dockerfile = DEPLOY.parent / "Dockerfile"
    done = subprocess.run([str(TOOLS / "hadolint"), str(dockerfile)], capture_output=True, encoding="utf-8")
    expect("hadolint", (done.returncode, done.stdout), (0, ""))
    return "clean"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="edgeseal-deploy-") as folder:
        report = Report()
        try:
            report.walk(story, World(Path(sys.argv[1]), Path(folder)))
        except Abort as vital:
            print(f"the steps after {vital.args[0]!r} need it: not run", flush=True)
        return report.close()


if __name__ == "__main__":
    sys.exit(main())
