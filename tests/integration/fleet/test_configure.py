"""Configuring: with the least disturbance, refused by name where it is wrong, and secrets go where they belong only."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
import typing as t
from pathlib import Path

import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import (
    STORE,
    Fleet,
    has_changed,
    init_pid,
    inside,
    instance,
    page,
    picture,
)
from ansible_collections.strata.fleet.tests.integration.tools import Node

Nodes = list[Node]
SECRET = f"correct-horse-{secrets.token_hex(4)}"  # never the same: a journal remembers


class Vaulted(str):
    """A text that the inventory holds encrypted."""

    __slots__ = ()


def write_vaulted(dumper: yaml.SafeDumper, text: Vaulted) -> yaml.ScalarNode:
    """Return the YAML of an encrypted text."""
    vault = VaultLib([("default", VaultSecret(b"vault password"))])
    return dumper.represent_scalar("!vault", vault.encrypt(str(text)).decode(), style="|")


yaml.SafeDumper.add_representer(Vaulted, write_vaulted)


@contextlib.contextmanager
def watching(words: t.Sequence[str]) -> t.Iterator[dict[str, set[str]]]:
    """Give, by word, the command lines and environments of processes that hold it, on this machine.

    The lab's nodes and their appliances are containers of this machine: their processes are among its own.
    """
    seen: dict[str, set[str]] = {word: set() for word in words}
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    text = path.read_bytes() + path.with_name("environ").read_bytes()
                    for word in words:
                        if word.encode() in text:
                            seen[word].add(path.parent.name)
            time.sleep(0.02)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        is_over.set()
        watcher.join()


def composition(node: Node, name: str) -> dict[str, t.Any]:
    """Return what an appliance runs."""
    return t.cast("dict[str, t.Any]", json.loads(instance(node, name)["config"]["user.strata.composition"]))


def main_pid(node: Node, name: str) -> str:
    """Return the process of the app's service."""
    return inside(node, name, "systemctl show --property=MainPID --value site.service")


def test_with_the_least_disturbance(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    name = fleet.want("calm", node, config={"title": "one"})
    fleet.deploy()
    first, server, start = composition(node, name), main_pid(node, name), init_pid(node, name)
    assert "title one" in page(node, name)

    fleet.want("calm", node, config={"title": "two", "workers": 4})
    shown = picture(node)
    foreseen = fleet.play("configure", "--check", "--diff", "-v")
    assert foreseen.returncode == 0, foreseen.output
    assert f"merge the new config into {name}: reload site.service" in foreseen.output
    assert "title two" in foreseen.output
    assert picture(node) == shown

    assert has_changed(fleet.play("configure"))
    assert "title two\nworkers 4 calm\n" in page(node, name)
    assert (main_pid(node, name), init_pid(node, name)) == (server, start)
    assert composition(node, name)["config"] != first["config"]
    assert "user.strata.previous" not in instance(node, name)["config"]  # that is for versions
    assert not has_changed(fleet.play("configure"))
    fleet.deploy(changed=False)

    fleet.want("calm", node, config={"title": "two", "workers": 4, "motd": "hello"})
    assert has_changed(fleet.play("configure"))
    assert inside(node, name, "cat /etc/site/motd") == "hello"
    assert init_pid(node, name) != start


def test_config_alone_leaves_the_rest(fleet: Fleet, ready: Nodes) -> None:
    node = ready[1]
    name = fleet.want("scope", node, config={"title": "one"})
    fleet.deploy()
    fleet.want("scope", node, config={"title": "two"}, memory="64MiB")
    ran = fleet.play("configure")
    assert ran.returncode == 0, ran.output
    assert "title two" in page(node, name)
    assert "limits.memory" not in instance(node, name)["config"]
    fleet.want("new", node)
    fleet.refuse("it-new is not there yet", playbook="configure")


def test_values_are_refused_by_name(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    fleet.want("good", node)
    fleet.deploy()
    shown = picture(node)
    fleet.want("good", node, config={"titel": "typed wrong", "workers": "four", "password": 5})
    fleet.want("other", node, config={"mode": "wild", "workers": 9})
    for playbook in ("configure", "deploy"):
        fleet.refuse(
            "Appliance it-good: appliance_config.titel is not an option of this app (did you mean title?)",
            "Appliance it-good: appliance_config.workers must be of type int, not str",
            "Appliance it-good: appliance_config.password must be of type str, not int",
            "Appliance it-other: appliance_config.mode must be one of calm, loud, not 'wild'",
            "Appliance it-other: appliance_config.workers must be at most 8, not 9",
            playbook=playbook,
        )
    assert picture(node) == shown


def test_secrets_stay_where_they_belong(fleet: Fleet, ready: Nodes, tmp_path: Path) -> None:
    node = ready[0]
    password = tmp_path / "vault-password"
    password.write_text("vault password")
    loud = ["-vvv", "--diff", "--vault-password-file", str(password)]
    words = [f"{SECRET}-{number}" for number in (1, 2)]
    name = fleet.want("secret", node, config={"password": Vaulted(words[0])})
    with watching([*words, "ansible-playbook"]) as seen:
        ran = [fleet.play("deploy", "--check", *loud), fleet.play("deploy", *loud)]
        fleet.want("secret", node, config={"password": Vaulted(words[1])})
        ran += [fleet.play("configure", "--check", *loud), fleet.play("configure", *loud)]
        ran.append(fleet.play("status", *loud))
    assert [each.returncode for each in ran] == [0] * 5
    assert all(has_changed(each) for each in ran[:4])
    assert inside(node, name, "cat /etc/site/password") == words[1]
    assert inside(node, name, "stat -c %u:%g:%a /etc/site/password") == "33:33:400"

    assert "********" in ran[1].output
    assert not [each.output for each in ran if SECRET in each.output]
    assert seen["ansible-playbook"]
    assert not any(seen[word] for word in words)
    assert SECRET not in json.dumps(picture(node))
    assert SECRET not in node.run("journalctl --no-pager --output=cat; incus query /1.0/operations?recursion=1").stdout
    places = "/var/log /var/lib/incus/database /root /tmp /run/systemd /var/lib/strata"
    holding = node.run(f"grep --recursive --files-with-matches --devices=skip {SECRET} {places}", check=False)
    held = holding.stdout.split()
    assert len(held) == 2
    assert all(path.startswith(f"{STORE}/config/{name}/") and path.endswith("/site/password") for path in held)
    assert node.run(f"stat -c %a {STORE}").stdout.strip() == "700"


def test_a_unit_that_does_not_take_its_config_is_named(fleet: Fleet, ready: Nodes) -> None:
    node = ready[1]
    name = fleet.want("sick", node, config={"password": "good"})
    fleet.deploy()
    fleet.want("sick", node, config={"password": ""})
    for playbook in ("configure", "deploy"):
        fleet.refuse(
            f"Appliance {name} is not healthy", "Last lines of site.service", "no password at", playbook=playbook
        )
    fleet.want("sick", node, config={"password": "better"})
    assert has_changed(fleet.play("configure"))
    fleet.want("sick", node, config={"password": "better", "title": "broken"})
    said = f"Appliance {name}: could not merge the new config"
    fleet.refuse(said, "Last lines of site.service", "title broken", playbook="configure")
    fleet.want("sick", node, config={"password": "better", "title": "whole"})
    assert has_changed(fleet.play("configure"))
    fleet.deploy(changed=False)
    assert "title whole" in page(node, name)
