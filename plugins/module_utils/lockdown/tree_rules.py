# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that the files of base, app and config decide, put together as systemd does it."""

from __future__ import annotations

import fnmatch
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import (
    accounts_files,
    composed,
    firewall,
    units_files,
)
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import (
    ALL,
    APP,
    AT_MOST,
    BASE,
    CONFIG,
    CRITICAL,
    EQUAL,
    HIGH,
    LOW,
    MEDIUM,
    NONE,
    ONLY,
    SWITCH,
    TREE,
    Check,
    Facts,
    Fault,
    Moot,
    Rule,
    Unknown,
)

Words = t.Sequence[str]
# What Strata itself writes into a config layer: the network that the inventory gives the appliance.
SITE_FILES = ("/etc/resolv.conf", "/etc/systemd/network/10-eth*.network")


def _matches(word: str, patterns: t.Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(word, pattern) for pattern in patterns)


def _but(words: Words) -> str:
    return f"none but {', '.join(words)}" if words else "none"


def check_setuid_files(facts: Facts, value: Words) -> t.Iterator[Fault]:
    """No file but these runs as its owner or group."""
    for kind, tree in composed.layers_of(facts):
        for path, mode in tree["setid"].items():
            if not _matches(path, value):
                yield Fault(path, f"set-uid or set-gid ({mode})", _but(value), kind)


def check_file_capabilities(facts: Facts, value: Words) -> t.Iterator[Fault]:
    """No file but these has capabilities."""
    for kind, tree in composed.layers_of(facts, by_text=False):
        for path in tree["capable"]:
            if not _matches(path, value):
                yield Fault(path, "a file with capabilities", _but(value), kind)


def check_world_writable(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """Nothing can be written by everybody, but folders in which everybody owns their own."""
    for kind, tree in composed.layers_of(facts, by_text=False):
        for path, mode in tree["writable"].items():
            yield Fault(path, f"writable by everybody ({mode})", "none", kind)


def check_device_nodes(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """There are files, folders and links, nothing else."""
    for kind, tree in composed.layers_of(facts, by_text=False):
        for path, found in tree["nodes"].items():
            yield Fault(path, found, "files, folders and links", kind)


def _baked(key: str, allowed: str) -> Check:
    def check(facts: Facts, _value: bool) -> t.Iterator[Fault]:
        for kind, tree in composed.layers_of(facts):
            for path, reason in tree[key].items():
                yield Fault(path, f"the same secret in every appliance ({reason})", allowed, kind)

    return check


def check_password_hashes(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """Nobody has a password that came with a layer, and nobody gets in without one."""
    hashed = set()
    for kind, tree in composed.layers_of(facts):
        for place, how in tree["passwords"].items():
            path, _colon, name = place.rpartition(":")
            hashed.add((kind, path))
            yield Fault(path, f"a file in which {name} is {how}", "locked accounts only", kind)
    for fault in _baked("hashes", "no password in a layer")(facts, True):
        if (fault.layer, fault.what) not in hashed:
            yield fault


def check_extra_root(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """Only root has the number 0."""
    for owned in composed.accounts_of(composed.layers_of(facts)):
        if owned.account.uid == 0 and owned.account.name != "root":
            yield Fault(owned.account.name, "an account with the number 0", "root alone", owned.layer)


def check_login_shells(facts: Facts, value: Words) -> t.Iterator[Fault]:
    """No account but these can log in."""
    for owned in composed.accounts_of(composed.layers_of(facts)):
        account = owned.account
        if account.shell not in accounts_files.NO_SHELLS and not _matches(account.name, value):
            yield Fault(account.name, f"an account with the shell {account.shell}", _but(value), owned.layer)


def check_unowned_files(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """Every file belongs to an account and a group of the appliance."""
    layers = composed.layers_of(facts)
    users = {owned.account.uid for owned in composed.accounts_of(layers)}
    groups = composed.group_numbers(layers)
    for kind, tree in layers:
        for word, known in (("uid", users), ("gid", groups)):
            for number, paths in tree["owners"][word].items():
                if int(number) not in known:
                    for path in paths:
                        yield Fault(path, f"owned by nobody ({word} {number})", "accounts of the appliance", kind)


def check_shadowed_files(facts: Facts, value: Words) -> t.Iterator[Fault]:
    """Neither app nor config takes anything else from the base than these paths."""
    for kind, tree in composed.layers_of(facts, by_text=False):
        for path, taken in tree["shadows"].items():
            is_own = kind == CONFIG and _matches(path, SITE_FILES)
            if not is_own and not _matches(path, value):
                # Which files a config layer has is the app's word, by its templates.
                yield Fault(path, taken, _but(value), APP if kind == CONFIG else kind)


def check_masked_units(facts: Facts, value: Words) -> t.Iterator[Fault]:
    """None of these units can be started: masked, or not there at all."""
    layers = composed.layers_of(facts)
    kinds, trees = [kind for kind, _tree in layers], [tree for _kind, tree in layers]
    known = units_files.known(trees)
    for name in value:
        unit = known.get(name)
        if unit and not unit[0].get("mask"):
            yield Fault(name, "a unit that can be started", "it masked or absent", kinds[unit[1]])


def check_denied_units(facts: Facts, value: Words) -> t.Iterator[Fault]:
    """None of these units starts by itself."""
    layers = composed.layers_of(facts)
    enabled = units_files.enabled([tree for _kind, tree in layers])
    for name, number in sorted(enabled.items()):
        if _matches(name, value):
            yield Fault(name, "enabled", "no such unit", layers[number][0])


def check_unit_exposure(facts: Facts, value: float) -> t.Iterator[Fault]:
    """Services of the app, and those that the base starts, are shut in as systemd scores it: 0 is best, 10 worst.

    What a base runs once while it starts, and is gone then, does not count.
    """
    layers = composed.layers_of(facts)
    known = units_files.known([tree for _kind, tree in layers])
    for kind, tree in layers:
        if "exposure" not in tree:
            continue
        if tree["exposure"] is None:
            raise Unknown("the node has no systemd-analyze that can score services")
        masked = {name for name, (unit, _number) in known.items() if unit.get("mask")}
        for name in tree["unscored"]:
            if name not in masked:
                yield Fault(name, "a service that systemd cannot score", f"{value:g} at most", kind)
        for name, level in tree["exposure"].items():
            unit = known.get(name) or known.get(units_files.template_of(name))
            is_brief = kind == BASE and unit is not None and unit[0].get("once")
            if level > value and name not in masked and not is_brief:
                yield Fault(name, f"a service of exposure {level:g}", f"{value:g} at most", kind)


def check_umask(facts: Facts, value: t.Mapping[str, str]) -> t.Iterator[Fault]:
    """What logins and shells make is as private as this, or more so."""
    layers = composed.layers_of(facts)
    wanted = value.get("umask")
    if wanted is None:
        raise Moot("no umask is asked for")
    found = composed.umasks_of(layers)
    if not any(path == "/etc/login.defs" for path, _kind, _mask in found):
        yield Fault("/etc/login.defs", "without a UMASK", f"umask {wanted}", BASE)
    for path, kind, mask in found:
        if int(wanted, 8) & ~int(mask, 8):
            yield Fault(path, f"a file that sets umask {mask}", f"{wanted} or stricter", kind)


def check_sysctls(facts: Facts, value: t.Mapping[str, str]) -> t.Iterator[Fault]:
    """The kernel settings that systemd makes at boot are these."""
    layers = composed.layers_of(facts)
    made, below = composed.sysctls_of(layers), composed.sysctls_of(layers[:1])
    for key, wanted in value.items():
        path, kind, found = made.get(key) or _by_pattern(made, key)
        if not path and (below.get(key) or _by_pattern(below, key))[0]:
            # The base sets it, in a file that another layer has taken the place of.
            over = [kind for kind, tree in layers if any("/sysctl.d/" in each for each in tree["texts"])]
            kind = over[-1]
        if found != " ".join(str(wanted).split()):
            how = f"set to {found!r} by {path}" if path else "set by no file in sysctl.d"
            yield Fault(key, how, str(wanted), kind)


def _by_pattern(made: t.Mapping[str, tuple[str, str, str]], key: str) -> tuple[str, str, str]:
    """By sysctl.d(5) a pattern counts for what no file names; a star stands for one part of the name."""
    found = ("", BASE, "")
    for pattern, each in made.items():
        if "*" in pattern and fnmatch.fnmatchcase(key, pattern) and key.count(".") == pattern.count("."):
            found = each
    return found


def check_journald(facts: Facts, value: t.Mapping[str, str]) -> t.Iterator[Fault]:
    """The journal is kept like this."""
    made = composed.settings_of(composed.layers_of(facts), "systemd/journald.conf", "Journal")
    for key, wanted in value.items():
        path, kind, found = made.get(key, ("", BASE, ""))
        if _plain(found) != _plain(str(wanted)):
            how = f"{found!r} by {path}" if path else "not set"
            yield Fault(f"journald {key}", how, str(wanted), kind)


def _plain(word: str) -> str:
    words = {"true": "yes", "on": "yes", "1": "yes", "false": "no", "off": "no", "0": "no"}
    return words.get(word.lower(), word.lower())


def check_firewall(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """What comes in is dropped, but at exactly the ports that the app declares."""
    layers = composed.layers_of(facts)
    if not facts.manifests:
        raise Unknown("the ports that the app declares were not read")
    ports = facts.manifests.get(APP, {}).get("ports", [])
    declared = frozenset((int(port["port"]), str(port.get("protocol", "tcp"))) for port in ports)
    return firewall.find_faults(layers, declared)


def check_sensitive_modes(facts: Facts, value: t.Mapping[str, str]) -> t.Iterator[Fault]:
    """These files, where they are, can be reached by nobody beyond what their mode says."""
    layers = composed.layers_of(facts, by_text=False)
    for path, wanted in value.items():
        for kind, tree in reversed(layers):
            mode = tree["modes"].get(path)
            if mode is None:
                continue
            if int(mode, 8) & ~int(wanted, 8):
                yield Fault(path, f"of mode {mode}", f"{wanted} or stricter", kind)
            break


WITHOUT = "Build the layer without it"
RULES: tuple[Rule, ...] = (
    Rule(
        "setuid-files",
        TREE,
        ONLY,
        HIGH,
        "No program runs as somebody else than who calls it",
        "Build the layer without the file, or without the bit",
        check_setuid_files,
    ),
    Rule(
        "file-capabilities",
        TREE,
        ONLY,
        HIGH,
        "No program has capabilities of its own",
        "Build the layer without them, and give the service AmbientCapabilities= where it needs them",
        check_file_capabilities,
    ),
    Rule(
        "world-writable",
        TREE,
        SWITCH,
        HIGH,
        "Nothing can be written by everybody",
        "Build the layer with a stricter mode",
        check_world_writable,
    ),
    Rule("device-nodes", TREE, SWITCH, CRITICAL, "No layer has device nodes", WITHOUT, check_device_nodes),
    Rule(
        "baked-secrets",
        TREE,
        SWITCH,
        CRITICAL,
        "No layer has keys or identities in it",
        "Build the layer without it, have it made on first boot, and take what was published for known to everybody",
        _baked("secrets", "none"),
    ),
    Rule(
        "password-hashes",
        TREE,
        SWITCH,
        CRITICAL,
        "No layer brings a password",
        "Build the layer with locked accounts",
        check_password_hashes,
    ),
    Rule(
        "extra-root",
        TREE,
        SWITCH,
        CRITICAL,
        "Only root is root",
        "Build the layer without the account",
        check_extra_root,
    ),
    Rule(
        "login-shells",
        TREE,
        ONLY,
        MEDIUM,
        "Only named accounts have a shell",
        "Give the account the shell /usr/sbin/nologin",
        check_login_shells,
    ),
    Rule(
        "unowned-files",
        TREE,
        SWITCH,
        MEDIUM,
        "Every file has an owner",
        "Declare the account with this number, or build the layer with another owner",
        check_unowned_files,
    ),
    Rule(
        "shadowed-files",
        TREE,
        ONLY,
        HIGH,
        "No app takes the place of what the base has",
        "Build the app without it, or have the path allowed",
        check_shadowed_files,
    ),
    Rule(
        "masked-units",
        TREE,
        ALL,
        MEDIUM,
        "Units that nobody needs cannot be started",
        "Add the unit to masked in the base's description, or build the app without it",
        check_masked_units,
    ),
    Rule(
        "denied-units",
        TREE,
        NONE,
        MEDIUM,
        "No denied unit starts by itself",
        "Build the layer with the unit disabled",
        check_denied_units,
    ),
    Rule(
        "unit-exposure",
        TREE,
        AT_MOST,
        MEDIUM,
        "Services are shut in",
        "Give the unit a drop-in with systemd's sandbox settings (systemd-analyze security tells which)",
        check_unit_exposure,
        "process-privileges",
    ),
    Rule(
        "umask",
        TREE,
        EQUAL,
        LOW,
        "New files are private",
        "Build the base with the umask (role lockdown)",
        check_umask,
    ),
    Rule(
        "sysctls",
        TREE,
        EQUAL,
        MEDIUM,
        "Kernel settings of the appliance's own",
        "Build the base with the setting in sysctl.d (role lockdown)",
        check_sysctls,
        "effective-sysctls",
    ),
    Rule(
        "journald",
        TREE,
        EQUAL,
        LOW,
        "The journal is kept as it should",
        "Build the base with the setting in journald.conf.d (role lockdown)",
        check_journald,
    ),
    Rule(
        "firewall",
        TREE,
        SWITCH,
        HIGH,
        "A packet filter opens the declared ports, and nothing else",
        "Build the base with the packet filter and the app with its ports (role lockdown)",
        check_firewall,
        "loaded-firewall",
    ),
    Rule(
        "sensitive-modes",
        TREE,
        EQUAL,
        MEDIUM,
        "Files with accounts and passwords are closed",
        "Build the layer with the mode",
        check_sensitive_modes,
    ),
)
