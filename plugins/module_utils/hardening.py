# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lock-down that is built into a base: from the values of rules to files, modes and accounts, and what is refused.

``rules`` are values by rule, as ``policies.hardening_of`` gives them. A rule that is not there asks for nothing.
"""

from __future__ import annotations

import fnmatch
import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import base_units, firewall, sandbox

Rules = t.Mapping[str, t.Any]
Stanza = t.Mapping[str, str]

# Raised when the same rules give something else than before.
RECIPE = 3
NOLOGIN = "/usr/sbin/nologin"
# Shells with which nobody can work.
NO_SHELLS = (NOLOGIN, "/sbin/nologin", "/bin/false", "/usr/bin/false", "/bin/sync", "/usr/bin/sync")
PASSWD_FIELDS, UID, GID, SHELL = 7, 2, 3, 6
SET_ID = 0o6000
WORLD_WRITABLE = 0o002
STICKY = 0o1000
GLOB = re.compile(r"[*?\[]")
DEPENDENCIES = ("Pre-Depends", "Depends", "Recommends")
# Sorted after syslog.conf, with which Debian forwards the journal to a syslog daemon.
JOURNALD = "usr/lib/systemd/journald.conf.d/zz-strata.conf"
# The journal sees the pool's size, not the limit of the volume that it would fill.
JOURNAL_SIZE = {"SystemMaxUse": "32M"}
SYSCTLS = "usr/lib/sysctl.d/90-strata.conf"
# Of every service that says nothing of its own.
SERVICES = "usr/lib/systemd/system/service.d/50-strata.conf"
# Where a login, or a shell that somebody opens in the appliance, takes its umask from.
SHELL_FILES = ("etc/profile", "etc/bash.bashrc")
LOGIN_DEFINITIONS = "etc/login.defs"
# Settings of which each appliance has its own (namespaces(7), user_namespaces(7)); all others are the node's.
OWN_SYSCTLS = re.compile(
    r"net\..+|fs\.mqueue\..+|kernel\.(domainname|hostname|sem|shm(all|max|mni|_rmid_forced)|msg(max|mnb|mni))"
)
# When one of these changes, the kernel sets others anew, such as accept_redirects: they come first.
FORWARDING = re.compile(r"net\.(ipv4\.ip_forward|ipv[46]\.conf\..+\.(mc_)?forwarding)")
# The kernel keeps these for each interface as well, and an interface made before does not follow.
OF_ALL_INTERFACES = re.compile(r"net\.(ipv4|ipv6)\.conf\.all\..+")


def packages(rules: Rules) -> list[str]:
    """Return the packages that the base needs for what it is asked."""
    named = [name for name in rules.get("required-packages", []) if not GLOB.search(name)]
    return sorted({*named, *(firewall.PACKAGES if rules.get("firewall") else [])})


def services(rules: Rules) -> list[str]:
    """Return the units to enable."""
    return [firewall.UNIT] if rules.get("firewall") else []


def files(rules: Rules) -> dict[str, str]:
    """Return the files that the base gets, by path."""
    found = dict(firewall.files()) if rules.get("firewall") else {}
    if value := rules.get("journald"):
        settings = {**(JOURNAL_SIZE if value.get("Storage") == "persistent" else {}), **value}
        found[JOURNALD] = "[Journal]\n" + "".join(f"{key}={each}\n" for key, each in sorted(settings.items()))
    if value := rules.get("sysctls"):
        found[SYSCTLS] = render_sysctls(value)
    if umask := rules.get("umask", {}).get("umask"):
        found[SERVICES] = f"[Service]\nUMask={umask}\n"
    if "unit-exposure" in rules:
        found |= {sandbox.path_of(unit): sandbox.render(each) for unit, each in base_units.SANDBOXES.items()}
    return found


def render_sysctls(values: t.Mapping[str, t.Any]) -> str:
    """Return sysctl.d(5) lines: those that an appliance has of its own first, with each of its interfaces."""
    order = sorted(values.items(), key=lambda each: (not FORWARDING.fullmatch(each[0]), each[0]))
    own = {key: str(value) for key, value in order if OWN_SYSCTLS.fullmatch(key)}
    for key, value in list(own.items()):
        if OF_ALL_INTERFACES.fullmatch(key):
            own.setdefault(key.replace(".all.", ".default."), value)
            own.setdefault(key.replace(".all.", ".*."), value)
    host = {key: value for key, value in sorted(values.items()) if key not in own}
    lines = [f"{key} = {value}\n" for key, value in own.items()]
    lines += ["# The node decides these; what stands here has no effect in a container.\n"] if host else []
    return "".join([*lines, *(f"-{key} = {value}\n" for key, value in host.items())])


def changed_texts(rules: Rules, texts: t.Mapping[str, str]) -> dict[str, str]:
    """Return those of the tree's files, by path, that get another text."""
    changes: dict[str, str] = {}
    if umask := rules.get("umask", {}).get("umask"):
        if LOGIN_DEFINITIONS in texts:
            changes[LOGIN_DEFINITIONS] = set_definition(texts[LOGIN_DEFINITIONS], "UMASK", umask)
        changes |= {path: f"{texts[path].rstrip()}\n\numask {umask}\n" for path in SHELL_FILES if path in texts}
    if rules.get("password-hashes") and "etc/shadow" in texts:
        changes["etc/shadow"] = lock_passwords(texts["etc/shadow"])
    if "login-shells" in rules and "etc/passwd" in texts:
        changes["etc/passwd"] = take_shells(texts["etc/passwd"], rules["login-shells"])
    return {path: text for path, text in changes.items() if text != texts[path]}


def set_definition(text: str, key: str, value: str) -> str:
    """Return login.defs(5) with this setting, and no other of the same name."""
    kept = [line for line in text.splitlines() if not re.match(rf"\s*{key}\s", line)]
    return "\n".join([*kept, f"{key}\t\t{value}", ""])


def lock_passwords(shadow: str) -> str:
    """Return shadow(5) lines with which nobody gets in: no hash, and nothing that is empty."""
    lines = [line.split(":") for line in shadow.splitlines()]
    return "".join(":".join([name, _locked(password), *rest]) + "\n" for name, password, *rest in lines)


def _locked(password: str) -> str:
    return password if password and not password.strip("!*") else "!*"


def take_shells(passwd: str, patterns: t.Sequence[str]) -> str:
    """Return passwd(5) lines in which only accounts of these names have a shell to work with."""
    lines = [line.split(":") for line in passwd.splitlines()]
    return "".join(":".join([*fields[:SHELL], _shell(fields, patterns)]) + "\n" for fields in lines)


def _shell(fields: t.Sequence[str], patterns: t.Sequence[str]) -> str:
    # An empty field means /bin/sh.
    is_fine = fields[SHELL] in NO_SHELLS or is_allowed(fields[0], patterns)
    return fields[SHELL] if is_fine else NOLOGIN


def is_allowed(name: str, patterns: t.Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def mode_of(rules: Rules, path: str, mode: int, *, is_folder: bool) -> int:
    """Return the permission bits that a file or folder at this path of the tree gets. ``path`` begins with /."""
    if not is_folder and "setuid-files" in rules and not is_allowed(path, rules["setuid-files"]):
        mode &= ~SET_ID
    if rules.get("world-writable") and not (is_folder and mode & STICKY):
        mode &= ~WORLD_WRITABLE
    wanted = rules.get("sensitive-modes", {}).get(path)
    return int(wanted, 8) if wanted else mode


def keeps_capabilities(rules: Rules, path: str) -> bool:
    """Whether the program at this path keeps the capabilities that its file grants."""
    return "file-capabilities" not in rules or is_allowed(path, rules["file-capabilities"])


def masked(rules: Rules, units: t.Iterable[str]) -> list[str]:
    """Return the units to mask: what has to be, and of those that the base has (``units``) what may not be enabled."""
    own = set(units)
    denied = {unit for unit in own if is_allowed(unit, rules.get("denied-units", []))}
    needless = own & set(base_units.NEEDLESS) if "unit-exposure" in rules else set()
    return sorted({*(name for name in rules.get("masked-units", []) if not GLOB.search(name)), *denied, *needless})


def refused_packages(rules: Rules, installed: t.Sequence[Stanza]) -> list[str]:
    """Return a sentence for each denied package, with what pulled it in. ``installed``: stanzas of dpkg's status."""
    denied = rules.get("denied-packages", [])
    names = {each["Package"] for each in installed}
    return [
        f"the package {name} is denied ({_first(name, denied)}): {_reason(name, installed)}"
        for name in sorted(names)
        if is_allowed(name, denied)
    ]


def _first(name: str, patterns: t.Iterable[str]) -> str:
    return next(pattern for pattern in patterns if fnmatch.fnmatchcase(name, pattern))


def _reason(name: str, installed: t.Sequence[Stanza]) -> str:
    own = next(each for each in installed if each["Package"] == name)
    if own.get("Essential") == "yes" or own.get("Protected") == "yes":
        return "every Debian has it"
    wanting = sorted(each["Package"] for each in installed if each["Package"] != name and name in _needs(each))
    return f"{', '.join(wanting)} needs it" if wanting else "the description names it"


def _needs(stanza: Stanza) -> set[str]:
    text = ", ".join(stanza[field] for field in DEPENDENCIES if field in stanza)
    return {re.split(r"[ :(]", each.strip(), maxsplit=1)[0] for each in re.split(r"[,|]", text)}


def refused_accounts(rules: Rules, passwd: str) -> list[str]:
    """Return a sentence for each account but root's that has root's number."""
    if not rules.get("extra-root"):
        return []
    lines = (line.split(":") for line in passwd.splitlines())
    return [
        f"the account {fields[0]} has root's number 0"
        for fields in lines
        if len(fields) == PASSWD_FIELDS and fields[UID].strip("0") == "" and fields[0] != "root"
    ]


def refused_owners(rules: Rules, owners: t.Mapping[tuple[int, int], str], passwd: str, group: str) -> list[str]:
    """Return a sentence for each number that owns something and is nobody's. ``owners``: a path by uid and gid."""
    if not rules.get("unowned-files"):
        return []
    users, groups = (
        {int(line.split(":")[UID]) for line in text.splitlines() if line.count(":") >= UID} for text in (passwd, group)
    )
    return [
        f"{path} belongs to the numbers {uid}:{gid}, of which one is no account's or group's"
        for (uid, gid), path in sorted(owners.items())
        if uid not in users or gid not in groups
    ]
