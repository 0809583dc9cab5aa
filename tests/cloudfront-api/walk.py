"""The walk itself, in the Python that has boto3. Citations are to the behaviour book."""

from __future__ import annotations

import http.client
import http.server
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "acceptance"))

import boto3  # noqa: E402
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402
from edge import Edge  # noqa: E402
from process import environment  # noqa: E402
from report import Abort, Mismatch, Report, Story, expect, poll, require  # noqa: E402
from store import Identity  # noqa: E402

ID = "E1EXAMPLE11111"
INVALIDATION = re.compile(r"I[A-Z0-9]{13}$")
BATCH = '<InvalidationBatch xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/">'

story = Story()
step = story.step


class Origin:
    """Says how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                origin.asked += 1
                body = f"{self.path}, {origin.asked}".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "max-age=3600")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


def distribution(port: int) -> dict:
    """As `aws cloudfront get-distribution-config` prints it, lists in every form."""
    behavior = {
        "TargetOriginId": "server",
        "TrustedSigners": {"Enabled": False, "Quantity": 0},
        "TrustedKeyGroups": {"Enabled": False, "Quantity": 0},
        "ViewerProtocolPolicy": "redirect-to-https",
        "AllowedMethods": {
            "Quantity": 2,
            "Items": ["HEAD", "GET"],
            "CachedMethods": {"Quantity": 2, "Items": ["HEAD", "GET"]},
        },
        "SmoothStreaming": False,
        "Compress": True,
        "LambdaFunctionAssociations": {"Quantity": 0},
        "FunctionAssociations": {"Quantity": 0},
        "FieldLevelEncryptionId": "",
        "GrpcConfig": {"Enabled": False},
    }
    policy = {"CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6"}
    legacy = {
        "ForwardedValues": {
            "QueryString": True,
            "Cookies": {"Forward": "whitelist", "WhitelistedNames": {"Quantity": 1, "Items": ["session"]}},
            "Headers": {"Quantity": 1, "Items": ["X-Variant"]},
            "QueryStringCacheKeys": {"Quantity": 1, "Items": ["v"]},
        },
        "MinTTL": 0,
        "DefaultTTL": 86400,
        "MaxTTL": 31536000,
    }
    return {
        "CallerReference": "walk-1",
        "Aliases": {"Quantity": 2, "Items": ["127.0.0.1.example.com", "cdn.example.com"]},
        "DefaultRootObject": "index.html",
        "Origins": {
            "Quantity": 2,
            "Items": [
                {
                    "Id": "server",
                    "DomainName": "localhost",
                    "OriginPath": "",
                    "CustomHeaders": {
                        "Quantity": 1,
                        "Items": [{"HeaderName": "X-Edge", "HeaderValue": "known <by> this"}],
                    },
                    "CustomOriginConfig": {
                        "HTTPPort": port,
                        "HTTPSPort": 443,
                        "OriginProtocolPolicy": "http-only",
                        "OriginSslProtocols": {"Quantity": 1, "Items": ["TLSv1.2"]},
                        "OriginReadTimeout": 30,
                        "OriginKeepaliveTimeout": 5,
                    },
                    "ConnectionAttempts": 3,
                    "ConnectionTimeout": 10,
                    "OriginShield": {"Enabled": False},
                    "OriginAccessControlId": "",
                },
                {
                    "Id": "bucket",
                    "DomainName": "my-bucket.s3.eu-west-1.amazonaws.com",
                    "OriginPath": "/site",
                    "CustomHeaders": {"Quantity": 0},
                    "S3OriginConfig": {"OriginAccessIdentity": "", "OriginReadTimeout": 30},
                    "ConnectionAttempts": 3,
                    "ConnectionTimeout": 10,
                    "OriginShield": {"Enabled": False},
                    "OriginAccessControlId": "E2OACEXAMPLE",
                },
            ],
        },
        "OriginGroups": {
            "Quantity": 1,
            "Items": [
                {
                    "Id": "both",
                    "FailoverCriteria": {"StatusCodes": {"Quantity": 2, "Items": [500, 503]}},
                    "Members": {"Quantity": 2, "Items": [{"OriginId": "server"}, {"OriginId": "bucket"}]},
                }
            ],
        },
        "DefaultCacheBehavior": {**behavior, **policy},
        "CacheBehaviors": {
            "Quantity": 2,
            "Items": [
                {**behavior, **policy, "PathPattern": "img/*", "TargetOriginId": "both"},
                {**behavior, **legacy, "PathPattern": "old/*"},
            ],
        },
        "CustomErrorResponses": {
            "Quantity": 1,
            "Items": [
                {"ErrorCode": 404, "ResponsePagePath": "/404.html", "ResponseCode": "200", "ErrorCachingMinTTL": 10}
            ],
        },
        "Comment": "the walk's & nobody else's",
        "Logging": {"Enabled": False, "IncludeCookies": False, "Bucket": "", "Prefix": ""},
        "PriceClass": "PriceClass_All",
        "Enabled": True,
        "ViewerCertificate": {
            "CloudFrontDefaultCertificate": False,
            "ACMCertificateArn": "arn:aws:acm:us-east-1:111122223333:certificate/1",
            "SSLSupportMethod": "sni-only",
            "MinimumProtocolVersion": "TLSv1.2_2021",
            "Certificate": "arn:aws:acm:us-east-1:111122223333:certificate/1",
            "CertificateSource": "acm",
        },
        "Restrictions": {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}},
        "WebACLId": "",
        "HttpVersion": "http2and3",
        "IsIPV6Enabled": True,
        "ContinuousDeploymentPolicyId": "",
        "Staging": False,
        "CacheTagConfig": {"HeaderName": "x-tags"},
    }


@dataclass
class World:
    binary: Path
    folder: Path
    admin: Identity = field(default_factory=Identity.new)
    origin: Origin = field(default_factory=Origin)
    edge: Edge | None = None
    config: dict = field(default_factory=dict)
    made: str = ""

    @property
    def endpoint(self) -> str:
        return f"http://{self.edge.addresses['admin']}"

    def variables(self, identity: Identity | None = None) -> dict[str, str]:
        who = identity or self.admin
        return environment(
            self.folder,
            AWS_ACCESS_KEY_ID=who.access_key,
            AWS_SECRET_ACCESS_KEY=who.secret,
            AWS_DEFAULT_REGION="eu-west-1",  # whatever a user has: CloudFront is in none
            AWS_EC2_METADATA_DISABLED="true",
        )

    def try_aws(self, *arguments: str, identity: Identity | None = None) -> tuple[int, str, str]:
        command = [str(Path(sys.executable).parent / "aws"), "--endpoint-url", self.endpoint, "--output", "json"]
        done = subprocess.run(
            [*command, "cloudfront", *arguments],
            env=self.variables(identity),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr.strip()

    def aws(self, *arguments: str) -> dict:
        code, out, error = self.try_aws(*arguments)
        if code != 0:
            raise Mismatch(f"aws cloudfront {arguments[0]}: exit {code}: {error}")
        return json.loads(out) if out else {}

    def boto(self, identity: Identity | None = None):
        who = identity or self.admin
        return boto3.client(
            "cloudfront",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=who.access_key,
            aws_secret_access_key=who.secret,
            config=Config(retries={"max_attempts": 0}),
        )

    def fetch(self, path: str) -> str:
        answer = self.edge.https(path, "-H", "Host: cdn.example.com")
        expect("status", answer.status, 200)
        return answer.body.decode()


def batch(reference: str, *paths: str) -> dict:
    return {"Paths": {"Quantity": len(paths), "Items": list(paths)}, "CallerReference": reference}


def code_of(call, **arguments) -> tuple[int, str]:
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    raise Mismatch("it was not refused")


@step("edgeseal starts with a distribution of CloudFront's and an administrator's key", vital=True)
def edge_starts(world: World) -> str:
    world.config = distribution(world.origin.port)
    exported = {"ETag": "E1", "Distribution": {"Id": ID, "DomainName": "d1.cloudfront.net", "DistributionConfig": world.config}}
    (world.folder / "distribution.json").write_text(json.dumps(exported))
    secret = world.folder / "admin.secret"
    secret.write_text(world.admin.secret + "\n")
    secret.chmod(0o600)
    nobody = Identity.new()
    source = ("--distribution", str(world.folder / "distribution.json"), "--admin-key", f"{world.admin.access_key}={secret}")
    world.edge = Edge(world.binary, world.folder, "http://127.0.0.1:9", nobody, *source)
    world.edge.await_listening()
    return world.endpoint


@step("aws list-distributions")
def list_distributions(world: World) -> str:
    (one,) = world.aws("list-distributions")["DistributionList"]["Items"]
    expect("Id", one["Id"], ID)
    expect("Aliases", one["Aliases"], world.config["Aliases"])
    expect("Status", one["Status"], "Deployed")
    return f"{one['Id']} {one['DomainName']}"


@step("aws get-distribution-config prints what was exported, field by field")
def get_distribution_config(world: World) -> str:
    told = world.aws("get-distribution-config", "--id", ID)
    expect("DistributionConfig", told["DistributionConfig"], world.config)
    return f"{len(json.dumps(told))} characters, ETag {told['ETag']}"


@step("aws get-distribution, wait distribution-deployed")
def get_distribution(world: World) -> str:
    told = world.aws("get-distribution", "--id", ID)["Distribution"]
    expect("DistributionConfig", told["DistributionConfig"], world.config)
    expect("DomainName", told["DomainName"], "d1.cloudfront.net")
    world.aws("wait", "distribution-deployed", "--id", ID)
    return f"{told['ARN']} {told['Status']}"


@step("aws create-invalidation takes effect before it returns (12.14)")
def create_invalidation(world: World) -> str:
    before = [world.fetch(path) for path in ("/a", "/b", "/a", "/b")]
    expect("hits", before[:2], before[2:])
    made = world.aws("create-invalidation", "--distribution-id", ID, "--paths", "/a", "/dir/*", "/ü x&<y>")
    invalidation = made["Invalidation"]
    world.made = invalidation["Id"]
    require(bool(INVALIDATION.match(world.made)), f"the id {world.made!r} is not like CloudFront's")
    require(made["Location"].endswith(f"/2020-05-31/distribution/{ID}/invalidation/{world.made}"), made["Location"])
    paths = {"Quantity": 3, "Items": ["/a", "/dir/*", "/ü x&<y>"]}
    expect("Paths", invalidation["InvalidationBatch"]["Paths"], paths)
    after = [world.fetch("/a"), world.fetch("/b")]
    require(after[0] != before[0] and after[1] == before[1], f"{before} {after}")
    return f"{world.made} {invalidation['Status']}; {before[0]!r} is {after[0]!r} now"


@step("aws get-invalidation: Completed, wait invalidation-completed")
def wait_completed(world: World) -> str:
    get = ("get-invalidation", "--distribution-id", ID, "--id", world.made)
    # The CLI's own waiter would ask again after 20 s.
    poll("Completed", lambda: world.aws(*get)["Invalidation"]["Status"] == "Completed", 10)
    world.aws("wait", "invalidation-completed", "--distribution-id", ID, "--id", world.made)
    return "Completed"


@step("aws list-invalidations, page by page")
def list_invalidations(world: World) -> str:
    made = [world.made]
    for number in range(3):
        reply = world.boto().create_invalidation(DistributionId=ID, InvalidationBatch=batch(f"page-{number}", "/p"))
        made.insert(0, reply["Invalidation"]["Id"])
    told = world.aws("list-invalidations", "--distribution-id", ID, "--page-size", "2")
    expect("ids, the newest first", [one["Id"] for one in told["InvalidationList"]["Items"]], made)
    pages = world.boto().get_paginator("list_invalidations").paginate(DistributionId=ID, PaginationConfig={"PageSize": 1})
    expect("boto3's pages", [one["Id"] for page in pages for one in page["InvalidationList"]["Items"]], made)
    return f"{len(made)} of them"


@step("boto3: a CallerReference that comes again (12.14)")
def caller_reference(world: World) -> str:
    client = world.boto()
    first = client.create_invalidation(DistributionId=ID, InvalidationBatch=batch("again", "/a", "/b"))
    again = client.create_invalidation(DistributionId=ID, InvalidationBatch=batch("again", "/b", "/a"))
    expect("the same invalidation", again["Invalidation"]["Id"], first["Invalidation"]["Id"])
    expect("status", first["ResponseMetadata"]["HTTPStatusCode"], 201)
    other = code_of(client.create_invalidation, DistributionId=ID, InvalidationBatch=batch("again", "/c"))
    expect("other paths", other, (409, "InvalidationBatchAlreadyExists"))
    return f"{first['Invalidation']['Id']} twice, then {other[1]}"


@step("boto3: errors are CloudFront's")
def errors(world: World) -> str:
    client = world.boto()
    create = client.create_invalidation
    seen = [
        code_of(client.get_distribution, Id="E404"),
        code_of(client.get_invalidation, DistributionId=ID, Id="I404"),
        code_of(create, DistributionId=ID, InvalidationBatch=batch("no-slash", "a")),
        code_of(create, DistributionId=ID, InvalidationBatch={**batch("two", "/a"), "Paths": {"Quantity": 2, "Items": ["/a"]}}),
        code_of(create, DistributionId=ID, InvalidationBatch=batch("many", *(f"/{n}" for n in range(3001)))),
        code_of(client.list_invalidations, DistributionId=ID, MaxItems="0"),
        code_of(client.delete_distribution, Id=ID, IfMatch="E1"),
        code_of(client.update_distribution, Id=ID, IfMatch="E1", DistributionConfig=world.config),
        code_of(client.create_distribution, DistributionConfig=world.config),
        code_of(client.list_cache_policies),
    ]
    wanted = [
        (404, "NoSuchDistribution"),
        (404, "NoSuchInvalidation"),
        (400, "InvalidArgument"),
        (400, "InconsistentQuantities"),
        (413, "BatchTooLarge"),
        (400, "InvalidArgument"),
        (403, "AccessDenied"),
        (403, "AccessDenied"),
        (403, "AccessDenied"),
        (501, "NotImplemented"),
    ]
    expect("status and code", seen, wanted)
    try:
        client.get_distribution_config(Id="E404")
    except client.exceptions.NoSuchDistribution as error:
        require(bool(error.response["ResponseMetadata"].get("RequestId")), "there is no request id")
    return ", ".join(code for _, code in seen)


@step("who has no key, or a wrong one, is refused")
def wrong_keys(world: World) -> str:
    create = ("create-invalidation", "--distribution-id", ID, "--paths", "/*")
    wrong = Identity(world.admin.access_key, Identity.new().secret)
    for identity, code in ((wrong, "SignatureDoesNotMatch"), (Identity.new(), "InvalidClientTokenId")):
        status, _, error = world.try_aws(*create, identity=identity)
        require(status != 0 and code in error, f"exit {status}: {error}")
    unsigned = world.edge.admin(f"/2020-05-31/distribution/{ID}/config")
    require(unsigned.status == 403 and b"MissingAuthenticationToken" in unsigned.body, str(unsigned))
    expect("health without a key", world.edge.admin("/healthz").status, 200)
    return "SignatureDoesNotMatch, InvalidClientTokenId, MissingAuthenticationToken"


@step("a captured request is good for itself alone")
def replay(world: World) -> str:
    client = world.boto()
    captured = []
    client.meta.events.register("before-send.cloudfront.*", lambda request, **_: captured.append(request))
    reply = client.create_invalidation(DistributionId=ID, InvalidationBatch=batch("captured", "/a"))
    (request,) = captured
    require(b"/a" in request.body, str(request.body))

    def send(path: str, body: bytes) -> tuple[int, str]:
        connection = http.client.HTTPConnection(world.edge.addresses["admin"], timeout=10)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        found = re.search(r"<(?:Code|Id)>([^<]*)<", text)
        return answer.status, found[1] if found else text

    path = f"/2020-05-31/distribution/{ID}/invalidation"
    refused = (403, "SignatureDoesNotMatch")
    expect("another body", send(path, request.body.replace(b"/a", b"/*")), refused)
    expect("another path", send(path + "?x=1", request.body), refused)
    expect("the same once more does nothing again", send(path, request.body), (201, reply["Invalidation"]["Id"]))
    return "another body or target: SignatureDoesNotMatch"


@step("XML that is hostile")
def hostile(world: World) -> str:
    client = world.boto()
    entity = '<!DOCTYPE a [<!ENTITY b "/*">]>' + BATCH
    bodies = []
    client.meta.events.register(
        "before-call.cloudfront.CreateInvalidation", lambda params, **_: params.update(body=bodies[0])
    )
    paths = "<Paths><Quantity>1</Quantity><Items><Path>&b;</Path></Items></Paths><CallerReference>x</CallerReference>"
    for body in (entity + paths + "</InvalidationBatch>", BATCH * 1000, "{}"):
        bodies[:] = [body.encode()]
        seen = code_of(client.create_invalidation, DistributionId=ID, InvalidationBatch=batch("x", "/a"))
        expect("status and code", seen, (400, "MalformedXML"))
    return "a document type, a thousand levels, JSON: MalformedXML"


@step("edgeseal invalidate --wait uses the same API")
def verb(world: World) -> str:
    before = world.fetch("/verb")
    command = [str(world.binary), "invalidate", "/verb", "--wait", "--admin", world.edge.addresses["admin"]]
    done = subprocess.run(command, env=world.variables(), capture_output=True, encoding="utf-8", timeout=30)
    require(done.returncode == 0 and done.stdout.strip().endswith("Completed"), done.stdout + done.stderr)
    require(world.fetch("/verb") != before, "the old copy is still there")
    expect("edgeseal_invalidations_total", world.edge.metric("edgeseal_invalidations_total"), 7.0)
    return done.stdout.strip()


@step("no secret in what the edge has written")
def no_secret(world: World) -> str:
    world.edge.child.process.send_signal(signal.SIGTERM)
    expect("exit code", world.edge.child.wait(40), 0)
    written = world.edge.child.out + world.edge.child.err
    found = [line for line in written if world.admin.secret in line or "known <by> this" in line]
    require(not found, f"{len(found)} lines")
    return f"{len(written)} lines"


def main() -> int:
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="edgeseal-cloudfront-api-") as folder:
        world = World(Path(sys.argv[1]), Path(folder))
        report = Report()
        try:
            report.walk(story, world)
        except Abort as vital:
            print(f"the steps after {vital.args[0]!r} need it: not run", flush=True)
        finally:
            if world.edge:
                world.edge.child.stop()
        if report.failed and world.edge:
            print("--- the last lines of edgeseal", *world.edge.child.err[-15:], sep="\n", flush=True)
        return report.close()


if __name__ == "__main__":
    sys.exit(main())
