"""A relay between the edge and the store that notes every request head: the witness of what reached S3."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from dataclasses import dataclass
from typing import Iterator


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]  # names in lower case
    raw: str

    @classmethod
    def parse(cls, head: bytes) -> "Request":
        raw = head.decode("latin-1")
        first, *rest = raw.split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in rest)
        return cls(method, target, {name.lower(): value.strip() for name, _, value in pairs}, raw)


class Tap:
    """Bytes pass through untouched. Reads heads only, which is enough: an edge sends no request bodies."""

    def __init__(self, store_port: int):
        self.requests: list[Request] = []
        self._open = threading.Event()
        self._open.set()
        tap = self

        class Relay(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(("127.0.0.1", store_port)) as store:
                    back = threading.Thread(target=tap._answers, args=(store, self.request), daemon=True)
                    back.start()
                    tap._asks(self.request, store)
                    back.join()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Relay)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def holding_answers(self) -> Iterator[None]:
        """No answer reaches the edge until the block ends."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def stop(self) -> None:
        self._open.set()
        self._server.shutdown()
        self._server.server_close()

    def _asks(self, edge: socket.socket, store: socket.socket) -> None:
        pending = b""
        with contextlib.suppress(OSError):
            while data := edge.recv(65536):
                pending += data
                *heads, pending = pending.split(b"\r\n\r\n")
                self.requests += [Request.parse(head) for head in heads]
                store.sendall(data)
            store.shutdown(socket.SHUT_WR)

    def _answers(self, store: socket.socket, edge: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := store.recv(65536):
                self._open.wait()
                edge.sendall(data)
            edge.shutdown(socket.SHUT_WR)
