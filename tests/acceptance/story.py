"""The story, step by step. A step returns what it saw; the citations are to the behaviour book and interface.md."""

from __future__ import annotations

import concurrent.futures
import gzip
import json
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from edge import Edge
from report import Mismatch, Story, expect, expect_in, poll, require
from store import BUCKET, KMS_KEY, LOGS, LOGS_PREFIX, MARKER, PREFIX, Identity, Store
from tap import Tap
from viewer import Answer, curl, loose, strict

VIEWERS = 20
GRACE = 45.0  # interface.md: requests in flight get 30 s, and then there is a drain delay

story = Story()
step = story.step


@dataclass
class World:
    binary: Path
    folder: Path
    store: Store
    tap: Tap | None = None
    edge: Edge | None = None

    def fetches(self, name: str) -> int:
        """How often the store was asked for this object."""
        return sum(unquote(request.target) == f"/{BUCKET}/{PREFIX}/{name}" for request in self.tap.requests)

    def stop(self) -> None:
        if self.edge:
            self.edge.child.stop()
        if self.tap:
            self.tap.stop()
        self.store.stop()


# The store, before there is an edge.


@step("SeaweedFS starts on loopback", vital=True)
def store_starts(world: World) -> str:
    world.store.start()
    return f"{world.store.endpoint}, pid {world.store.child.process.pid}"


@step("the AWS CLI seeds a bucket with SSE-KMS objects", vital=True)
def store_is_seeded(world: World) -> str:
    store = world.store
    store.seed()
    listing = store.aws("s3api", "list-objects-v2", "--bucket", BUCKET, "--prefix", f"{PREFIX}/", "--output", "json")
    keys = sorted(entry["Key"] for entry in json.loads(listing)["Contents"])
    expect("keys in the bucket", keys, sorted(f"{PREFIX}/{name}" for name in store.objects))
    return f"{len(keys)} objects under {PREFIX}/, awkward names among them"


@step("the store says that they are SSE-KMS")
def store_says_kms(world: World) -> str:
    head = ("s3api", "head-object", "--bucket", BUCKET, "--output", "json", "--key")
    told = json.loads(world.store.aws(*head, f"{PREFIX}/index.html"))
    expect("ServerSideEncryption", told.get("ServerSideEncryption"), "aws:kms")
    expect("SSEKMSKeyId", told.get("SSEKMSKeyId"), KMS_KEY)
    clear = json.loads(world.store.aws(*head, "clear.txt"))
    expect("ServerSideEncryption of the object in clear", clear.get("ServerSideEncryption"), None)
    return f"aws:kms, key {KMS_KEY}"


@step("the bytes on the store's disk are not the plaintext")
def store_encrypts(world: World) -> str:
    require(world.store.holds("stored in the clear"), "the object in clear is not found on disk: nothing was looked at")
    require(not world.store.holds(MARKER), "the plaintext of an SSE-KMS object is on the store's disk")
    return "only the object that was stored in the clear can be read there"


@step("the bucket refuses an unsigned request")
def store_refuses_unsigned(world: World) -> str:
    answer = curl(f"{world.store.endpoint}/{BUCKET}/{PREFIX}/index.html")
    expect("status", answer.status, 403)
    return f"403 {error_code(answer.body.decode())}"


@step("the bucket refuses a wrong secret")
def store_refuses_wrong_secret(world: World) -> str:
    wrong = Identity(world.store.reader.access_key, "not-the-secret")
    code, error = get_object(world, f"{PREFIX}/index.html", wrong)
    require(code != 0 and "SignatureDoesNotMatch" in error, f"exit {code}: {error}")
    return "SignatureDoesNotMatch"


@step("the reader's role is narrow")
def reader_is_narrow(world: World) -> str:
    reader = world.store.reader
    code, error = get_object(world, f"{PREFIX}/index.html", reader)
    expect("exit of a read under the prefix", (code, error), (0, ""))
    code, error = get_object(world, "secret.txt", reader)
    require(code != 0 and "AccessDenied" in error, f"a read outside the prefix: exit {code}: {error}")
    code, _, error = world.store.try_aws("s3api", "list-objects-v2", "--bucket", BUCKET, identity=reader)
    require(code != 0 and "AccessDenied" in error, f"a listing: exit {code}: {error}")
    return f"reads {PREFIX}/*; outside it and to list: AccessDenied"


# The edge in front of it.


@step("edgeseal runs from one line", vital=True)
def edge_starts(world: World) -> str:
    world.tap = Tap(world.store.port)
    world.edge = Edge(world.binary, world.folder, world.tap.endpoint, world.store.reader)
    world.edge.await_listening()
    return ", ".join(f"{name} {address}" for name, address in sorted(world.edge.addresses.items()))


@step("it becomes ready")
def edge_is_ready(world: World) -> str:
    expect("/healthz", world.edge.admin("/healthz").status, 200)
    poll("/readyz answers 200", lambda: world.edge.admin("/readyz").status == 200)
    return "/healthz 200, /readyz 200"


@step("the first viewer gets the object from the bucket, over verified TLS")
def first_is_miss(world: World) -> str:
    answer = world.edge.https("/index.html")
    expect("status", answer.status, 200)
    expect("X-Cache", answer.cache, "Miss from edgeseal")
    expect("body", answer.body, world.store.objects["index.html"])
    return f"{seen(answer)}, HTTP/{answer.version}"


@step("the next viewer gets it from memory")
def second_is_hit(world: World) -> str:
    answer = world.edge.https("/index.html")
    expect("status", answer.status, 200)
    expect("X-Cache", answer.cache, "Hit from edgeseal")
    expect("body", answer.body, world.store.objects["index.html"])
    require(answer.headers.get("age", "").isdigit(), f"Age: saw {answer.headers.get('age')!r}")
    expect("requests that reached the store", world.fetches("index.html"), 1)
    return f"{seen(answer)}, Age {answer.headers['age']}, one request reached the store"


@step("HTTP/1.1 and HTTP/2 are chosen by ALPN")
def alpn(world: World) -> str:
    versions = [world.edge.https("/index.html", option).version for option in ("--http1.1", "--http2")]
    expect("versions", versions, ["1.1", "2"])
    return " and ".join(versions)


@step("every awkward key is fetched, percent-encoded")
def awkward_keys(world: World) -> str:
    return fetch_all(world, strict)


@step("and as a browser writes it")
def awkward_keys_loose(world: World) -> str:
    return fetch_all(world, loose)


@step("plain HTTP is redirected to the HTTPS listener (behaviour §2.1)")
def http_redirects(world: World) -> str:
    answer = world.edge.http("/sub/a%20page?q=1")
    expect("status", answer.status, 301)
    _, port = world.edge.https_listener()
    expect("Location", answer.headers.get("location"), f"https://127.0.0.1:{port}/sub/a%20page?q=1")
    expect("X-Cache", answer.cache, "Redirect from edgeseal")
    return f"301 {answer.headers['location']}"


@step("HEAD has the head and no body")
def head_request(world: World) -> str:
    answer = world.edge.https_bytes(b"HEAD /index.html HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    expect("status", answer.status, 200)
    expect("Content-Length", answer.headers.get("content-length"), str(len(world.store.objects["index.html"])))
    expect("body", answer.body, b"")
    return f"200, Content-Length {answer.headers['content-length']}"


@step("a range of an object that nobody had asked for")
def cold_range(world: World) -> str:
    return expect_range(world, "cold.bin", "4194300-4194309", slice(4194300, 4194310))


@step("ranges of a stored object: across the store's chunks, and its end (behaviour §6)")
def stored_ranges(world: World) -> str:
    big = world.store.objects["big.bin"]
    whole = world.edge.https("/big.bin")
    expect("whole object", (whole.status, whole.body == big), (200, True))
    middle = expect_range(world, "big.bin", "4194300-4194309", slice(4194300, 4194310))
    tail = expect_range(world, "big.bin", "-7", slice(len(big) - 7, len(big)))
    expect("requests that reached the store", world.fetches("big.bin"), 1)
    return f"{middle}; {tail}; one request reached the store"


@step("a range past the end")
def range_past_end(world: World) -> str:
    answer = world.edge.https("/big.bin", "--range", "99999999-")
    expect("status", answer.status, 416)
    return "416"


@step("If-None-Match with the object's ETag")
def not_modified(world: World) -> str:
    tag = world.edge.https("/index.html").headers.get("etag")
    require(bool(tag), "the object came without an ETag")
    answer = world.edge.https("/index.html", "--header", f"If-None-Match: {tag}")
    expect("status and body", (answer.status, answer.body), (304, b""))
    other = world.edge.https("/index.html", "--header", 'If-None-Match: "another"')
    expect("status with another tag", other.status, 200)
    return f"304 for {tag}, 200 for another"


@step("objects outside the prefix are not reachable")
def outside_prefix(world: World) -> str:
    paths = (
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2Fsecret.txt",
        "/sub/../../secret.txt",
        "/../site-other/secret.txt",
        "//private-assets/secret.txt",
        "/-other/secret.txt",
    )
    statuses = []
    for path in paths:
        answer = world.edge.https(path)
        require(world.store.outside not in answer.body, f"{path} gave the object outside the prefix")
        expect_in(f"status of {path}", answer.status, (400, 403, 404))
        statuses.append(str(answer.status))
    return " ".join(statuses)


@step("a missing key tells nothing about bucket, keys or accounts")
def missing_key(world: World) -> str:
    answer = world.edge.https("/nothing/here.txt")
    expect_in("status", answer.status, (403, 404))
    expect("X-Cache", answer.cache, "Error from edgeseal")
    page = answer.body.decode()
    for told in (BUCKET, f"{PREFIX}/nothing", KMS_KEY, "arn:", "AKIA", "<Resource>", "127.0.0.1"):
        require(told not in page, f"the page tells {told!r}: {page!r:.300}")
    require(answer.headers.get("x-amz-cf-id", "?") in page, "the page does not carry its request id")
    return f"{seen(answer)}, page with the request id"


@step("other methods are refused (behaviour §2.2)")
def other_methods(world: World) -> str:
    before = len(world.tap.requests)
    post = world.edge.https("/index.html", "--data", "x=1")
    delete = world.edge.https("/index.html", "--request", "DELETE")
    expect("statuses", (post.status, delete.status), (403, 403))
    expect("requests that reached the store", len(world.tap.requests) - before, 0)
    return "POST 403, DELETE 403, the store was not asked"


@step("no query string reaches S3")
def query_strings(world: World) -> str:
    for query in ("acl", "versionId=1", "X-Amz-Signature=1", "list-type=2"):
        answer = world.edge.https(f"/query.html?{query}")  # cold at the first of them
        expect(f"?{query}", (answer.status, answer.body), (200, world.store.objects["query.html"]))
        answer = world.edge.https(f"/?{query}")
        require(b"ListBucketResult" not in answer.body and b"AccessControl" not in answer.body, f"/?{query} lists")
        expect_in(f"status of /?{query}", answer.status, (200, 403, 404))
    asked = [request.target for request in world.tap.requests if "?" in request.target]
    expect("queries that reached the store", asked, [])
    expect("requests that reached the store", world.fetches("query.html"), 1)
    return "?acl ?versionId ?X-Amz-Signature ?list-type on an object and on /: none passed on, one object for all"


@step("a viewer's Authorization and x-amz-* headers stay outside the signed request")
def viewer_headers(world: World) -> str:
    # A name that nobody asked for yet: what reaches the store can be looked at.
    smuggled = ("--header", "Authorization: Bearer viewer-token", "--header", "x-amz-acl: public-read")
    before = len(world.tap.requests)
    world.edge.https("/viewer-headers.txt", *smuggled)
    asked = world.tap.requests[before:]
    require(bool(asked), "the store was not asked")
    for request in asked:
        require("viewer-token" not in request.raw, "the viewer's Authorization reached the store")
        require("x-amz-acl" not in request.headers, "the viewer's x-amz-acl reached the store")
    return f"{len(asked)} request looked at"


@step(f"{VIEWERS} viewers on one cold object: one fetch")
def crowd(world: World) -> str:
    edge = world.edge
    collapsed = "edgeseal_cache_collapsed_requests_total"
    before = edge.metric(collapsed)
    with concurrent.futures.ThreadPoolExecutor(VIEWERS) as pool:
        with world.tap.holding_answers():
            viewers = [pool.submit(edge.https, "/crowd.bin") for _ in range(VIEWERS)]
            waiting = lambda: edge.metric(collapsed) - before == VIEWERS - 1  # noqa: E731
            poll("all but one viewer wait for the same fetch", waiting, seconds=15)
        answers = [viewer.result() for viewer in viewers]
    for answer in answers:
        expect("status and equal bytes", (answer.status, answer.body == world.store.objects["crowd.bin"]), (200, True))
    expect("requests that reached the store", world.fetches("crowd.bin"), 1)
    return f"{VIEWERS} × 200 with equal bytes, one request reached the store"


@step("every request to the store was signed by the reader and stayed under the prefix")
def all_signed(world: World) -> str:
    for request in world.tap.requests:
        signature = request.headers.get("authorization", "")
        start = f"AWS4-HMAC-SHA256 Credential={world.store.reader.access_key}/"
        require(signature.startswith(start), f"{request.method} {request.target}: Authorization {signature[:60]!r}")
        inside = request.target.startswith(f"/{BUCKET}/{PREFIX}/")
        require(inside and request.method in ("GET", "HEAD"), f"{request.method} {request.target} left the prefix")
    return f"{len(world.tap.requests)} requests"


@step("the metrics count it (interface.md)")
def metrics(world: World) -> str:
    results = ("Hit", "Miss", "Redirect", "Error")
    counts = {result: world.edge.metric("edgeseal_requests_total", result=result) for result in results}
    for result, count in counts.items():
        require(count > 0, f'edgeseal_requests_total{{result="{result}"}}: {count}')
    fetched = world.edge.metric("edgeseal_origin_requests_total", status="200")
    require(fetched > 0, f'edgeseal_origin_requests_total{{status="200"}}: {fetched}')
    require(world.edge.metric("edgeseal_cache_bytes") > 0, "edgeseal_cache_bytes is 0")
    return ", ".join(f"{result} {count:.0f}" for result, count in counts.items()) + f", origin 200 {fetched:.0f}"


@step("SIGTERM ends it with 0")
def sigterm(world: World) -> str:
    child = world.edge.child
    child.process.send_signal(signal.SIGTERM)
    expect("exit code", child.wait(GRACE), 0)
    gone = curl(f"https://{world.edge.addresses['https']}/", "--insecure", quiet=True)
    expect("status after the end", gone.status, 0)
    return "exit 0"


@step("the access log has every request id, and no secret is in any output")
def access_log(world: World) -> str:
    child = world.edge.child
    lines = [json.loads(line) for line in child.out if line.startswith("{")]
    logged = {line.get("x-edge-request-id") for line in lines}
    ids = world.edge.request_ids
    require(None not in ids, "an answer came without X-Amz-Cf-Id")
    expect("request ids that are not in the log", [one for one in ids if one not in logged], [])
    output = "\n".join(child.out + child.err)
    for name, secret in (("reader's secret", world.store.reader.secret), ("viewer's token", "viewer-token")):
        require(secret not in output, f"the {name} is in the output")
    return f"{len(lines)} lines for {len(ids)} requests"


@step("another edge sends CloudFront's standard logs to a bucket, which the store finds signed")
def logs_in_bucket(world: World) -> str:
    world.store.aws("s3api", "create-bucket", "--bucket", LOGS)
    folder = world.folder / "logs"
    config = world.folder / "logging.toml"
    config.write_text(
        f"""
        [log.standard]
        directory = {json.dumps(str(folder))}
        upload = "s3://{LOGS}/{LOGS_PREFIX}"
        upload_region = "us-east-1"
        [[distribution]]
        id = "E2EXAMPLE"
        [[distribution.origin]]
        bucket = "{BUCKET}"
        region = "us-east-1"
        origin_path = "/{PREFIX}"
        """
    )
    edge = Edge(world.binary, world.folder, world.store.endpoint, world.store.reader, "--config", str(config))
    try:
        edge.await_listening()
        for path in ("/index.html", "/index.html?a=1", "/nothing"):
            edge.https(path)
    finally:
        edge.child.process.send_signal(signal.SIGTERM)
    expect("exit code", edge.child.wait(GRACE), 0)
    listing = world.store.aws("s3api", "list-objects-v2", "--bucket", LOGS, "--output", "json")
    keys = [entry["Key"] for entry in json.loads(listing)["Contents"]]
    require(len(keys) in (1, 2), f"{keys}")  # two, if an hour ended in between
    rows = []
    for key in keys:
        expected = rf"{LOGS_PREFIX}/E2EXAMPLE\.\d{{4}}-\d\d-\d\d-\d\d\.[A-Z0-9]{{11}}\.gz"
        require(re.fullmatch(expected, key) is not None, f"{key} is not named as CloudFront's")
        copy = world.folder / "log.gz"
        world.store.aws("s3", "cp", "--only-show-errors", f"s3://{LOGS}/{key}", str(copy))
        rows += [line.split("\t") for line in gzip.decompress(copy.read_bytes()).decode().splitlines()[2:]]
    # Those of several workers are in no order.
    expect("what was asked", sorted(row[7] for row in rows), ["/index.html", "/index.html", "/nothing"])
    expect("request ids", sorted(row[14] for row in rows), sorted(edge.request_ids))
    expect("fields of each", {len(row) for row in rows}, {33})
    expect("what is left here", [path.name for path in folder.iterdir()], [])
    return ", ".join(keys)


def seen(answer: Answer) -> str:
    return f"{answer.status} {answer.cache}, {len(answer.body)} bytes"


def error_code(xml: str) -> str:
    found = re.search(r"<Code>(\w+)</Code>", xml)
    return found[1] if found else "without a code"


def get_object(world: World, key: str, identity: Identity) -> tuple[int, str]:
    fetch = ("s3api", "get-object", "--bucket", BUCKET, "--key", key, str(world.folder / "fetched"))
    code, _, error = world.store.try_aws(*fetch, identity=identity)
    return code, error.strip()


def fetch_all(world: World, write) -> str:
    names = [name for name in world.store.objects if name.endswith(".txt")]
    wrong = []
    for name in names:
        answer = world.edge.https(write(name))
        if (answer.status, answer.body) != (200, world.store.objects[name]):
            wrong.append(f"{write(name)} {answer.status}")
    if wrong:
        raise Mismatch("; ".join(wrong))
    return f"{len(names)} keys, bytes equal"


def expect_range(world: World, name: str, asked: str, part: slice) -> str:
    whole = world.store.objects[name]
    answer = world.edge.https(strict(name), "--range", asked)
    expect("status", answer.status, 206)
    expect("body", answer.body, whole[part])
    span = f"bytes {part.start}-{part.stop - 1}/{len(whole)}"
    expect("Content-Range", answer.headers.get("content-range"), span)
    return f"206 {span}"
