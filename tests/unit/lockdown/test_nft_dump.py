"""The kernel's own word on what is loaded says the same as nft, of every kind of rule that nft can load."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import firewall
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import nft_dump, ruleset

DUMP = "import json; from ansible_collections.strata.fleet.plugins.module_utils.lockdown import nft_dump as n; "
SCRIPT = """
set -e
nft -f "$1"
"$2" -c "$3"
nft --json list ruleset
"""
EVERYTHING = """
table inet own {
    set some {
        type inet_service
        flags interval
        elements = { 80, 1000-2000, 65000-65535 }
    }
    chain more {
        tcp dport 8080 counter accept
    }
    chain in {
        type filter hook input priority 0; policy drop;
RULES
    }
}
"""
RULES = [
    'iif "lo" accept',
    'iifname "lo" accept',
    'iifname "lo*" accept',
    'iifname "eth0" tcp dport 9100 accept',
    "ct state established accept",
    "ct state established,related accept",
    "ct state { established, related } accept",
    "ct state new accept",
    "ct state != established accept",
    "ct state invalid drop",
    "ct state vmap { established : accept, invalid : drop }",
    "tcp dport 22 accept",
    "tcp dport { 22, 443 } accept",
    "tcp dport 3000-3010 accept",
    "tcp dport != 7 accept",
    "tcp dport >= 60000 accept",
    "tcp dport & 0xff == 0x50 accept",
    "tcp sport 1234 accept",
    "tcp sport 1234 tcp dport 4321 accept",
    "udp dport @some accept",
    "udp dport != @some accept",
    "udp sport 67 udp dport 68 accept",
    "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept",
    "meta l4proto { icmp, ipv6-icmp } accept",
    "meta l4proto tcp accept",
    "meta l4proto { tcp, udp } th dport 53 accept",
    "icmp type echo-request accept",
    "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
    "ip saddr 10.0.0.0/8 tcp dport 99 accept",
    "ip saddr 10.0.0.0/8 accept",
    "tcp dport vmap { 22 : accept, 23 : drop }",
    "limit rate 10/second tcp dport 5 accept",
    "jump more",
    "goto more",
    "reject",
    "accept",
    "drop",
]
DORMANT = "table inet own {\n flags dormant\n chain in {\n type filter hook input priority 0; policy drop;\n }\n}\n"
FORWARD = "table inet own {\n chain in {\n type filter hook forward priority 0; policy drop;\n }\n}\n"
ONLY_IP = "table ip own {\n chain in {\n type filter hook input priority 0; policy drop;\n tcp dport 1 accept\n }\n}\n"


def can_try() -> bool:
    if not shutil.which("nft"):
        return False
    return (
        subprocess.run(["unshare", "-rn", "nft", "list", "ruleset"], capture_output=True, check=False).returncode == 0
    )


needs_nft = pytest.mark.skipif(not can_try(), reason="no nft that can be tried here")


def load(folder: Path, text: str) -> tuple[ruleset.Opening, ruleset.Opening]:
    """Return what comes in, by the kernel and by nft."""
    file = folder / "rules.nft"
    file.write_text(text)
    code = f"{DUMP}print(json.dumps(n.dump()))"
    argv = ["unshare", "-rn", "sh", "-c", SCRIPT, "sh", str(file), sys.executable, code]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert said.returncode == 0, said.stderr
    own, theirs = said.stdout.splitlines()
    return ruleset.read(json.loads(own)), ruleset.read(json.loads(theirs)["nftables"])


@needs_nft
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_lets_in_what_nft_says(tmp_path: Path, rule: str) -> None:
    own, theirs = load(tmp_path, EVERYTHING.replace("RULES", rule))
    assert (own.denies, own.ports) == (theirs.denies, theirs.ports)
    # A rule that cannot be read is told of, whatever it is called.
    assert len(own.other) == len(theirs.other)


@needs_nft
@pytest.mark.parametrize("ports", [[], [{"port": 80}], [{"port": 53, "protocol": "udp"}, {"port": 5432}]])
def test_the_filter_of_a_base_opens_what_the_app_declares(tmp_path: Path, ports: list[dict[str, int | str]]) -> None:
    text = firewall.files()[firewall.RULESET].replace(f'include "/{firewall.PORTS}/*.nft"', "")
    own, theirs = load(tmp_path, text + firewall.render_ports(ports))
    declared = {(int(each["port"]), str(each.get("protocol", "tcp"))) for each in ports}
    assert own == theirs == ruleset.Opening(True, frozenset(declared), ())


@needs_nft
@pytest.mark.parametrize("text", [DORMANT, FORWARD, ONLY_IP, "", EVERYTHING.replace("policy drop", "policy accept")])
def test_what_does_not_drop_is_no_filter(tmp_path: Path, text: str) -> None:
    own, _theirs = load(tmp_path, text.replace("RULES", ""))
    assert not own.denies


def attribute(kind: int, *parts: bytes) -> bytes:
    return nft_dump.pack(kind, b"".join(parts))


def value(data: bytes) -> bytes:
    return attribute(1, data)


def test_what_lies_over_a_register_is_forgotten() -> None:
    """By hand one can compare something else than what seems to have been loaded."""
    port = {1: b"\0\0\0\1", 2: b"\0\0\0\2", 3: b"\0\0\0\2", 4: b"\0\0\0\2"}
    address = {1: b"\0\0\0\x08", 2: b"\0\0\0\1", 3: b"\0\0\0\x0c", 4: b"\0\0\0\4"}  # NFT_REG32_00, part of the first
    compare = {1: b"\0\0\0\1", 2: b"\0\0\0\0", 3: value(b"\0\x50")}
    plain = nft_dump.decode([("payload", port), ("cmp", compare)], {})
    assert [part["match"]["right"] for part in plain] == [80]
    assert nft_dump.decode([("payload", port), ("payload", address), ("cmp", compare)], {}) == []
    assert nft_dump.decode([("payload", port), ("hash", {1: b"", 2: b""}), ("cmp", compare)], {}) == []


def test_whatever_decides_elsewhere_is_told_of() -> None:
    assert nft_dump.decode([("target", {1: b"NFQUEUE\0"})], {}) == [{"queue": "target"}]
    verdict = attribute(2, attribute(1, struct.pack(">i", 3 | 1 << 16)))
    assert nft_dump.decode([("immediate", {1: b"\0\0\0\0", 2: verdict})], {}) == [{"queue": None}]
