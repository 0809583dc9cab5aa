"""Steps: numbered, each prints what it saw, and the plain closing line counts them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Callable

DEADLINE = 30.0  # seconds that any one wait may take


class Mismatch(Exception):
    """What a step saw is not what has to hold."""


class Abort(Exception):
    """Nothing after this step makes sense."""


def expect(what: str, seen: object, wanted: object) -> None:
    if seen != wanted:
        raise Mismatch(f"{what}: saw {seen!r:.300}, wanted {wanted!r:.300}")


def expect_in(what: str, seen: object, wanted: tuple) -> None:
    if seen not in wanted:
        raise Mismatch(f"{what}: saw {seen!r:.300}, wanted one of {wanted!r}")


def require(holds: bool, what: str) -> None:
    if not holds:
        raise Mismatch(what)


def poll(what: str, ask: Callable[[], object], seconds: float = DEADLINE) -> object:
    """Asks until the answer is truthy; a Mismatch when the deadline passes first."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise Mismatch(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)
    return answer


@dataclass
class Step:
    title: str
    run: Callable[..., str]
    vital: bool


@dataclass
class Story:
    """An ordered list of steps; the order of definition is the order of the walk."""

    steps: list[Step] = field(default_factory=list)

    def step(self, title: str, vital: bool = False) -> Callable:
        """Registers a function: it returns what it saw, or raises. A vital one that fails ends the walk."""

        def register(run: Callable[..., str]) -> Callable[..., str]:
            self.steps.append(Step(title, run, vital))
            return run

        return register


@dataclass
class Report:
    passed: int = 0
    failed: int = 0

    def walk(self, story: Story, world: object) -> None:
        for step in story.steps:
            try:
                seen = step.run(world)
            except Abort:
                raise
            except Exception as wrong:  # a broken step is a failed step, and the walk goes on
                kind = "" if isinstance(wrong, Mismatch) else f"{type(wrong).__name__}: "
                self.failed += 1
                self._line("FAIL", step.title, f"{kind}{wrong}")
                if step.vital:
                    raise Abort(step.title) from wrong
            else:
                self.passed += 1
                self._line("ok  ", step.title, seen)

    def close(self) -> int:
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 0 if self.failed == 0 and self.passed > 0 else 1

    def _line(self, verdict: str, title: str, seen: str) -> None:
        print(f"{verdict} {self.passed + self.failed:>3}  {title}\n          {seen}", flush=True)
