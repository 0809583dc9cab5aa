"""What is around the servers: packages, a certificate, facts of the machine, and the look whether a cache works at all."""

import http.client
import os
import platform
import re
import ssl
import subprocess
import sys
import time

from servers import SIZES

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
POLICY = "/usr/sbin/policy-rc.d"


def install(packages):
    """From Debian, without starting any service."""
    if os.geteuid() != 0:
        sys.exit("--install needs root")
    own = not os.path.exists(POLICY)
    if own:
        with open(POLICY, "w") as file:
            file.write("#!/bin/sh\nexit 101\n")
        os.chmod(POLICY, 0o755)
    try:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update"], check=True, env=environment)
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *packages], check=True, env=environment)
    finally:
        if own:
            os.remove(POLICY)


def ram():
    """A RAM file system, if there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def certificate(folder):
    """One ECDSA P-256 certificate for localhost: paths of it, of its key, and of both in one file."""
    cert, key, pem = (os.path.join(folder, name) for name in ("cert.pem", "key.pem", "both.pem"))
    request = os.path.join(folder, "request.cnf")
    with open(request, "w") as file:
        file.write(
            "[req]\nprompt = no\ndistinguished_name = name\nx509_extensions = leaf\n[name]\nCN = localhost\n"
            "[leaf]\nbasicConstraints = critical, CA:FALSE\nkeyUsage = digitalSignature\n"
            "extendedKeyUsage = serverAuth\nsubjectAltName = DNS:localhost, IP:127.0.0.1\n"
        )
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30".split()
    subprocess.run(command + ["-config", request, "-keyout", key, "-out", cert], check=True, capture_output=True)
    with open(pem, "w") as both:
        for path in (cert, key):
            with open(path) as file:
                both.write(file.read())
    return cert, key, pem


def openssl_conf(folder, suite):
    """Makes wrk and h2load offer TLS 1.3 with one suite and X25519, as compare-client does."""
    path = os.path.join(folder, "openssl.cnf")
    with open(path, "w") as file:
        file.write(
            "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = default\n[default]\n"
            f"MinProtocol = TLSv1.3\nCiphersuites = {suite}\nGroups = X25519\n"
        )
    return path


def facts():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*:\s*(.*)", file.read())
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) >> 20
    system = "?"
    if os.path.exists("/etc/os-release"):
        with open("/etc/os-release") as file:
            system = re.search(r'PRETTY_NAME="?([^"\n]*)', file.read()).group(1)
    return {
        "processor": model.group(1) if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "gib": memory,
        "kernel": platform.release(),
        "system": system,
        "load": os.getloadavg(),
    }


def check(stage, server, within=10):
    """Is what is to be hits really hits, with the right status and length? Raises if not; notes rows that a server has
    not. Returns what its answers look like. "Hit" means that the origin has not been asked."""
    end = time.monotonic() + within
    while True:
        try:
            return look(stage, server)
        except (AssertionError, OSError, http.client.HTTPException) as error:
            # A cache may need a moment to open.
            if time.monotonic() > end:
                raise RuntimeError(f"{server.name}: {error!r}") from None
            time.sleep(0.3)


def look(stage, server):
    context = ssl.create_default_context(cafile=stage.cert)
    tls = http.client.HTTPSConnection("localhost", server.https, timeout=10, context=context)
    plain = http.client.HTTPConnection("localhost", server.http, timeout=10)
    paths = [(tls, f"/o/{name}", size) for name, size in SIZES.items()] + [(plain, "/o/1k", SIZES["1k"])]
    for connection, path, size in paths * 2:
        ask(connection, "GET", path, 200, size)
    asked = stage.origin.requests()
    for connection, path, size in paths:
        answer = ask(connection, "GET", path, 200, size)
    if stage.origin.requests() != asked:
        raise AssertionError("what should be a hit went to the origin")
    head = "HTTP/1.1 200 OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in answer.getheaders()) + "\r\n"
    with open(os.path.join(server.here, "head"), "w", newline="") as file:
        file.write(head)
    stage.etags["1k"] = etag = answer.getheader("ETag")
    for row, path, method, fields, status, length in (
        ("304", "/o/1k", "GET", {"If-None-Match": etag}, 304, 0),
        ("206", "/o/100k", "GET", {"Range": "bytes=50000-51023"}, 206, 1024),
        ("head", "/o/1k", "HEAD", {}, 200, 0),
    ):
        server.unsupported.pop(row, None)
        try:
            ask(tls, method, path, status, length, fields)
        except AssertionError as error:
            server.unsupported[row] = str(error)
    if stage.origin.requests() != asked:
        raise AssertionError("a condition, a range or a HEAD of what is stored went to the origin")
    tls.close()
    plain.close()
    return {"bytes": len(head), "fields": len(answer.getheaders())}


def ask(connection, method, path, status, length, fields=None):
    connection.request(method, path, headers=fields or {})
    answer = connection.getresponse()
    body = answer.read()
    if (answer.status, len(body)) != (status, length):
        raise AssertionError(f"{method} {path}: {answer.status} with {len(body)} bytes, not {status} with {length}")
    return answer
