"""From figures to tables: in the terminal, in RESULTS.md, and as a plot."""

import os
import statistics
import subprocess

import plot
import rows

BASE = "nginx"

# Issue 4's figures. `of`: how a figure is had from the rounds; required and aim are bounds of it.
AT_LEAST, AT_MOST = "≥", "≤"


def commit(root):
    def git(*words):
        done = subprocess.run(["git", "-C", root, *words], capture_output=True, text=True)
        return done.stdout.strip()

    return git("rev-parse", "--short", "HEAD") + (" with changes" if git("status", "--porcelain", "-uno") else "")


class View:
    """The results of a run, asked for by row and server."""

    def __init__(self, results):
        self.results = results
        self.rows = [row for row in rows.EVERY if results["figures"].get(row.name)]
        seen = {name for row in self.rows for name in results["figures"][row.name]}
        self.servers = [name for name in results["versions"] if name in seen]

    def values(self, row, server, figure=None):
        """By round."""
        figure = figure or row.figure
        of = self.results["figures"][row.name].get(server, {})
        return {number: seen[figure] for number, seen in of.items() if seen.get(figure) is not None}

    def ratios(self, row, server, to=BASE):
        """How many times better than the other, in each round that has both."""
        ours, theirs = self.values(row, server), self.values(row, to)
        both = [number for number in ours if number in theirs and ours[number] > 0 and theirs[number] > 0]
        if row.better == "less":
            return [theirs[number] / ours[number] for number in both]
        return [ours[number] / theirs[number] for number in both]

    def cell(self, row, server):
        values = list(self.values(row, server).values())
        return number(statistics.median(values)) if values else "–"

    def ratio_cell(self, row, server):
        ratios = self.ratios(row, server)
        if not ratios:
            return "–"
        spread = f" ({min(ratios):.2f}–{max(ratios):.2f})" if len(ratios) > 1 else ""
        return f"{statistics.median(ratios):.2f}{spread}"


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0}f}"


def main_table(view):
    """A row a line: each server's median, and its ratio to nginx."""
    head = ["", "unit"] + [name for name in view.servers]
    body = []
    for row in view.rows:
        unit = f"CPU {row.unit}" if row.figure == "cpu_us" else row.unit
        cells = []
        for server in view.servers:
            cell = view.cell(row, server)
            if cell != "–" and server != BASE:
                cell += f"; {view.ratio_cell(row, server)}"
            cells.append(cell)
        body.append([row.title, unit] + cells)
    return head, body


def detail_table(view):
    head = ["", "server", "requests/s", "p50 ms", "p99 ms", "MB/s", "CPU µs", "min–max", "core %"]
    body = []
    for row in view.rows:
        if row.phase == "memory":
            continue
        for server in view.servers + ["bare"]:
            cpu = list(view.values(row, server, "cpu_us").values())
            if not cpu:
                continue

            def of(figure, row=row, server=server):
                values = list(view.values(row, server, figure).values())
                return number(statistics.median(values)) if values else "–"

            busy = statistics.median(view.values(row, server, "busy").values())
            spread = f"{number(min(cpu))}–{number(max(cpu))}"
            body.append(
                [row.name, server, of("rps"), of("p50_ms"), of("p99_ms"), of("mbps"), of("cpu_us"), spread, f"{busy * 100:.0f}"]
            )
    return head, body


def goals(view):
    """Issue 4's table: measure, required, aim, reached, verdict."""
    by_name = {row.name: row for row in view.rows}
    lines = []

    def add(measure, relation, required, aim, values, form):
        wanted = [f"{relation} {form(required)}", f"{relation} {form(aim)}" if not isinstance(aim, str) else aim]
        if not values:
            lines.append([measure, *wanted, "not measured", "–"])
            return
        reached = statistics.median(values)
        spread = f" ({form(min(values))} to {form(max(values))})" if len(values) > 1 else ""
        good = [reached >= bound if relation == AT_LEAST else reached <= bound for bound in (required, aim) if not isinstance(bound, str)]
        verdict = "falls short" if not good[0] else "aim" if good[-1] and len(good) > 1 else "required"
        lines.append([measure, *wanted, form(reached) + spread, verdict])

    def ratio(measure, name, required, aim):
        values = view.ratios(by_name[name], "edgeseal") if name in by_name else []
        add(measure, AT_LEAST, required, aim, values, lambda value: f"{value:.2f}×")

    ratio("TLS 1 KB hit, h1", "tls-1k", 1.4, 1.7)
    ratio("TLS 100 KB hit", "tls-100k", 2.3, 2.8)
    ratio("TLS 1 MB hit", "tls-1m", 2.8, 3.4)
    ratio("h2 1 KB hit", "h2-1k", 1.3, "ahead of HAProxy")
    if "h2-1k" in by_name:
        beside = view.ratios(by_name["h2-1k"], "edgeseal", "haproxy")
        add("h2 1 KB hit, to HAProxy", AT_LEAST, 1.0, 1.0, beside, lambda value: f"{value:.2f}×")
    ratio("full handshakes", "handshake", 2.1, 2.4)
    ratio("miss, 10 KB, signed", "miss-10k", 0.8, 1.2)
    if "open-1k" in by_name:
        inverse = [1 / value for value in view.ratios(by_name["open-1k"], "edgeseal")]
        add("p99 at 60 % of nginx's most, open loop, to nginx's", AT_MOST, 1.0, 0.7, inverse, lambda value: f"{value:.2f}×")
    if "idle" in by_name:
        values = list(view.values(by_name["idle"], "edgeseal").values())
        add("memory of an idle TLS connection", AT_MOST, 20, 8, values, lambda value: f"{value:.1f} KB")
    if "overhead" in by_name:
        values = list(view.values(by_name["overhead"], "edgeseal").values())
        add("memory of a cached object beside its body", AT_MOST, 1536, 1024, values, lambda value: f"{value:.0f} B")
    if "keys-hot" in by_name and "keys-random" in by_name:
        hot, random = (view.values(by_name[name], "edgeseal") for name in ("keys-hot", "keys-random"))
        more = [(random[number] / hot[number] - 1) * 100 for number in hot if number in random]
        add("100,000 random keys beside 16 hot keys, CPU", AT_MOST, 10, 5, more, lambda value: f"{value:+.0f} %")
    if "tls-1k" in by_name:
        ours, bare = (view.values(by_name["tls-1k"], name) for name in ("edgeseal", "bare"))
        logic = [ours[number] - bare[number] for number in ours if number in bare]
        add("all product logic on top of the bare server", AT_MOST, 1.5, 1.0, logic, lambda value: f"{value:.1f} µs")
    return ["measure", "required", "aim", "reached", ""], lines


def markdown(head, body):
    left = {0, 1} if head[1] in ("unit", "server") else {0}
    rule = [("---" if column in left else "--:") for column in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *body]) + "\n"


def plain(head, body):
    widths = [max(len(line[column]) for line in [head, *body]) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in [head, *body])


def circumstances(results):
    machine = results["machine"]
    before, after = (" ".join(f"{value:.2f}" for value in load) for load in (machine["load"], results["load_after"]))
    disturbed = machine["load"][0] > 0.5
    return [
        f"{results['command']}, {results['date']}, {results['seconds'] / 60:.0f} minutes",
        f"{machine['cores']} cores {machine['processor']}, {machine['gib']} GiB, Linux {machine['kernel']}, {machine['system']}",
        f"edgeseal {results['edgeseal']}; " + ", ".join(f"{name} {version}" for name, version in results["versions"].items()),
        f"TLS 1.3, {results['suite']}, X25519, ECDSA P-256; rounds {results['rounds']}, {results['row_seconds']} s a row",
        f"load average {before} before" + (" (SOMETHING ELSE WAS RUNNING: do not keep these figures)" if disturbed else "")
        + f", {after} after",
    ]


def terminal(results):
    view = View(results)
    print("\n".join(circumstances(results)))
    for table in (main_table, detail_table, goals):
        head, body = table(view)
        if body:
            print("\n" + plain(head, body))
    for row, servers in results["missing"].items():
        for server, reason in servers.items():
            print(f"not measured: {row}, {server}: {reason}")


def write(results, folder):
    view = View(results)
    with open(os.path.join(folder, "results.svg"), "w") as file:
        file.write(plot.draw(view))
    command, machine, versions, crypto, load = circumstances(results)
    heads = ", ".join(f"{name} {head['bytes']} bytes in {head['fields']} fields" for name, head in results["heads"].items())
    rate = f"The open loop asks {results['rate']:,.0f} times a second. " if results["rate"] else ""
    lags = [seen["lag_p99_us"] for of in results["figures"].get("open-1k", {}).values() for seen in of.values()]
    if lags:
        rate += f"Its own p99 of being late is at most {max(lags) / 1000:.2f} ms: latencies of that order are the client's. "
    missing = [f"- {row}, {name}: {reason}" for row, servers in results["missing"].items() for name, reason in servers.items()]
    with open(os.path.join(folder, "RESULTS.md"), "w") as file:
        file.write(
            f"""# edgeseal beside other caches

Written by `benches/compare/run.py`; [compare/README.md](compare/README.md) says how it measures.

- {command}
- {machine}
- {versions}
- {crypto}
- {load}

![ratios to nginx](results.svg)

## Goals of issue 4

CPU rows are ratios to nginx in the same round: median (least to most).

{markdown(*goals(view))}
## Every row

Median; then, after the semicolon, how many times better than nginx in the same round: median (least–most). CPU is the
server's, all its processes and the kernel's work for them, for a request; one worker on a core of its own.

{markdown(*main_table(view))}
Heads of a hit: {heads}. {rate}HTTP/3 is not measured: Debian's h2load has no QUIC, and of these servers only edgeseal has it.

{chr(10).join(["Not measured:", "", *missing, ""]) if missing else ""}
## Beside CPU

Requests/s and latency are a closed loop's (`open-1k`: an open loop's), and the load has one core, too: where *core %*
is well below 100, the load was what limited, and only CPU µs compare.

{markdown(*detail_table(view))}"""
        )
