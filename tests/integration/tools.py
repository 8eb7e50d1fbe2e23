"""What the integration tests use: machines of the lab, Ansible as an operator runs it, and ways to break both."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
LAB = CHECKOUT / "tests" / "lab" / "lab.py"
INVENTORY = CHECKOUT / ".cache" / "lab" / "inventory.yml"
# Two runs go side by side on nodes of their own.
NODES = tuple(os.environ.get("STRATA_TEST_NODES", "node1 node2 node3").split())
# Seconds after which nothing more is to be expected, also on a machine that has much else to do.
PATIENCE = 120
RECAP = re.compile(r"^(?P<host>\S+)\s+: (?P<counts>ok=.*)$", re.MULTILINE)


class Ran(t.NamedTuple):
    """How a playbook ended: its return code, its output, and the recap's counts by host."""

    returncode: int
    output: str
    recap: dict[str, dict[str, int]]


class Node:
    """A machine of the lab."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, command: str, *, check: bool = True, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root on the machine; fail where it takes longer than ``timeout`` seconds."""
        variables = inventory_variables()
        options = shlex.split(variables["ansible_ssh_args"])
        key = variables["ansible_ssh_private_key_file"]
        argv = ["ssh", *options, "-i", key, f"root@{address_of(self.name)}", command]
        return subprocess.run(argv, capture_output=True, text=True, check=check, timeout=timeout)

    def query(self, path: str) -> t.Any:
        """Return what the machine's engine answers to GET ``path``."""
        return json.loads(self.run(f"incus query {shlex.quote(path)}").stdout)

    def stop_engine(self) -> None:
        """Stop the engine, and the socket that would start it again. Instances run on."""
        # Not what depends on the socket: incus-startup.service would shut the instances down.
        self.run("systemctl --job-mode=ignore-dependencies stop incus.socket incus.service")

    def start_engine(self) -> None:
        """Undo ``stop_engine``."""
        self.run("systemctl start incus.socket incus.service")

    def reboot(self) -> None:
        """Restart the machine at once, as a power cut does; return when it and its engine answer again."""
        before = self.boot_id()
        self.run("systemctl --force --force reboot", check=False)
        wait_until(lambda: self.boot_id() not in ("", before))
        wait_until(lambda: self.run("incus query /1.0", check=False).returncode == 0)

    def boot_id(self) -> str:
        """Return what tells one boot of the machine from another, '' while it does not answer."""
        return self.run("systemctl show --property=UserspaceTimestampMonotonic --value", check=False).stdout

    @contextlib.contextmanager
    def small_disk(self, path: str, size: str) -> t.Iterator[None]:
        """Have an empty file system of ``size`` (such as 20M) at ``path`` for a while, which soon is full."""
        self.run(f"mkdir -p {path} && mount -t tmpfs -o size={size},mode=755 tmpfs {path}")
        try:
            yield
        finally:
            self.run(f"umount -l {path}")

    @contextlib.contextmanager
    def cut_off(self, address: str) -> t.Iterator[None]:
        """Let nothing from this machine reach ``address`` for a while; connections that are open hang."""
        chain = "{ type filter hook output priority 0; }"
        rules = [
            "add table inet cut",
            f"add chain inet cut out {chain}",
            f"add rule inet cut out ip daddr {address} drop",
        ]
        self.run(f"nft {shlex.quote('; '.join(rules))}")
        try:
            yield
        finally:
            self.run("nft delete table inet cut")


class Controller:
    """Ansible, as an operator runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._nodes = folder / "nodes.yml"
        self._nodes.write_text(yaml.safe_dump({"nodes": {"hosts": dict.fromkeys(NODES)}}))
        tools = Path(sys.executable).parent
        self.environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "PATH": f"{tools}:{os.environ['PATH']}",
        }

    def module(
        self, host: str, name: str, /, *, check: bool = False, user: str = "root", **options: t.Any
    ) -> dict[str, t.Any]:
        """Run one module on one host and return its result, ``failed`` and ``unreachable`` included."""
        argv = ["ansible", "-i", str(INVENTORY), host, "-m", f"strata.fleet.{name}", "-e", f"ansible_user={user}"]
        argv += ["-a", json.dumps(options)] if options else []
        argv += ["--check", "--diff"] if check else []
        environment = {**self.environment, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, cwd=CHECKOUT)
        found = re.search(rf"^{re.escape(host)} \| [A-Z!]+ => (\{{.*?^\}})", done.stdout, re.MULTILINE | re.DOTALL)
        assert found, done.stdout + done.stderr
        return t.cast("dict[str, t.Any]", json.loads(found[1]))

    def wait(self, is_so: t.Callable[[], bool], process: subprocess.Popen[str]) -> None:
        """Return as soon as ``is_so()``; fail where a started playbook ends before that."""
        wait_until(lambda: process.poll() is not None or is_so())
        assert process.poll() is None, f"the playbook ended too early: {process.communicate()[0]}"

    def write(self, plays: list[dict[str, t.Any]]) -> Path:
        """Write a playbook and return its path."""
        path = self.folder / f"playbook-{len(list(self.folder.iterdir()))}.yml"
        path.write_text(yaml.safe_dump(plays, sort_keys=False))
        return path

    def start(self, playbook: Path, *arguments: str) -> subprocess.Popen[str]:
        """Start a playbook in a process group of its own, so that it can be killed with all its helpers."""
        argv = ["ansible-playbook", "-i", str(INVENTORY), "-i", str(self._nodes), str(playbook), *arguments]
        return subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
            cwd=CHECKOUT,
            start_new_session=True,
        )

    def play(self, playbook: Path, *arguments: str) -> Ran:
        """Run a playbook to its end."""
        process = self.start(playbook, *arguments)
        output = process.communicate()[0]
        recap = {
            line["host"]: {key: int(count) for key, count in (each.split("=") for each in line["counts"].split())}
            for line in RECAP.finditer(output)
        }
        return Ran(process.returncode, output, recap)

    def play_role(self, host: str, role: str, *arguments: str, **variables: t.Any) -> Ran:
        """Run one role on one host."""
        play = {"hosts": host, "gather_facts": False, "roles": [f"strata.fleet.{role}"], "vars": variables}
        return self.play(self.write([play]), *arguments)

    def kill_once(self, process: subprocess.Popen[str], is_time: t.Callable[[], bool]) -> None:
        """Kill a started playbook, with all its helpers, as soon as ``is_time()``. Fails if it ends before that."""
        self.wait(is_time, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(is_so: t.Callable[[], bool], timeout: float = PATIENCE) -> None:
    """Return as soon as ``is_so()``; fail the test when that takes longer than ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not is_so():
        assert time.monotonic() < deadline, f"nothing happened for {timeout} s"
        time.sleep(0.1)


def inventory_variables() -> dict[str, str]:
    """Return the variables of all hosts of the lab."""
    return t.cast("dict[str, str]", yaml.safe_load(INVENTORY.read_text())["all"]["vars"])


def address_of(name: str) -> str:
    """Return the address of a machine of the lab."""
    groups = yaml.safe_load(INVENTORY.read_text())["all"]["children"].values()
    return str(next(group["hosts"][name]["ansible_host"] for group in groups if name in group["hosts"]))


def lab(command: str, *names: str) -> None:
    """Run the lab's command."""
    subprocess.run([sys.executable, str(LAB), command, *names], check=True, stdout=subprocess.DEVNULL)
