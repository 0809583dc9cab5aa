"""Processes that are ours: started on chosen cores, measured, stopped for a while, and ended, with all that they forked."""

import ctypes
import os
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LIBC = ctypes.CDLL(None, use_errno=True)
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def adopt_orphans():
    """What our children leave behind becomes ours, so that it can be found and ended."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start(command, cores, output, **more):
    """Starts a command on these cores. It is told to end should this program die."""

    def prepare():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        os.sched_setaffinity(0, cores)

    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=prepare, start_new_session=True, **more
    )


def run(command, cores, timeout, env=None):
    """Runs a command to its end. Its output; an exception if it fails."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        preexec_fn=lambda: (LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), os.sched_setaffinity(0, cores)),
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}: {(err or out).strip()[-500:]}")
    return out


class Group:
    """The processes of one server."""

    def __init__(self):
        self.roots = []
        self.paused = False

    def add(self, process):
        self.roots.append(process)

    def pids(self):
        children = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat") as file:
                        parent = int(file.read().rpartition(")")[2].split()[1])
                except (OSError, IndexError):
                    continue
                children.setdefault(parent, []).append(int(name))
        found, left = [], [root.pid for root in self.roots if root.poll() is None]
        while left:
            pid = left.pop()
            found.append(pid)
            left.extend(children.get(pid, []))
        return found

    def dead(self):
        return [root.args[0] for root in self.roots if root.poll() is not None]

    def cpu(self):
        """Nanoseconds of CPU time of each thread so far."""
        used = {}
        for pid in self.pids():
            try:
                threads = os.listdir(f"/proc/{pid}/task")
            except OSError:
                continue
            for thread in threads:
                try:
                    used[thread] = thread_cpu(pid, thread)
                except OSError:
                    continue
        return used

    def pss(self):
        """Bytes of memory, what is shared in proportion."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))
        return total

    def settled_pss(self, within=6.0):
        """The same once it no longer grows: some write behind."""
        before = self.pss()
        end = time.monotonic() + within
        while time.monotonic() < end:
            time.sleep(0.5)
            now = self.pss()
            if abs(now - before) < 256 << 10:
                return now
            before = now
        return before

    def pause(self):
        self.signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        if self.paused:
            self.signal(signal.SIGCONT)
            self.paused = False

    def signal(self, which):
        for pid in self.pids():
            try:
                os.kill(pid, which)
            except ProcessLookupError:
                pass

    def end(self):
        pids = self.pids()
        self.resume()
        for root in self.roots:
            if root.poll() is None:
                root.terminate()
        until = time.monotonic() + 3
        for root in self.roots:
            try:
                root.wait(max(0.05, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
        # Whoever is left. Only a child of ours, or what it left to us, keeps its pid until we have looked.
        for pid in set(pids) | set(self.pids()):
            if is_ours(pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        for root in self.roots:
            root.wait()
        self.roots = []
        reap()


def is_ours(pid):
    """Is it below this process?"""
    while pid > 1:
        if pid == os.getpid():
            return True
        try:
            with open(f"/proc/{pid}/stat") as file:
                pid = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


def reap():
    """Orphans that have ended. Nothing else is a child of ours when this is called but other groups' roots."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
            if state == "Z" and int(parent) == os.getpid():
                os.waitpid(int(name), os.WNOHANG)
        except (OSError, ChildProcessError):
            pass


def thread_cpu(pid, thread):
    try:
        with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
            return int(file.read().split()[0])
    except FileNotFoundError:
        with open(f"/proc/{pid}/task/{thread}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_NS


def since(before, now):
    """CPU seconds between two looks."""
    return sum(ns - before.get(thread, 0) for thread, ns in now.items()) / 1e9
