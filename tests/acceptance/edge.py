"""`edgeseal run` as a child process."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from process import Child, aws_environment
from report import Mismatch, poll
from store import BUCKET, PREFIX, Identity
from viewer import Answer, curl, exchange

LISTENING = re.compile(r"listening (http|https|admin) (127\.0\.0\.1:\d+)$")


class Edge:
    def __init__(self, binary: Path, folder: Path, endpoint: str, reader: Identity, *source: str):
        """Of the bucket as a one-liner, unless another `source` is given."""
        self.addresses: dict[str, str] = {}
        self.request_ids: list[str | None] = []
        self.certificate = folder / "edge.pem"
        listeners = ("--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--admin", "127.0.0.1:0")
        self.child = Child(
            [str(binary), "run", *(source or (f"s3://{BUCKET}/{PREFIX}", "--region", "us-east-1")), *listeners],
            env=aws_environment(folder, endpoint, reader.access_key, reader.secret),
            cwd=folder,
        )

    def await_listening(self) -> None:
        """Until the three lines of interface.md are there; then its self-signed certificate is the trust root."""
        poll("listening lines for http, https and admin", self._all_listening)
        self.certificate.write_text(ssl.get_server_certificate(self.https_listener()))

    def https(self, path: str, *options: str) -> Answer:
        """TLS is verified: name and key must match the certificate that the edge made at its start."""
        return self._note(curl(f"https://{self.addresses['https']}{path}", "--cacert", str(self.certificate), *options))

    def https_bytes(self, request: bytes) -> Answer:
        """The request must ask for `Connection: close`."""
        return self._note(exchange(*self.https_listener(), self.certificate, request))

    def https_listener(self) -> tuple[str, int]:
        host, _, port = self.addresses["https"].rpartition(":")
        return host, int(port)

    def http(self, path: str, *options: str) -> Answer:
        return self._note(curl(f"http://{self.addresses['http']}{path}", *options))

    def admin(self, path: str) -> Answer:
        return curl(f"http://{self.addresses['admin']}{path}")

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples with these labels; 0 when there is none."""
        total = 0.0
        for line in self.admin("/metrics").body.decode().splitlines():
            found = re.match(r"([a-z0-9_]+)(?:\{(.*)\})? (\S+)", line)
            if found and found[1] == name and all(f'{k}="{v}"' in (found[2] or "") for k, v in labels.items()):
                total += float(found[3])
        return total

    def _note(self, answer: Answer) -> Answer:
        self.request_ids.append(answer.headers.get("x-amz-cf-id"))
        return answer

    def _all_listening(self) -> bool:
        found = (LISTENING.match(line) for line in list(self.child.out))
        self.addresses = {match[1]: match[2] for match in found if match}
        if len(self.addresses) < 3 and not self.child.alive:
            raise Mismatch(f"edgeseal ended with {self.child.wait(5)}: " + " | ".join(self.child.err[-8:]))
        return len(self.addresses) == 3
