"""The servers, each with its best cache configuration, and the origin that all of them ask."""

import os
import re
import resource
import socket
import subprocess
import time

import processes

BUCKET = "bench"
# As long as a role's session token (s3 §1.15), for it is signed with every fetch.
TOKEN = "t" * 900
SIZES = {"1k": 1 << 10, "10k": 10 << 10, "100k": 100 << 10, "1m": 1 << 20}
# With Content-Type, Content-Length, Last-Modified, ETag and Accept-Ranges: ten fields of an object in S3.
FIELDS = {
    "Cache-Control": "public, max-age=86400",
    "Content-Language": "en",
    "x-amz-meta-owner": "marketing",
    "x-amz-meta-sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "x-amz-meta-revision": "2025-11-24T16:00:00Z",
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def open_files():
    """Files that nginx may keep open: with more than the system lets it have, it answers with errors."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 300_000 if hard == resource.RLIM_INFINITY else max(1_000, min(300_000, hard - 6_000))


class Origin:
    """nginx with static files: cheap, on the load's core, and never measured."""

    def __init__(self, folder, cores):
        self.port = free_port()
        self.group = processes.Group()
        here = os.path.join(folder, "origin")
        os.makedirs(os.path.join(here, "files/o"))
        for name, size in SIZES.items():
            with open(os.path.join(here, "files/o", name), "wb") as file:
                file.write(os.urandom(size // 4).hex().encode() * 2)
        fields = "\n".join(f'    add_header {name} "{value}";' for name, value in FIELDS.items())
        write(
            f"{here}/nginx.conf",
            f"""
daemon off; user root; worker_processes 1; worker_rlimit_nofile 65536; pid {here}/pid; error_log {here}/error.log crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 600s; server_tokens off;
  open_file_cache max=100; default_type application/octet-stream; {temp_paths(here)}
  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    root {here}/files;
{fields}
    location = /stat {{ stub_status; }}
    location /{BUCKET}/ {{ rewrite ^/{BUCKET}(/.*)$ $1 last; }}
    location /miss/ {{ rewrite ^ /o/10k break; }}
    location /k/ {{ rewrite ^ /o/1k break; }}
  }}
}}
""",
        )
        self.log = open(f"{here}/output", "wb")
        self.group.add(processes.start(["nginx", "-c", f"{here}/nginx.conf", "-e", f"{here}/error.log"], cores, self.log))
        wait_for(self.port, self.group)
        self.counter = socket.create_connection(("127.0.0.1", self.port))

    def requests(self):
        """How many it has had, those that ask for this excepted."""
        self.counter.sendall(b"GET /stat HTTP/1.1\r\nHost: origin\r\n\r\n")
        answer = b""
        while b"Waiting" not in answer:
            more = self.counter.recv(4096)
            if not more:
                raise RuntimeError("the origin has gone")
            answer += more
        self.asked = getattr(self, "asked", 0) + 1
        return int(re.search(rb"requests\s+\d+ \d+ (\d+)", answer).group(1)) - self.asked

    def end(self):
        self.counter.close()
        self.group.end()
        self.log.close()


def temp_paths(here):
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return " ".join(f"{kind}_temp_path {here}/tmp_{kind};" for kind in kinds)


def wait_for(port, group, within=90):
    end = time.monotonic() + within
    while time.monotonic() < end:
        if group.dead():
            raise RuntimeError(f"{group.dead()} ended at its start")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")


class Server:
    """One server, started by `start`. `commands` writes its files and returns what to run."""

    name = ""
    programs = ()
    # Can its access log be a file that it writes itself?
    logs = False
    # Rows that it is asked for; None: all.
    rows = None

    def __init__(self, stage, workers=1, log=False):
        self.stage, self.workers, self.log = stage, workers, log
        self.here = os.path.join(stage.folder, f"{self.name}-{free_port()}")
        self.http, self.https = free_port(), free_port()
        self.group = processes.Group()
        self.unsupported = {}
        os.makedirs(self.here)

    def start(self, cores):
        self.output = open(f"{self.here}/output", "wb")
        try:
            for command, environment in self.commands():
                environment = {**os.environ, **environment}
                self.group.add(processes.start(command, cores, self.output, env=environment, cwd=self.here))
                self.next()
            wait_for(self.https, self.group)
            if self.http:
                wait_for(self.http, self.group)
        except RuntimeError as error:
            self.end()
            with open(f"{self.here}/output", errors="replace") as file:
                raise RuntimeError(f"{self.name}: {error}\n{file.read()[-2000:]}") from None

    def next(self):
        """Waits for what the next command needs."""

    def end(self):
        self.group.end()
        self.output.close()

    def disk(self):
        """Bytes that it keeps in files, which lie on a RAM file system."""
        total = 0
        for folder, _, files in os.walk(self.here):
            for name in files:
                try:
                    total += os.lstat(os.path.join(folder, name)).st_blocks * 512
                except OSError:
                    pass
        return total

    def commands(self):
        raise NotImplementedError

    @classmethod
    def version(cls, stage):
        raise NotImplementedError


def first(pattern, command):
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(pattern, done.stdout + done.stderr)
    return found.group(1) if found else "?"


class Nginx(Server):
    name = "nginx"
    programs = ("nginx",)
    logs = True

    def commands(self):
        here, stage = self.here, self.stage
        log = f"access_log {here}/access.log combined buffer=64k flush=1s" if self.log else "access_log off"
        write(
            f"{here}/nginx.conf",
            f"""
daemon off; user root; worker_processes {self.workers}; worker_rlimit_nofile 65536; pid {here}/pid;
error_log {here}/error.log crit;
events {{ worker_connections 16384; }}
http {{
  {log}; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 600s;
  server_tokens off; {temp_paths(here)}
  open_file_cache max={open_files()} inactive=1h; open_file_cache_valid 1h;
  proxy_cache_path {here}/cache levels=1:2 keys_zone=c:256m max_size=8g inactive=1d use_temp_path=off;
  upstream origin {{ server 127.0.0.1:{stage.origin.port}; keepalive 64; keepalive_requests 1000000000; keepalive_timeout 600s; }}
  server {{
    listen 127.0.0.1:{self.http} reuseport backlog=4096;
    listen 127.0.0.1:{self.https} ssl http2 reuseport backlog=4096;
    ssl_certificate {stage.cert}; ssl_certificate_key {stage.key};
    ssl_protocols TLSv1.3; ssl_session_tickets on; ssl_session_cache shared:s:32m; ssl_buffer_size 16k;
    ssl_conf_command NumTickets 1; ssl_conf_command Ciphersuites {stage.suite};
    http2_max_concurrent_streams 256;
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_cache c; proxy_cache_valid 200 1d; proxy_cache_lock on;
    }}
  }}
}}
""",
        )
        return [(["nginx", "-c", f"{here}/nginx.conf", "-e", f"{here}/error.log"], {})]

    @classmethod
    def version(cls, stage):
        return first(r"nginx/(\S+)", ["nginx", "-v"])


class Varnish(Server):
    name = "hitch+varnish"
    programs = ("varnishd", "hitch")

    def commands(self):
        here, stage = self.here, self.stage
        write(
            f"{here}/vcl",
            f"""vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{stage.origin.port}"; }}
sub vcl_backend_response {{ set beresp.ttl = 1d; }}
""",
        )
        write(
            f"{here}/hitch.conf",
            f"""
frontend = {{ host = "127.0.0.1" port = "{self.https}" }}
backend = "{here}/s"
pem-file = "{stage.pem}"
write-proxy-v2 = on
alpn-protos = "h2, http/1.1"
tls-protos = TLSv1.3
ciphersuites = "{stage.suite}"
workers = {self.workers}
backlog = 4096
daemon = off
user = "nobody"
quiet = on
log-level = 0
""",
        )
        varnish = ["varnishd", "-F", "-j", "none", "-n", f"{here}/v", "-f", f"{here}/vcl", "-s", "malloc,8g"]
        varnish += ["-a", f"tls={here}/s,PROXY,mode=666", "-a", f"plain=127.0.0.1:{self.http}", "-T", "none"]
        for parameter in ("feature=+http2", f"thread_pools={self.workers}", "thread_pool_min=200", "timeout_idle=600"):
            varnish += ["-p", parameter]
        return [(varnish, {}), (["hitch", f"--config={here}/hitch.conf"], {})]

    def next(self):
        # hitch looks for it when it starts.
        wait_for(self.http, self.group)

    @classmethod
    def version(cls, stage):
        return first(r"hitch (\S+)", ["hitch", "--version"]) + "+" + first(r"varnish-([\d.]+)", ["varnishd", "-V"])


class TrafficServer(Server):
    name = "trafficserver"
    programs = ("traffic_server",)
    logs = True

    def commands(self):
        here, stage = self.here, self.stage
        for name in ("etc", "log", "run", "cache"):
            os.makedirs(f"{here}/{name}")
        places = {
            "prefix": "/usr",
            "exec_prefix": "/usr",
            "bindir": "/usr/bin",
            "sbindir": "/usr/sbin",
            "sysconfdir": f"{here}/etc",
            "datadir": "/usr/share/trafficserver",
            "includedir": "/usr/include",
            "libdir": "/usr/lib/trafficserver",
            "libexecdir": "/usr/lib/trafficserver/modules",
            "localstatedir": here,
            "runtimedir": f"{here}/run",
            "logdir": f"{here}/log",
            "mandir": "/usr/share/man",
            "infodir": "/usr/share/info",
            "cachedir": f"{here}/cache",
        }
        write(f"{here}/runroot.yaml", "".join(f"{name}: {path}\n" for name, path in places.items()))
        address = "ipv4:ip-in=127.0.0.1"
        settings = {
            "admin.user_id STRING": "#-1",
            "exec_thread.autoconfig INT": 0,
            "exec_thread.limit INT": self.workers,
            "exec_thread.affinity INT": 0,
            "accept_threads INT": 0,
            "task_threads INT": 1,
            "cache.threads_per_disk INT": 2,
            "http.server_ports STRING": f"{self.http}:{address} {self.https}:{address}:ssl:proto=http2;http",
            "http.insert_request_via_str INT": 0,
            "http.insert_response_via_str INT": 0,
            "http.insert_client_ip INT": 0,
            "http.insert_squid_x_forwarded_for INT": 0,
            "http.keep_alive_no_activity_timeout_in INT": 600,
            "http.keep_alive_no_activity_timeout_out INT": 600,
            "http.accept_no_activity_timeout INT": 600,
            "cache.ram_cache.size INT": 8 << 30,
            "cache.ram_cache_cutoff INT": 8 << 20,
            "cache.min_average_object_size INT": 8000,
            "log.logging_enabled INT": 2 if self.log else 0,
            "log.rolling_enabled INT": 0,
            "ssl.server.cert.path STRING": stage.folder,
            "ssl.server.private_key.path STRING": stage.folder,
            "ssl.server.session_ticket.number INT": 1,
            "ssl.server.TLSv1_3.cipher_suites STRING": stage.suite,
            "ssl.TLSv1 INT": 0,
            "ssl.TLSv1_1 INT": 0,
            "ssl.TLSv1_2 INT": 0,
            "http2.max_concurrent_streams_in INT": 256,
            "http2.no_activity_timeout_in INT": 600,
            "url_remap.remap_required INT": 1,
        }
        write(f"{here}/etc/records.config", "".join(f"CONFIG proxy.config.{key} {value}\n" for key, value in settings.items()))
        write(f"{here}/etc/remap.config", f"map / http://127.0.0.1:{stage.origin.port}/\n")
        cert, key = os.path.basename(stage.cert), os.path.basename(stage.key)
        write(f"{here}/etc/ssl_multicert.config", f"dest_ip=* ssl_cert_name={cert} ssl_key_name={key}\n")
        write(f"{here}/etc/storage.config", f"{here}/cache 4G\n")
        write(f"{here}/etc/plugin.config", "")
        write(f"{here}/etc/ip_allow.yaml", "ip_allow:\n  - {apply: in, ip_addrs: 127.0.0.1, action: allow, methods: ALL}\n")
        logging = "logging:\n  formats: [{name: squid, format: '%<cqtq> %<ttms> %<chi> %<crc>/%<pssc> %<psql> %<cqhm> %<cquc>'}]\n"
        write(f"{here}/etc/logging.yaml", logging + "  logs: [{mode: ascii, filename: access, format: squid}]\n" if self.log else "")
        return [(["traffic_server", f"--run-root={here}/runroot.yaml"], {})]

    @classmethod
    def version(cls, stage):
        return first(r"(\d+\.\d+\.\d+)", ["traffic_server", "--version"])


class HAProxy(Server):
    name = "haproxy"
    programs = ("haproxy",)

    def commands(self):
        here, stage = self.here, self.stage
        write(
            f"{here}/haproxy.cfg",
            f"""
global
  nbthread {self.workers}
  maxconn 6000
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-bind-ciphersuites {stage.suite}
  tune.h2.max-concurrent-streams 256
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  option http-keep-alive
  http-reuse always
# It touches all of this at its start.
cache objects
  total-max-size 3072
  max-object-size 8388608
  max-age 86400
frontend edge
  bind 127.0.0.1:{self.http} backlog 4096
  bind 127.0.0.1:{self.https} ssl crt {stage.pem} alpn h2,http/1.1 backlog 4096
  http-request cache-use objects
  http-response cache-store objects
  default_backend origin
backend origin
  server origin 127.0.0.1:{stage.origin.port}
""",
        )
        return [(["haproxy", "-db", "-f", f"{here}/haproxy.cfg"], {})]

    @classmethod
    def version(cls, stage):
        return first(r"version (\S+)", ["haproxy", "-v"])


class Edgeseal(Server):
    name = "edgeseal"
    logs = True

    def commands(self):
        here, stage = self.here, self.stage
        write(
            f"{here}/edge.toml",
            f"""
[listen]
http = "127.0.0.1:{self.http}"
https = "127.0.0.1:{self.https}"
admin = "127.0.0.1:0"
workers = {self.workers}
[[tls.certificate]]
cert = "{stage.cert}"
key = "{stage.key}"
[cache]
memory = "8GiB"
[log]
access = "{f'{here}/access.log' if self.log else 'off'}"
[[distribution]]
[[distribution.origin]]
bucket = "{BUCKET}"
region = "eu-west-1"
endpoint = "http://127.0.0.1:{stage.origin.port}"
[distribution.default_cache_behavior]
viewer_protocol_policy = "allow-all"
""",
        )
        environment = {
            "AWS_ACCESS_KEY_ID": "ASIABENCH00000000000",
            "AWS_SECRET_ACCESS_KEY": "bench/secret/of/forty/characters/0000000",
            "AWS_SESSION_TOKEN": TOKEN,
            "AWS_EC2_METADATA_DISABLED": "true",
            "RUST_LOG": "error",
        }
        return [([stage.edgeseal, "run", "--config", f"{here}/edge.toml"], environment)]

    @classmethod
    def version(cls, stage):
        return first(r"edgeseal (\S+)", [stage.edgeseal, "version"])


class Bare(Server):
    """compare-client serve: the same stack and bytes as edgeseal, and nothing else."""

    name = "bare"
    rows = ("tls-1k",)

    def commands(self):
        stage, self.http = self.stage, None
        command = [stage.client, "serve", "--listen", f"127.0.0.1:{self.https}", "--cert", stage.cert, "--key", stage.key]
        return [(command + ["--head", stage.head, "--length", str(SIZES["1k"])], {})]

    @classmethod
    def version(cls, stage):
        return "of this checkout"


ALL = {server.name: server for server in (Nginx, Edgeseal, Varnish, TrafficServer, HAProxy)}
