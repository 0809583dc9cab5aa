#!/usr/bin/env python3
"""Writes dashboards/edgeseal.json. `deploy/grafana/dashboard.py --check` says whether it is what this would write.

The first two rows are CloudFront's CloudWatch metrics, one panel each, under their names; what follows is this edge's own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
WRITTEN = HERE / "dashboards" / "edgeseal.json"

SITE = 'job=~"$job",distribution=~"$distribution"'
JOB = 'job=~"$job"'
RATE = "$__rate_interval"

REQUESTS = f"sum(rate(edgeseal_requests_total{{{SITE}}}[{RATE}]))"
CACHEABLE = f'{SITE},method=~"GET|HEAD|OPTIONS"'


def increase(metric: str, labels: str = SITE, by: str = "distribution") -> str:
    return f"sum by ({by}) (increase({metric}{{{labels}}}[{RATE}]))"


def rate(metric: str, labels: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{{labels}}}[{RATE}]))"


def share(status: str) -> str:
    """Of all viewer requests, in percent; 0 where there are requests and none of these."""
    some = f'sum(rate(edgeseal_requests_total{{{SITE},status=~"{status}"}}[{RATE}]))'
    return f"100 * ({some} or 0 * {REQUESTS}) / ({REQUESTS} > 0)"


def quantile(q: float, metric: str, labels: str, by: str = "le") -> str:
    return f"histogram_quantile({q}, sum by ({by}) (rate({metric}_bucket{{{labels}}}[{RATE}])))"


# Title, unit, what it is, and its lines: expression and legend. Titles are CloudFront's (behaviour §12.12).
CLOUDFRONT = [
    ("Requests", "short", "Requests of viewers, all methods, HTTP and HTTPS. Sum.", [(increase("edgeseal_requests_total"), "{{distribution}}")]),
    ("BytesDownloaded", "bytes", "Bytes sent to viewers, heads included; CloudFront counts GET and HEAD, this every method. Sum.", [(increase("edgeseal_response_bytes_total"), "{{distribution}}")]),
    ("BytesUploaded", "bytes", "Bytes that viewers sent by other methods than GET and HEAD, heads included. Sum.", [(increase("edgeseal_request_bytes_total"), "{{distribution}}")]),
    ("4xxErrorRate", "percent", "Share of all requests of viewers that were answered with 4xx.", [(share("4.."), "4xx")]),
    ("5xxErrorRate", "percent", "Share of all requests of viewers that were answered with 5xx.", [(share("5.."), "5xx")]),
    ("TotalErrorRate", "percent", "Share of all requests of viewers that were answered with 4xx or 5xx.", [(share("[45].."), "4xx and 5xx")]),
    (
        "CacheHitRate",
        "percent",
        "Share of cacheable requests that were served from the cache. Writes, errors and redirects are none.",
        [
            (
                f'100 * (sum(rate(edgeseal_requests_total{{{CACHEABLE},result=~"Hit|RefreshHit"}}[{RATE}]))'
                f' or 0 * sum(rate(edgeseal_requests_total{{{CACHEABLE},result=~"Hit|RefreshHit|Miss"}}[{RATE}])))'
                f' / (sum(rate(edgeseal_requests_total{{{CACHEABLE},result=~"Hit|RefreshHit|Miss"}}[{RATE}])) > 0)',
                "from the cache",
            )
        ],
    ),
    (
        "OriginLatency",
        "s",
        "From the request to the first byte to the viewer, of requests for which the origin was asked. CloudFront's is in milliseconds.",
        [
            (quantile(q, "edgeseal_time_to_first_byte_seconds", f'{SITE},result=~"Miss|RefreshHit"'), f"p{q * 100:g}")
            for q in (0.5, 0.9, 0.99)
        ],
    ),
    *[
        (f"{code}ErrorRate", "percent", f"Share of all requests of viewers that were answered with {code}.", [(share(code), code)])
        for code in ("401", "403", "404", "502", "503", "504")
    ],
]

EDGE = [
    ("Answers by result", "reqps", "As X-Cache says it.", [(rate("edgeseal_requests_total", SITE, "result"), "{{result}}")]),
    ("Time to first byte, p99", "s", "By result.", [(quantile(0.99, "edgeseal_time_to_first_byte_seconds", SITE, "result, le"), "{{result}}")]),
    ("Time to last byte, p99", "s", "By result; slow viewers make it long.", [(quantile(0.99, "edgeseal_request_duration_seconds", SITE, "result, le"), "{{result}}")]),
    ("Connections", "short", "Open, by protocol.", [(f"sum by (protocol) (edgeseal_connections{{{JOB}}})", "{{protocol}}")]),
    ("TLS handshakes that failed", "short", "By reason, a second.", [(rate("edgeseal_tls_handshake_errors_total", JOB, "reason"), "{{reason}}")]),
    ("Processor", "none", "Cores in use, by instance.", [(rate("process_cpu_seconds_total", JOB, "instance"), "{{instance}}")]),
]

CACHE = [
    ("Cache in use", "percentunit", "Of the memory it may take.", [(f"edgeseal_cache_bytes{{{JOB}}} / (edgeseal_cache_max_bytes > 0)", "{{instance}}")]),
    ("Objects", "short", "In the cache.", [(f"edgeseal_cache_entries{{{JOB}}}", "{{instance}}")]),
    ("Objects that left", "short", "By cause, a second: `size` is want of memory.", [(rate("edgeseal_cache_evictions_total", JOB, "cause"), "{{cause}}")]),
    (
        "Shared and stale answers",
        "reqps",
        "Viewers who shared another's fetch; expired objects that were served, and why.",
        [
            (f"sum(rate(edgeseal_cache_collapsed_requests_total{{{JOB}}}[{RATE}]))", "shared a fetch"),
            (rate("edgeseal_cache_stale_served_total", JOB, "reason"), "stale: {{reason}}"),
        ],
    ),
    ("Invalidations", "short", "Accepted.", [(increase("edgeseal_invalidations_total", JOB, "instance"), "{{instance}}")]),
    (
        "Memory",
        "bytes",
        "Of the process, and what it may take.",
        [
            (f"process_resident_memory_bytes{{{JOB}}}", "{{instance}}"),
            (f"edgeseal_memory_limit_bytes{{{JOB}}}", "{{instance}}: limit"),
        ],
    ),
]

ORIGIN = [
    ("Answers of origins", "reqps", "By status.", [(rate("edgeseal_origin_requests_total", JOB, "origin, status"), "{{origin}} {{status}}")]),
    ("Latency of origins, p99", "s", "To the head of the answer.", [(quantile(0.99, "edgeseal_origin_duration_seconds", JOB, "origin, le"), "{{origin}}")]),
    ("Bytes from origins", "Bps", "Bodies.", [(rate("edgeseal_origin_bytes_total", JOB, "origin"), "{{origin}}")]),
    ("Attempts that brought no answer", "short", "By reason, a second.", [(rate("edgeseal_origin_errors_total", JOB, "origin, reason"), "{{origin}}: {{reason}}")]),
    ("Refusals", "short", "Of S3, or of KMS behind it, by cause, a second.", [(rate("edgeseal_origin_denied_total", JOB, "origin, cause"), "{{origin}}: {{cause}}")]),
    ("KMS keys", "bool_yes_no", "Whether they can decrypt.", [(f"min by (key) (edgeseal_kms_key_usable{{{JOB}}})", "{{key}}")]),
]

NEXT = [
    ("Certificates expire in", "s", "The earliest of each name.", [(f"min by (name) (edgeseal_tls_cert_not_after_timestamp_seconds{{{JOB}}}) - time()", "{{name}}")]),
    ("Credentials expire in", "s", "They are refreshed well ahead of it.", [(f"min by (origin) (edgeseal_credentials_expiry_timestamp_seconds{{{JOB}}}) - time()", "{{origin}}")]),
    ("Configuration in force", "bool_yes_no", "Whether the one that was read last is.", [(f"edgeseal_config_last_reload_successful{{{JOB}}}", "{{instance}}")]),
    (
        "Log records and files lost",
        "short",
        "Dropped, for the log could not be written or sent fast enough.",
        [
            (increase("edgeseal_log_dropped_total", JOB, "instance, log"), "{{instance}} {{log}}"),
            (increase("edgeseal_log_files_dropped_total", JOB, "instance"), "{{instance}}: files"),
        ],
    ),
    ("Log files sent", "short", "To their bucket.", [(increase("edgeseal_log_uploads_total", JOB, "outcome"), "{{outcome}}")]),
    ("File descriptors in use", "percentunit", "Of those that may be open.", [(f"process_open_fds{{{JOB}}} / process_max_fds", "{{instance}}")]),
]

ROWS = [
    ("CloudFront's metrics", CLOUDFRONT, 3),
    ("Viewers", EDGE, 3),
    ("Cache and memory", CACHE, 3),
    ("Origins", ORIGIN, 3),
    ("What runs out, and what was lost", NEXT, 3),
]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def panels() -> list[dict]:
    made: list[dict] = []
    y = 0
    for title, row, across in ROWS:
        made.append({"id": len(made) + 1, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        y += 1
        width = 24 // across
        for number, panel in enumerate(row):
            x = number % across * width
            made.append(timeseries(len(made) + 1, panel, {"x": x, "y": y + number // across * 7, "w": width, "h": 7}))
        y += -(-len(row) // across) * 7
    return made


def timeseries(number: int, panel: tuple, place: dict) -> dict:
    title, unit, description, lines = panel
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": unit, "min": None if "expire" in title else 0, "custom": {"fillOpacity": 8, "showPoints": "never"}},
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": DATASOURCE, "expr": expression, "legendFormat": legend}
            for index, (expression, legend) in enumerate(lines)
        ],
    }


def choice(name: str, label: str, query: str) -> dict:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard() -> dict:
    return {
        "uid": "edgeseal",
        "title": "edgeseal",
        "description": "CloudFront's CloudWatch metrics of an edgeseal fleet, and the edge's own. Functions and key value stores are not there.",
        "tags": ["edgeseal"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}},
                choice("job", "Job", "label_values(edgeseal_build_info, job)"),
                choice("distribution", "Distribution", 'label_values(edgeseal_response_bytes_total{job=~"$job"}, distribution)'),
            ]
        },
        "annotations": {"list": []},
        "links": [],
        "panels": panels(),
    }


def main() -> int:
    text = json.dumps(dashboard(), indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        return 0 if WRITTEN.exists() and WRITTEN.read_text() == text else 1
    WRITTEN.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
