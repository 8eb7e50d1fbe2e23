"""Rules of the node: each passes on a node that is well, and tells exactly what is not."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import host_rules, model, node_facts

RULES = {rule.name: rule for rule in host_rules.RULES}
WELL: dict[str, t.Any] = {
    "sysctls": {"kernel.kptr_restrict": "2", "net.ipv4.tcp_rmem": "4096 131072 6291456"},
    "lsm": {"modules": ["apparmor"]},
    "time": {"synchronised": True},
    "disks": {
        "store": {"encrypted": True, "devices": ["253:0"]},
        "pool": {"encrypted": True, "devices": ["253:0"]},
    },
    "auditing": {"daemon": True},
    "engine_socket": {
        "path": "/socket",
        "owner": "root",
        "group": "incus-admin",
        "mode": "0660",
        "members": [],
    },
    "limits_enforced": True,
}
VALUES: dict[str, t.Any] = {"host-sysctls": {"kernel.kptr_restrict": 2, "net.ipv4.tcp_rmem": "4096\t131072\t6291456"}}


def check(rule: str, node: dict[str, t.Any] | None, value: t.Any = None) -> list[tuple[str, str]]:
    """Return what a rule finds, and how."""
    asked = VALUES.get(rule, True) if value is None else value
    return [(fault.what, fault.found) for fault in RULES[rule].check(model.Facts("", node=node), asked)]


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_node_that_is_well_passes(rule: str) -> None:
    assert check(rule, WELL) == []


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_node_that_was_not_looked_at_is_unknown(rule: str) -> None:
    with pytest.raises(model.Unknown):
        check(rule, None)
    with pytest.raises(model.Unknown):
        check(rule, {})


@pytest.mark.parametrize(
    ("rule", "changed", "found"),
    [
        (
            "host-sysctls",
            {"sysctls": {"kernel.kptr_restrict": "0"}},
            [
                ("kernel.kptr_restrict", "0"),
                ("net.ipv4.tcp_rmem", "not there: this kernel has no such key"),
            ],
        ),
        ("kernel-lsm", {"lsm": {"modules": []}}, [("the kernel's security modules", "none")]),
        ("time-synchronised", {"time": {"synchronised": False}}, [("the clock", "not synchronised, says the kernel")]),
        (
            "disk-encryption",
            {"disks": {"store": {"encrypted": False, "devices": ["8:1"]}, "pool": {"unknown": "why"}}},
            [("store", "not encrypted, on 8:1")],
        ),
        ("auditing", {"auditing": {"daemon": False}}, [("auditd", "not running")]),
        ("limits-enforced", {"limits_enforced": False}, [("cgroup controllers", "not there for the engine")]),
        (
            "engine-socket",
            {
                "engine_socket": {
                    "path": "/socket",
                    "owner": "eve",
                    "group": "incus-admin",
                    "mode": "0666",
                    "members": ["ada"],
                }
            },
            [("/socket", "owned by eve"), ("/socket", "of mode 0666"), ("group incus-admin", "open to ada")],
        ),
    ],
)
def test_what_is_not_well_is_told(rule: str, changed: dict[str, t.Any], found: list[tuple[str, str]]) -> None:
    assert check(rule, {**WELL, **changed}) == found


@pytest.mark.parametrize(("rule", "part"), [("kernel-lsm", "lsm"), ("time-synchronised", "time")])
def test_what_the_node_cannot_tell_is_unknown_with_its_reason(rule: str, part: str) -> None:
    with pytest.raises(model.Unknown, match="no idea"):
        check(rule, {**WELL, part: {"unknown": "no idea"}})


def test_a_disk_of_which_nothing_is_known_is_unknown() -> None:
    disks = {"store": {"encrypted": True, "devices": ["253:0"]}, "pool": {"unknown": "on no block device"}}
    with pytest.raises(model.Unknown, match="pool: on no block device"):
        check("disk-encryption", {**WELL, "disks": disks})


class Blocks:
    """A tree like /sys/dev/block: links by number to folders of devices."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "block"
        self.devices = folder / "devices"
        self.folder.mkdir()

    def add(
        self, number: str, path: str, *, uuid: str = "", slaves: t.Sequence[str] = (), partition: bool = False
    ) -> None:
        """Add a device; ``slaves`` are numbers."""
        device = self.devices / path
        (device / "slaves").mkdir(parents=True)
        (device / "dev").write_text(number + "\n")
        if uuid:
            (device / "dm").mkdir()
            (device / "dm/uuid").write_text(uuid + "\n")
        for slave in slaves:
            (device / "slaves" / slave.replace(":", "-")).symlink_to((self.folder / slave).resolve())
        if partition:
            (device / "partition").write_text("1\n")
        (self.folder / number).symlink_to(device)


@pytest.fixture
def blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blocks:
    made = Blocks(tmp_path)
    monkeypatch.setattr(node_facts, "BLOCK", made.folder)
    return made


def test_encryption_is_found_below_volumes(blocks: Blocks) -> None:
    blocks.add("8:0", "sda")
    blocks.add("8:1", "sda/sda1", partition=True)
    blocks.add("253:0", "dm-0", uuid="CRYPT-LUKS2-abc", slaves=["8:1"])
    blocks.add("253:1", "dm-1", uuid="LVM-abc", slaves=["253:0"])
    blocks.add("253:2", "dm-2", uuid="LVM-def", slaves=["253:0", "8:1"])
    assert node_facts.is_encrypted("253:0")
    assert node_facts.is_encrypted("253:1")
    assert not node_facts.is_encrypted("253:2"), "half of it is not"
    assert not node_facts.is_encrypted("8:1")
    assert not node_facts.is_encrypted("8:0")


def test_a_partition_of_an_encrypted_device_is_encrypted(blocks: Blocks) -> None:
    blocks.add("8:0", "sda")
    blocks.add("253:0", "dm-0", uuid="CRYPT-PLAIN-x", slaves=["8:0"])
    blocks.add("9:0", "md0", slaves=["253:0"])
    blocks.add("259:0", "md0/md0p1", partition=True)
    assert node_facts.is_encrypted("259:0")


def test_this_machine_can_be_read() -> None:
    assert node_facts.read_sysctls()["kernel.osrelease"]
    assert "modules" in node_facts.read_modules()
    assert set(node_facts.read_time()) <= {"synchronised", "unknown"}
    assert "unknown" in node_facts.read_disk("")
    assert "unknown" in node_facts.read_disk("/nowhere/at/all")
    assert "unknown" in node_facts.read_socket("/nowhere/at/all")
    assert not node_facts.is_running("no-such-program")
