#!/usr/bin/env python3
"""The admin listener's page in a real browser: Debian's chromium, without a window, prints the document it has made of it.

    tests/page/run.py [EDGESEAL]

EDGESEAL is the binary, with the embedded origin; without it, the newest one under the target directory. Needs Python 3.9,
curl and chromium (apt-get install chromium). Ends with `N passed, N failed`.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent

sys.dont_write_bytecode = True  # leaves a clean checkout clean
sys.path.append(str(HERE.parent / "acceptance"))

from process import Child, environment  # noqa: E402
from report import Abort, Report, Story, expect, require  # noqa: E402
from tools import chosen_binary, demo  # noqa: E402
from viewer import curl  # noqa: E402

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

story = Story()
step = story.step


@dataclass
class World:
    binary: Path
    folder: Path
    browser: str
    edge: Child | None = None
    addresses: dict[str, str] = field(default_factory=dict)

    def show(self, *options: str, budget: int = 0) -> tuple[str, str]:
        """The document as the browser has it after `budget` milliseconds of its own time, and what it complained of."""
        command = [
            self.browser,
            "--headless=new",
            "--no-sandbox",  # as root, in a container, there is none to be had
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--enable-logging=stderr",
            f"--user-data-dir={self.folder / 'profile'}",
            *([f"--virtual-time-budget={budget}"] if budget else []),
            *options,
            "--dump-dom",
            f"http://{self.addresses['admin']}/",
        ]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, env=environment(self.folder))
        require("<main>" in done.stdout, f"no document: {done.stderr[-800:]}")
        complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return done.stdout, "\n".join(complaints)


@step("the demo listens", vital=True)
def _(world: World) -> str:
    world.edge, world.addresses = demo(world.binary, world.folder)
    for path in ("/hello.txt", "/hello.txt", "/missing"):
        curl(f"https://{world.addresses['https']}{path}", "--insecure")
    return ", ".join(world.addresses)


@step("the browser shows what the edge has counted, and has nothing to complain of")
def _(world: World) -> str:
    document, complaints = world.show()
    expect("complaints, of the content security policy say", complaints, "")
    expect("requests", counter(document, "requests"), 3)
    expect("hits", counter(document, "hits"), 1)
    for said in (">ready<", "access_denied", "localhost", "<h2>Certificates</h2>"):
        require(said in document, f"no {said!r} in the document")
    return "3 requests, 1 hit"


@step("its script asks again, and says what happens now")
def _(world: World) -> str:
    first, _ = world.show()
    curl(f"https://{world.addresses['https']}/hello.txt", "--insecure")
    later, complaints = world.show(budget=12_000)
    expect("complaints", complaints, "")
    expect("requests", counter(later, "requests"), counter(first, "requests") + 1)
    now = re.search(r'<span id="now">([^<]*)</span>', later)
    require(bool(now) and "requests/s" in now[1], f"nothing about now: {now and now[0]}")
    return now[1]


@step("what is sent is whole without a script, and loads itself anew")
def _(world: World) -> str:
    # Headless, the browser has nothing to say of a page while scripts are switched off: this is as it was sent.
    sent = curl(f"http://{world.addresses['admin']}/").body.decode()
    expect("requests", counter(sent, "requests"), 4)
    require('<noscript><meta http-equiv="refresh"' in sent, "it does not load itself anew")
    return "4 requests"


@step("status.json says the same")
def _(world: World) -> str:
    status = json.loads(curl(f"http://{world.addresses['admin']}/status.json").body)
    expect("requests, hits", (status["requests"], status["hits"]), (4, 2))
    return f"{len(status)} fields"


@step("when the edge is gone, the page says so")
def _(world: World) -> str:
    # The browser is let in once: what answers it then, and nothing after, is the page as it was.
    page = curl(f"http://{world.addresses['admin']}/").body.decode()
    world.edge.stop()
    lost = page.replace("setInterval(refresh, 5000)", "refresh()")
    require(lost != page, "the script is not what it was")
    (world.folder / "page.html").write_text(lost)
    world.addresses["admin"] = ""
    command = [world.browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={world.folder / 'profile'}", "--virtual-time-budget=3000", "--dump-dom"]
    command.append((world.folder / "page.html").as_uri())
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, env=environment(world.folder))
    require('<body class="lost">' in done.stdout, "the body is not marked as lost")
    return "marked as lost"


def counter(document: str, name: str) -> int:
    found = re.search(rf'data-counter="{name}" data-value="(\d+)"', document)
    require(bool(found), f"no counter {name}")
    return int(found[1])


def main() -> int:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("no chromium is installed (apt-get install chromium): the page was not looked at")
        return 0
    binary = chosen_binary(__doc__)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="edgeseal-page-") as folder:
        world, report = World(binary, Path(folder), browser), Report()
        try:
            report.walk(story, world)
        except Abort as vital:
            print(f"the steps after {vital.args[0]!r} need it: not run", flush=True)
        finally:
            if world.edge:
                world.edge.stop()
        return report.close()


if __name__ == "__main__":
    sys.exit(main())
