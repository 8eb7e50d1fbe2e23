# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packet filter that a kernel has loaded, asked of the kernel itself.

The program nft is of no use for that: one that is older than what wrote the rules ends with a crash (tried: 1.0.6 on
rules of 1.1.3). What is returned has the shape of ``nft --json list ruleset``, as far as ``ruleset.read`` needs it.
Whatever is not known here is left out where it only narrows a rule, and named where it may widen one.

Source of messages and numbers: the kernel's linux/netfilter/nf_tables.h and linux/netlink.h.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import typing as t

NETLINK_NETFILTER = 12
SUBSYSTEM = 10 << 8
GET_TABLE, GET_CHAIN, GET_RULE, GET_SET, GET_ELEMENTS = (SUBSYSTEM | number for number in (1, 4, 7, 10, 13))
REQUEST, DUMP, INTERRUPTED = 0x01, 0x300, 0x10
ERROR, DONE = 2, 3
HEADER = struct.Struct("=IHHII")
FAMILY = struct.Struct("=BBH")
ATTRIBUTE = struct.Struct("=HH")
TYPE_MASK = 0x3FFF
MOST_BYTES = 32 << 20
TIMEOUT = 10.0  # seconds

FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
IP_FAMILIES = ("inet", "ip", "ip6")
DORMANT = 0x1
VERDICTS = {0: "drop", 1: "accept", 3: "queue", -3: "jump", -4: "goto", -5: "return"}
OPERATORS = ("==", "!=", "<", "<=", ">", ">=")
META_KEYS = {4: "iif", 6: "iifname", 15: "nfproto", 16: "l4proto"}
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp"}
STATES = {1: "invalid", 2: "established", 4: "related", 8: "new", 64: "untracked"}
TRANSPORT = 2
TRANSPORT_FIELDS = {(0, 2): "sport", (2, 2): "dport"}
BOTH_PORTS = (0, 4)
LOOPBACK = 1  # its index in every namespace
LAST_PORT = 65535
INTERVAL_END, CATCH_ALL = 0x1, 0x2
INVERTED = 0x1
HOOK, LOOKUP_RESULT, KEY_END = 4, 3, 10  # attributes that are not always there
# An extension's word decides, or a program's: nobody can read what it lets in.
OPAQUE = ("target", "queue", "tproxy")

Attributes = dict[int, bytes]
Left = dict[str, t.Any]
Part = dict[str, t.Any]
Elements = t.Mapping[tuple[int, str, str], t.Sequence[Attributes]]
EMPTY: Left = {}


class Loaded(t.NamedTuple):
    """A register's content: what was loaded there, and how it was masked (b'' for not at all)."""

    left: Left
    words: int
    mask: bytes = b""


def dump() -> list[dict[str, t.Any]]:
    """Return what is loaded in this thread's network namespace. Raises OSError where the kernel does not say."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as kernel:
        kernel.settimeout(TIMEOUT)
        kernel.bind((0, 0))
        tables = [(family, read(body)) for family, body in ask(kernel, GET_TABLE)]
        chains = [(family, read(body)) for family, body in ask(kernel, GET_CHAIN)]
        rules = [(family, read(body)) for family, body in ask(kernel, GET_RULE)]
        elements = {}
        for family, body in ask(kernel, GET_SET):
            own = read(body)
            table, name = own[1], own[2]
            asked = pack(1, table) + pack(2, name)
            found = [
                each for _family, part in ask(kernel, GET_ELEMENTS, family, asked) for each in listed(read(part)[3])
            ]
            elements[family, text(table), text(name)] = found
    return describe(tables, chains, rules, elements)


def ask(kernel: socket.socket, kind: int, family: int = 0, body: bytes = b"") -> list[tuple[int, bytes]]:
    """Return the family and the attributes of each answer."""
    payload = FAMILY.pack(family, 0, 0) + body
    kernel.send(HEADER.pack(HEADER.size + len(payload), kind, REQUEST | DUMP, kind, 0) + payload)
    found: list[tuple[int, bytes]] = []
    size = 0
    while True:
        data = kernel.recv(1 << 18)
        size += len(data)
        if size > MOST_BYTES:
            raise OSError(0, "there are too many rules to read")
        while data:
            length, answer, flags, _number, _port = HEADER.unpack_from(data)
            own, data = data[HEADER.size : length], data[(length + 3) & ~3 :]
            if flags & INTERRUPTED:
                raise OSError(0, "the rules were changed while they were read")
            if answer == ERROR:
                number = -struct.unpack_from("=i", own)[0]
                raise OSError(number, os.strerror(number))
            if answer == DONE:
                return found
            found.append((own[0], own[FAMILY.size :]))


def read(data: bytes) -> Attributes:
    """Return netlink attributes by type."""
    return dict(each_of(data))


def listed(data: bytes) -> list[Attributes]:
    """Return the attributes of each element of a list."""
    return [read(value) for _kind, value in each_of(data)]


def each_of(data: bytes) -> t.Iterator[tuple[int, bytes]]:
    """Give type and content of each attribute."""
    while len(data) >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(data)
        if length < ATTRIBUTE.size:
            return
        yield kind & TYPE_MASK, data[ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]


def pack(kind: int, value: bytes) -> bytes:
    """Return an attribute."""
    length = ATTRIBUTE.size + len(value)
    return ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


def number(attributes: Attributes, kind: int, default: int = 0) -> int:
    """Return an attribute that is a number in the network's order."""
    return int.from_bytes(attributes[kind], "big") if kind in attributes else default


def describe(
    tables: t.Sequence[tuple[int, Attributes]],
    chains: t.Sequence[tuple[int, Attributes]],
    rules: t.Sequence[tuple[int, Attributes]],
    elements: Elements,
) -> list[dict[str, t.Any]]:
    """Return chains and rules as nft's JSON has them. Pure. What is in a dormant table is not in force."""
    asleep = {(family, text(each[1])) for family, each in tables if number(each, 2) & DORMANT}
    found: list[dict[str, t.Any]] = []
    for family, each in chains:
        if family in FAMILIES and (family, text(each[1])) not in asleep:
            found.append({"chain": _chain(FAMILIES[family], each)})
    for family, each in rules:
        if family in FAMILIES and (family, text(each[1])) not in asleep:
            place = {"family": FAMILIES[family], "table": text(each[1]), "chain": text(each[2])}
            expressions = [(text(part[1]), read(part.get(2, b""))) for part in listed(each.get(4, b""))]
            own = {name[2]: values for name, values in elements.items() if name[:2] == (family, place["table"])}
            found.append({"rule": {**place, "expr": decode(expressions, own)}})
    return found


def _chain(family: str, each: Attributes) -> dict[str, t.Any]:
    chain: dict[str, t.Any] = {"family": family, "table": text(each[1]), "name": text(each[3])}
    if HOOK in each:  # it is where packets come by
        hook = number(read(each[HOOK]), 1)
        known = family in IP_FAMILIES and hook < len(HOOKS)
        chain |= {
            "type": text(each.get(7, b"")),
            "hook": HOOKS[hook] if known else str(hook),
            "policy": VERDICTS.get(number(each, 5, 1), "accept"),
        }
    return chain


def decode(expressions: t.Sequence[tuple[str, Attributes]], sets: t.Mapping[str, t.Sequence[Attributes]]) -> list[Part]:
    """Return a rule's expressions as nft's JSON has them. Pure."""
    registers: dict[int, Loaded] = {}
    parts: list[Part] = []
    for name, own in expressions:
        if name in ("meta", "payload", "ct") and 1 in own:
            _put(registers, number(own, 1), _loaded(name, own))
        elif name == "bitwise":
            source = registers.get(_word(number(own, 1)))
            _put(registers, number(own, 2), _masked(source, own))
        elif name == "cmp":
            values = _data(own.get(3, b""))
            parts += _compare(registers.get(_word(number(own, 1))), OPERATORS[number(own, 2)], values, parts)
        elif name == "range":
            ends = [_data(own.get(kind, b"")) for kind in (3, 4)]
            parts += _range(registers.get(_word(number(own, 1))), number(own, 2), ends)
        elif name == "lookup":
            parts += _look_up(registers, own, sets)
        elif name == "immediate" and number(own, 1) == 0:
            parts.append(_verdict(read(read(own.get(2, b"")).get(2, b""))))
        elif name in OPAQUE:
            parts.append({"queue": name})
        elif 1 in own and name not in ("counter", "limit", "log", "quota", "connlimit", "last", "notrack", "reject"):
            # It may load something: whatever was there before is not what is compared next.
            registers.clear()
    return parts


def _word(register: int) -> int:
    """Return which word of 32 bits a register begins with: four have 16 bytes, and lie over those of 4 bytes."""
    return (register - 1) * 4 if register < 8 else register - 8  # noqa: PLR2004  NFT_REG32_00


def _put(registers: dict[int, Loaded], register: int, loaded: Loaded) -> None:
    start = _word(register)
    for other, held in list(registers.items()):
        if other < start + loaded.words and start < other + held.words:
            del registers[other]
    registers[start] = loaded


def _loaded(name: str, own: Attributes) -> Loaded:
    if name == "meta":
        key = META_KEYS.get(number(own, 2))
        return Loaded({"meta": {"key": key}} if key else EMPTY, 4)
    if name == "ct":
        return Loaded({"ct": {"key": "state"}} if number(own, 2) == 0 else EMPTY, 4)
    base, offset, length = (number(own, kind) for kind in (2, 3, 4))
    words = max(1, (length + 3) // 4)
    if base == TRANSPORT and (offset, length) == BOTH_PORTS:
        return Loaded({"payload": {"protocol": "th", "field": "ports"}}, words)
    if base == TRANSPORT and (offset, length) in TRANSPORT_FIELDS:
        return Loaded({"payload": {"protocol": "th", "field": TRANSPORT_FIELDS[offset, length]}}, words)
    return Loaded(EMPTY, words)


def _masked(source: Loaded | None, own: Attributes) -> Loaded:
    words = max(1, (number(own, 3) + 3) // 4)
    mask, xor = (_data(own.get(kind, b"")) for kind in (4, 5))
    if source is None or "ct" not in source.left or source.mask or any(xor) or number(own, 6):
        return Loaded(EMPTY, words)
    return Loaded(source.left, words, mask)


def _data(value: bytes) -> bytes:
    return read(value).get(1, b"")


def _match(left: Left, operator: str, right: t.Any) -> Part:
    return {"match": {"op": operator, "left": left, "right": right}}


def _compare(loaded: Loaded | None, operator: str, value: bytes, before: t.Sequence[Part]) -> list[Part]:
    left = loaded.left if loaded else EMPTY
    if not left or loaded is None:
        return []
    if loaded.mask:
        # Any of these bits is set.
        bits = _native(loaded.mask)
        names = [name for bit, name in STATES.items() if bits & bit]
        is_all = sum(bit for bit in STATES if bits & bit) == bits
        return [_match(left, "in", names)] if operator == "!=" and not any(value) and is_all else []
    payload = left.get("payload", {})
    if payload.get("field") == "ports":
        pairs = zip(("sport", "dport"), (value[:2], value[2:]), strict=True)
        return [
            _match({"payload": {**payload, "field": field}}, operator, int.from_bytes(each, "big"))
            for field, each in pairs
            if operator == "=="
        ]
    right = _value(left, value)
    last = before[-1].get("match", {}) if before else {}
    if operator == "<=" and payload and last.get("op") == ">=" and last["left"] == left:
        return [_match(left, "==", {"range": [last["right"], right]})]
    return [_match(left, operator, right)]


def _range(loaded: Loaded | None, is_other: int, ends: t.Sequence[bytes]) -> list[Part]:
    if loaded is None or loaded.mask or loaded.left.get("payload", {}).get("field") not in ("sport", "dport"):
        return []
    values = [int.from_bytes(each, "big") for each in ends]
    return [_match(loaded.left, "!=" if is_other else "==", {"range": values})]


def _look_up(
    registers: t.Mapping[int, Loaded], own: Attributes, sets: t.Mapping[str, t.Sequence[Attributes]]
) -> list[Part]:
    if LOOKUP_RESULT in own:
        return [{"vmap": text(own.get(1, b""))}]
    loaded = registers.get(_word(number(own, 2)))
    if loaded is None or loaded.mask or loaded.left in (EMPTY, {"payload": {"protocol": "th", "field": "ports"}}):
        return []
    operator = "!=" if number(own, 5) & INVERTED else "=="
    return [_match(loaded.left, operator, elements_of(loaded.left, sets.get(text(own.get(1, b"")), ())))]


def elements_of(left: Left, elements: t.Iterable[Attributes]) -> list[t.Any]:
    """Return a set's values: of ports numbers and ranges, else as they are compared with ``left``. Pure."""
    if left.get("payload", {}).get("field") not in ("sport", "dport"):
        return [_value(left, _data(each.get(1, b""))) for each in elements]
    marks: list[tuple[int, int]] = []  # a port, and 0 for the end of an interval, 1 for its beginning
    found: list[t.Any] = []
    has_ends = False
    for each in elements:
        flags = number(each, 3)
        key = int.from_bytes(_data(each.get(1, b""))[:2], "big")
        if flags & CATCH_ALL:
            found.append({"range": [0, LAST_PORT]})
        elif KEY_END in each:
            found.append({"range": [key, int.from_bytes(_data(each[KEY_END])[:2], "big")]})
        else:
            has_ends |= bool(flags & INTERVAL_END)
            marks.append((key, 0 if flags & INTERVAL_END else 1))
    marks.sort()
    if not has_ends:
        return found + [key for key, _kind in marks]
    for (key, kind), (following, _other) in zip(marks, [*marks[1:], (LAST_PORT + 1, 0)], strict=True):
        if kind:
            found.append(key if following == key + 1 else {"range": [key, following - 1]})
    return found


def _value(left: Left, value: bytes) -> t.Any:
    key = left.get("meta", {}).get("key")
    if key == "iif":
        index = _native(value)
        return "lo" if index == LOOPBACK else str(index)
    if key == "iifname":
        return text(value) if value.endswith(b"\0") else f"{text(value)}*"
    if key == "l4proto":
        return PROTOCOLS.get(value[0], str(value[0])) if value else ""
    if "ct" in left:
        bits = _native(value)
        return STATES.get(bits, str(bits))
    return int.from_bytes(value, "big")


def _native(value: bytes) -> int:
    return int.from_bytes(value, sys.byteorder)


def _verdict(own: Attributes) -> Part:
    code = struct.unpack(">i", own[1])[0] if 1 in own else 0
    # The upper half of a queue's or drop's code is its number.
    name = VERDICTS.get(code if code < 0 else code & 0xFF, "queue")
    return {name: {"target": text(own[2])} if name in ("jump", "goto") else None}
