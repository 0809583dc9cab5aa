"""SeaweedFS with a private bucket of SSE-KMS objects, seeded by the AWS CLI."""

from __future__ import annotations

import json
import random
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from process import Child, aws_environment, environment, free_ports
from report import Mismatch, poll
from viewer import curl

BUCKET = "private-assets"
PREFIX = "site"
LOGS = "edge-logs"
LOGS_PREFIX = "cloudfront"
KMS_KEY = "edgeseal-acceptance-key"

# What a bucket can hold and a careless proxy breaks. SeaweedFS itself refuses keys with `.` or `..` segments, takes
# a trailing `/` for a folder, and folds `//` and `\` into `/`: the integration tests cover those.
AWKWARD_NAMES = (
    "a space.txt",
    "plus+sign.txt",
    "100%.txt",
    "literal%20escape.txt",  # decoded twice it would be another key
    "question?.txt",
    "hash#.txt",
    "ünïcödé-日本語-🦭.txt",
    'quote\'s "double".txt',
    "~tilde.txt",
    "amp&equals=.txt",
    "(parens).txt",
    "a;b,c@d$e!f*g:h.txt",
    "[x]{y}|^`<z>.txt",
    "sub/folder name/nested.txt",
)
BIG_SIZE = 5 * 1024 * 1024 + 17  # more than one of SeaweedFS' 4 MiB chunks, and not round
MARKER = "this sentence is plain text"  # looked for on the store's disk


def site_objects() -> dict[str, bytes]:
    """Name under the prefix, and its bytes: the same in every run."""
    objects = {name: f"{MARKER}; {name}\n".encode() for name in AWKWARD_NAMES}
    objects["index.html"] = f"<!doctype html><title>Private</title><p>{MARKER}\n".encode()
    objects["query.html"] = f"<!doctype html><p>{MARKER}, asked with a query\n".encode()
    for number, name in enumerate(("big.bin", "cold.bin", "crowd.bin")):
        objects[name] = random.Random(number).randbytes(BIG_SIZE)
    return objects


@dataclass(frozen=True)
class Identity:
    access_key: str
    secret: str

    @classmethod
    def new(cls) -> "Identity":
        return cls(f"AKIA{secrets.token_hex(8).upper()}", secrets.token_hex(20))


class Store:
    """Secrets are new in each run, so that finding one in a log means something."""

    def __init__(self, tools: Path, folder: Path):
        self.tools = tools
        self.folder = folder
        self.data = folder / "data"
        self.admin = Identity.new()
        self.reader = Identity.new()
        self.objects = site_objects()
        self.outside = f"{MARKER}, outside the prefix\n".encode()
        self.child: Child | None = None
        self.port = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Twice when it must be: a port that was free may be taken before SeaweedFS binds it."""
        self.data.mkdir(parents=True)
        for last in (False, True):
            self._launch()
            try:
                poll("SeaweedFS refuses an unsigned request", self._answers)
                return
            except Mismatch:
                self.stop()
                if last:
                    raise

    def stop(self) -> None:
        if self.child:
            self.child.stop()

    def seed(self) -> None:
        """SSE-KMS: the site, one object outside its prefix, one in a folder named alike. In clear: one."""
        root = self.folder / "seed"
        files = {f"{PREFIX}/{name}": data for name, data in self.objects.items()}
        files["secret.txt"] = files[f"{PREFIX}-other/secret.txt"] = self.outside
        for key, data in files.items():
            path = root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        clear = self.folder / "clear.txt"
        clear.write_text("this sentence is stored in the clear\n")

        self.aws("s3api", "create-bucket", "--bucket", BUCKET)
        encrypt = ("--sse", "aws:kms", "--sse-kms-key-id", KMS_KEY)
        # The first object goes alone: SeaweedFS makes a key when it is first used, and several uploads at once can each
        # make one, of which all but the last are lost; an object under a lost key answers 500 for ever.
        first = f"{PREFIX}/index.html"
        self.aws("s3", "cp", "--only-show-errors", *encrypt, str(root / first), f"s3://{BUCKET}/{first}")
        self.aws("s3", "cp", "--recursive", "--only-show-errors", *encrypt, str(root), f"s3://{BUCKET}/")
        self.aws("s3", "cp", "--only-show-errors", str(clear), f"s3://{BUCKET}/clear.txt")

    def aws(self, *arguments: str, identity: Identity | None = None) -> str:
        """Standard output of the AWS CLI; a Mismatch with its complaint when it fails."""
        code, out, err = self.try_aws(*arguments, identity=identity)
        if code != 0:
            raise Mismatch(f"aws {' '.join(arguments[:2])}: exit {code}: {err.strip()}")
        return out

    def try_aws(self, *arguments: str, identity: Identity | None = None) -> tuple[int, str, str]:
        who = identity or self.admin
        done = subprocess.run(
            [str(self.tools / "aws"), *arguments],
            env=aws_environment(self.folder, self.endpoint, who.access_key, who.secret),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    def holds(self, text: str) -> bool:
        """Whether any file of the store has these bytes in it."""
        return any(text.encode() in path.read_bytes() for path in self.data.rglob("*") if path.is_file())

    def _answers(self) -> bool:
        if not self.child.alive:
            raise Mismatch("SeaweedFS ended: " + "\n".join(self.child.err[-5:]))
        answer = curl(f"{self.endpoint}/{BUCKET}/", quiet=True)
        return answer.status == 403 and "SeaweedFS" in answer.headers.get("server", "")

    def _launch(self) -> None:
        config = self.folder / "s3.json"
        config.write_text(json.dumps(self._config()))
        # gRPC ports default to HTTP port + 10,000, which can pass 65,535: all of them are named.
        names = ("s3.port", "master.port", "filer.port", "volume.port", "admin.port")
        ports = free_ports(2 * len(names))
        self.port = ports[0]
        numbered = [f"-{name}={port}" for name, port in zip(names, ports)]
        numbered += [f"-{name}.grpc={port}" for name, port in zip(names, ports[len(names) :])]
        self.child = Child(
            [
                str(self.tools / "weed"),
                "-logtostderr=true",
                "mini",
                f"-dir={self.data}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                f"-s3.config={config}",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                f"-s3.localSocket={self.folder}/s3.sock",
                f"-filer.localSocket={self.folder}/filer.sock",
                "-webdav=false",
                "-admin.ui=false",
                "-master.telemetry=false",
                *numbered,
            ],
            env=environment(self.folder),
            cwd=self.folder,
        )

    def _config(self) -> dict:
        def identity(name: str, who: Identity, *actions: str) -> dict:
            keys = [{"accessKey": who.access_key, "secretKey": who.secret}]
            return {"name": name, "credentials": keys, "actions": list(actions)}

        local_kms = {"type": "local", "enableOnDemandCreate": True}
        return {
            "identities": [
                identity("admin", self.admin, "Admin", "Read", "List", "Tagging", "Write"),
                identity("edge-reader", self.reader, f"Read:{BUCKET}/{PREFIX}/*", f"Write:{LOGS}/{LOGS_PREFIX}/*"),
            ],
            "kms": {"default_provider": "local", "providers": {"local": local_kms}},
        }
