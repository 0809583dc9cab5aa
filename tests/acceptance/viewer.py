"""curl as the viewer: one request, exactly as written."""

from __future__ import annotations

import socket
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from report import Mismatch


@dataclass(frozen=True)
class Answer:
    status: int
    version: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def cache(self) -> str:
        return self.headers.get("x-cache", "")


def curl(url: str, *options: str, quiet: bool = False) -> Answer:
    """One request, exactly as written: no dot segments folded, no globbing, no proxy, no ~/.curlrc.

    `quiet`: no connection is an answer of status 0, not a failure.
    """
    with tempfile.TemporaryDirectory() as folder:
        head, body = Path(folder, "head"), Path(folder, "body")
        fixed = ["curl", "-q", "-sS", "--path-as-is", "--globoff", "--noproxy", "*", "--max-time", "30"]
        written = ["-D", str(head), "-o", str(body), "-w", "%{http_code} %{http_version}"]
        done = subprocess.run([*fixed, *written, *options, url], capture_output=True, encoding="utf-8")
        if done.returncode != 0 and not quiet:
            raise Mismatch(f"curl {url}: {done.stderr.strip()}")
        status, _, version = done.stdout.partition(" ")
        lines = head.read_text("latin-1").splitlines() if head.exists() else []
        pairs = (line.partition(":") for line in lines if ":" in line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        return Answer(int(status or 0), version, headers, body.read_bytes() if body.exists() else b"")


def exchange(host: str, port: int, certificate: Path, request: bytes) -> Answer:
    """HTTP/1.1 bytes as given, and all that comes back until the other side closes: curl hides a body after HEAD."""
    context = ssl.create_default_context(cafile=str(certificate))
    with socket.create_connection((host, port), 30) as plain, context.wrap_socket(plain, server_hostname=host) as tls:
        tls.sendall(request)
        received = b"".join(iter(lambda: tls.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in rest)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    return Answer(int(first.split(" ")[1]), "1.1", headers, body)


def strict(name: str) -> str:
    """A path in which everything but unreserved characters is percent-encoded."""
    return "/" + quote(name, safe="/")


def loose(name: str) -> str:
    """The same path as a browser writes it: what RFC 3986 §3.3 allows in a segment stays as it is."""
    return "/" + quote(name, safe="/!$&'()*+,;=:@")
