#!/usr/bin/env python3
"""HTTP/3 as aioquic speaks it, against `edgeseal run` in front of Python's own HTTP server.

    tests/http3/run.py [EDGESEAL]

EDGESEAL is the binary; without it, the newest one under the target directory (CARGO_TARGET_DIR, else target/).
Needs Python 3.9 with venv, and PyPI at the first run. Loopback only, a few seconds. Ends with `N passed, N failed`.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent

CONFIG = """
[listen]
http = "127.0.0.1:0"
https = "127.0.0.1:{https}"
admin = "127.0.0.1:0"
workers = 2
{listen}
[tls]
early_data = {early}
[log]
access = "{log}"
[[distribution]]
http_version = "http2and3"
[[distribution.origin]]
domain_name = "127.0.0.1"
[distribution.origin.custom_origin]
http_port = {origin}
origin_protocol_policy = "http-only"
"""

LARGE = bytes(range(251)) * 42_000  # 10.5 MB


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("edgeseal", nargs="?", type=Path)
    parser.add_argument("--in-venv", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    target = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve()
    binary = (arguments.edgeseal or newest_binary(target)).resolve()
    if not arguments.in_venv:
        python = install(target / "http3" / "venv")
        return subprocess.run([python, __file__, "--in-venv", binary]).returncode
    with tempfile.TemporaryDirectory(prefix="edgeseal-http3-") as folder:
        return walk(binary, Path(folder))


def newest_binary(target: Path) -> Path:
    built = [target / profile / "edgeseal" for profile in ("debug", "release", "dist")]
    built = [one for one in built if one.exists()]
    if not built:
        sys.exit(f"no edgeseal under {target}; build it with: cargo build --bin edgeseal")
    return max(built, key=lambda one: one.stat().st_mtime)


def install(folder: Path) -> Path:
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", HERE / "requirements.txt"],
        check=True,
    )
    return python


def walk(binary: Path, folder: Path) -> int:
    site = folder / "site"
    site.mkdir()
    (site / "a.txt").write_text("abcdefghij")
    (site / "large.bin").write_bytes(LARGE)
    origin = serve(site)
    failed = passed = 0
    usual = (answers, large, many, upload_refused, urgent)
    for name, listen, early, stories in [
        ("as it comes", "", "false", usual),
        ("every address proven (Retry)", "unproven_handshakes = 0", "false", usual),
        ("early data (0-RTT)", "", "true", (*usual, early_data)),
    ]:
        with Edge(binary, folder, origin, listen, early) as edge:
            for story in stories:
                title = f"{name}: {story.__name__}"
                try:
                    asyncio.run(asyncio.wait_for(session(edge.port, story), 30))
                    passed += 1
                    print(f"ok      {title}", flush=True)
                except Exception as error:  # noqa: BLE001: told, and counted
                    failed += 1
                    print(f"FAILED  {title}: {error!r}", flush=True)
            versions = {json.loads(line)["cs-protocol-version"] for line in edge.log_lines()}
            ok = versions == {"HTTP/3.0"}
            passed, failed = passed + ok, failed + (not ok)
            print(f"{'ok     ' if ok else 'FAILED '} {name}: the access log says {versions}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def serve(site: Path) -> int:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class Edge:
    def __init__(self, binary: Path, folder: Path, origin: int, listen: str, early: str) -> None:
        self.port = free_port()
        self.log = folder / f"access-{self.port}.log"
        config = folder / f"edgeseal-{self.port}.toml"
        config.write_text(CONFIG.format(https=self.port, origin=origin, listen=listen, early=early, log=self.log))
        self.command = [binary, "run", "--config", config]

    def __enter__(self) -> Edge:
        self.child = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                if self.child.poll() is not None or time.monotonic() > deadline:
                    self.child.kill()
                    sys.exit(f"edgeseal does not start:\n{self.child.stderr.read()}")
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self.child.terminate()
        if self.child.wait(timeout=40) != 0:
            print(f"edgeseal ended with {self.child.returncode}:\n{self.child.stderr.read()}")

    def log_lines(self) -> list[str]:
        time.sleep(0.3)  # the writer rests for 10 ms
        return self.log.read_text().splitlines()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
        tcp.bind(("127.0.0.1", 0))
        return tcp.getsockname()[1]


async def session(port: int, story) -> None:
    if story is early_data:
        return await early_data(port)
    async with connected(port) as viewer:
        await story(viewer)


def connected(port: int, ticket=None, keep=None):
    """`ticket`: of an earlier session, with which the viewer asks at once; `keep`: takes those that come."""
    from aioquic.asyncio import connect
    from aioquic.h3.connection import H3_ALPN
    from aioquic.quic.configuration import QuicConfiguration

    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name="localhost")
    configuration.verify_mode = ssl.CERT_NONE
    configuration.session_ticket = ticket
    return connect(
        "127.0.0.1",
        port,
        configuration=configuration,
        create_protocol=viewer_class(),
        session_ticket_handler=keep,
        wait_connected=ticket is None,
    )


def viewer_class():
    from aioquic.asyncio.protocol import QuicConnectionProtocol
    from aioquic.h3.connection import H3Connection
    from aioquic.h3.events import DataReceived, HeadersReceived
    from aioquic.quic.events import ConnectionTerminated, StreamReset

    class Http(H3Connection):
        """aioquic 1.7 wants the body that the answer to a HEAD announces, and does not have (RFC 9114 §4.1.2)."""

        heads: set[int] = set()

        def _check_content_length(self, stream) -> None:
            if stream.stream_id not in self.heads:
                super()._check_content_length(stream)

    class Viewer(QuicConnectionProtocol):
        def __init__(self, *args, **kwargs) -> None:
            super().__init__(*args, **kwargs)
            self.http = Http(self._quic)
            self.answers: dict[int, dict] = {}

        async def ask(self, method: str, path: str, fields: dict[str, str] = {}, body: bytes = b"") -> dict:
            stream = self._quic.get_next_available_stream_id()
            answer = {"headers": {}, "body": bytearray(), "done": asyncio.get_running_loop().create_future()}
            self.answers[stream] = answer
            if method == "HEAD":
                self.http.heads = self.http.heads | {stream}
            head = {":method": method, ":scheme": "https", ":authority": "localhost", ":path": path, **fields}
            self.http.send_headers(
                stream, [(name.encode(), value.encode()) for name, value in head.items()], end_stream=not body
            )
            if body:
                self.http.send_data(stream, body, end_stream=True)
            self.transmit()
            await answer["done"]
            return answer

        def quic_event_received(self, event) -> None:
            if isinstance(event, StreamReset) and event.stream_id in self.answers:
                self.fail(event.stream_id, f"reset with {event.error_code:#x}")
            if isinstance(event, ConnectionTerminated):
                for stream in self.answers:
                    self.fail(stream, f"the connection ended: {event}")
            for h3 in self.http.handle_event(event):
                if not isinstance(h3, (HeadersReceived, DataReceived)) or h3.stream_id not in self.answers:
                    continue
                answer = self.answers[h3.stream_id]
                if isinstance(h3, HeadersReceived):
                    answer["headers"].update((name.decode(), value.decode()) for name, value in h3.headers)
                else:
                    answer["body"] += h3.data
                if h3.stream_ended and not answer["done"].done():
                    answer["done"].set_result(None)

        def fail(self, stream: int, why: str) -> None:
            done = self.answers[stream]["done"]
            if not done.done():
                done.set_exception(RuntimeError(why))

    return Viewer


def expect(seen: object, expected: object) -> None:
    if seen != expected:
        raise AssertionError(f"{seen!r}, not {expected!r}")


async def answers(viewer) -> None:
    for _ in ("first", "again"):
        got = await viewer.ask("GET", "/a.txt", {"user-agent": "aioquic"})
        expect((got["headers"][":status"], bytes(got["body"])), ("200", b"abcdefghij"))
    expect(got["headers"]["x-cache"], "Hit from edgeseal")
    head = await viewer.ask("HEAD", "/a.txt")
    expect((head["headers"][":status"], head["headers"]["content-length"], bytes(head["body"])), ("200", "10", b""))
    part = await viewer.ask("GET", "/a.txt", {"range": "bytes=2-4"})
    expect((part["headers"][":status"], bytes(part["body"])), ("206", b"cde"))
    same = await viewer.ask("GET", "/a.txt", {"if-modified-since": got["headers"]["last-modified"]})
    expect((same["headers"][":status"], bytes(same["body"])), ("304", b""))
    lost = await viewer.ask("GET", "/none.txt", {"x-large": "v" * 20_000})
    expect(lost["headers"][":status"], "404")


async def large(viewer) -> None:
    got = await viewer.ask("GET", "/large.bin")
    expect((got["headers"][":status"], len(got["body"]), bytes(got["body"]) == LARGE), ("200", len(LARGE), True))


async def many(viewer) -> None:
    got = await asyncio.gather(*(viewer.ask("GET", "/a.txt") for _ in range(100)))
    expect({(one["headers"][":status"], bytes(one["body"])) for one in got}, {("200", b"abcdefghij")})


async def urgent(viewer) -> None:
    """PRIORITY_UPDATE, before the request (RFC 9218 §7.2)."""
    stream = viewer._quic.get_next_available_stream_id()
    payload = bytes([stream]) + b"u=0"
    frame = (0x800F0700).to_bytes(4, "big") + bytes([len(payload)]) + payload
    viewer._quic.send_stream_data(viewer.http._local_control_stream_id, frame)
    got = await viewer.ask("GET", "/a.txt")
    expect((got["headers"][":status"], bytes(got["body"])), ("200", b"abcdefghij"))


async def early_data(port: int) -> None:
    tickets = []
    async with connected(port, keep=tickets.append) as viewer:
        expect((await viewer.ask("GET", "/a.txt"))["headers"][":status"], "200")
    async with connected(port, ticket=tickets[0]) as viewer:
        got = await viewer.ask("GET", "/a.txt")
        expect((got["headers"][":status"], bytes(got["body"])), ("200", b"abcdefghij"))
        expect((viewer._quic.tls.session_resumed, viewer._quic.tls.early_data_accepted), (True, True))
        expect((await viewer.ask("POST", "/a.txt"))["headers"][":status"], "403")
    # A session is good once.
    async with connected(port, ticket=tickets[0]) as viewer:
        viewer.transmit()
        await viewer.wait_connected()
        expect((viewer._quic.tls.session_resumed, viewer._quic.tls.early_data_accepted), (False, False))


async def upload_refused(viewer) -> None:
    got = await viewer.ask("POST", "/a.txt", {"content-length": "300000"}, b"v" * 300_000)
    expect(got["headers"][":status"], "403")
    again = await viewer.ask("GET", "/a.txt")
    expect(again["headers"][":status"], "200")


if __name__ == "__main__":
    sys.exit(main())
