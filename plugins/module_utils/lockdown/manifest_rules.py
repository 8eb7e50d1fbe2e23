# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that versions decide by what they say of themselves, and by who signed them."""

from __future__ import annotations

import fnmatch
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import settings
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import (
    ALL,
    APP,
    AT_MOST,
    BASE,
    CRITICAL,
    HIGH,
    LOW,
    MANIFEST,
    MEDIUM,
    NONE,
    OLDEST,
    ONLY,
    SWITCH,
    Check,
    Data,
    Facts,
    Fault,
    Moot,
    Rule,
    Unknown,
)

ANY = ("_any", "all")
Words = t.Sequence[str]


def _manifest(facts: Facts, kind: str) -> Data:
    if facts.manifests is None or kind not in facts.manifests:
        raise Unknown(f"what the {kind} says of itself was not read")
    return facts.manifests[kind]


def _every(facts: Facts) -> list[tuple[str, Data]]:
    """Return the manifests: there is a base, always; an app only where an appliance is judged."""
    _manifest(facts, BASE)
    return list((facts.manifests or {}).items())


def _app(facts: Facts) -> Data:
    if facts.manifests and BASE in facts.manifests and APP not in facts.manifests and not facts.appliance:
        raise Moot("there is only a base")
    return _manifest(facts, APP)


def _matches(word: str, patterns: t.Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(word, pattern) for pattern in patterns)


def _listed(words: t.Iterable[t.Any]) -> str:
    return ", ".join(map(str, words)) or "none"


def check_allowed_bases(facts: Facts, value: Words) -> t.Iterator[Fault]:
    """The base's name is one of these."""
    name = _manifest(facts, BASE)["name"]
    if not _matches(name, value):
        yield Fault(f"base {name}", "the base", _listed(value), BASE)


def check_allowed_os(facts: Facts, value: Words) -> t.Iterator[Fault]:
    """The system of the base is one of these."""
    found = _manifest(facts, BASE)["os"]
    word = f"{found['id']} {found['version_id']}"
    if not _matches(word, value):
        yield Fault(word, "the system", _listed(value), BASE)


def check_architectures(facts: Facts, value: Words) -> t.Iterator[Fault]:
    """Every layer is for one of these architectures."""
    for kind, manifest in _every(facts):
        word = manifest["architecture"]
        if word not in ANY and not _matches(word, value):
            yield Fault(word, f"the architecture of {kind} {manifest['name']}", _listed(value), kind)


def check_oldest_base(facts: Facts, value: t.Mapping[str, str]) -> t.Iterator[Fault]:
    """The base is not older than the version given for its name."""
    base = _manifest(facts, BASE)
    for pattern, oldest in value.items():
        if fnmatch.fnmatchcase(base["name"], pattern) and settings.compare_versions(base["version"], oldest) < 0:
            yield Fault(f"base {base['name']}", f"version {base['version']}", f"{oldest} or newer", BASE)


def check_base_age(facts: Facts, value: float) -> t.Iterator[Fault]:
    """The base was built at most so many days ago. Whoever read the manifest knows the day."""
    base = _manifest(facts, BASE)
    age = base.get("age")
    if age is None or age < 0:
        raise Unknown(f"how old base {base['name']} {base['version']} is cannot be told from {base.get('built')!r}")
    if age > value:
        what = f"base {base['name']} {base['version']}"
        yield Fault(what, f"{age} days old (built {str(base['built'])[:10]})", f"{value:g} days", BASE)


def _signers(manifest: Data) -> t.Sequence[Data]:
    found = manifest.get("signers")
    if found is None:
        raise Unknown(f"who signed {manifest['name']} {manifest['version']} was not looked at")
    return t.cast("t.Sequence[Data]", found)


def _is_by(signer: Data, words: t.Iterable[str]) -> bool:
    keys = {signer["fingerprint"].upper(), str(signer.get("key") or signer["fingerprint"]).upper()}
    return any(word.upper() in keys or (signer["name"] and fnmatch.fnmatchcase(signer["name"], word)) for word in words)


def _tell(signers: t.Sequence[Data]) -> str:
    names = [signer["name"] or signer["fingerprint"] for signer in signers]
    return f"signed by {_listed(dict.fromkeys(names))}" if names else "signed by nobody who is known here"


def _check_signers(kind: str) -> Check:
    def check(facts: Facts, value: Words) -> t.Iterator[Fault]:
        manifest = _manifest(facts, BASE) if kind == BASE else _app(facts)
        signers = _signers(manifest)
        if not any(_is_by(signer, value) for signer in signers):
            yield Fault(f"{kind} {manifest['name']} {manifest['version']}", _tell(signers), _listed(value), kind)

    check.__doc__ = f"One of these signed the {kind}."
    return check


def check_countersigned_apps(facts: Facts, value: Words) -> t.Iterator[Fault]:
    """All of these signed the app, besides its vendor."""
    app = _app(facts)
    signers = _signers(app)
    for word in value:
        if not any(_is_by(signer, [word]) for signer in signers):
            what = f"app {app['name']} {app['version']}"
            yield Fault(what, _tell(signers), f"what {word} has signed as well", APP)


def check_revoked_keys(facts: Facts, value: Words) -> t.Iterator[Fault]:
    """None of these keys signed anything here, whoever else did."""
    revoked = {word.upper() for word in value}
    for kind, manifest in _every(facts):
        for signer in _signers(manifest):
            keys = {signer["fingerprint"].upper(), str(signer.get("key") or "").upper()}
            if keys & revoked:
                what = f"{kind} {manifest['name']} {manifest['version']}"
                found = f"signed with the revoked key {min(keys & revoked)}"
                yield Fault(what, found, "no signature by a revoked key", kind)


def check_abi(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """The app was built for a base such as this."""
    base, app = _manifest(facts, BASE), _app(facts)
    if app["abi"] not in (*ANY, base["abi"]):
        yield Fault(f"app {app['name']} {app['version']}", f"built for {app['abi']}", f"{base['abi']}, the base's", APP)


def check_denied_packages(facts: Facts, value: Words) -> t.Iterator[Fault]:
    """No layer has one of these packages."""
    for kind, manifest in _every(facts):
        for name, version in sorted(manifest["packages"].items()):
            if _matches(name, value):
                yield Fault(name, f"in {kind} {manifest['name']} (version {version})", "no such package", kind)


def check_required_packages(facts: Facts, value: Words) -> t.Iterator[Fault]:
    """Some layer has each of these packages; it is the base that should."""
    names = [name for _kind, manifest in _every(facts) for name in manifest["packages"]]
    for wanted in value:
        if not any(fnmatch.fnmatchcase(name, wanted) for name in names):
            yield Fault(wanted, "in no layer", "only appliances that have it", BASE)


def check_allowed_ports(facts: Facts, value: Words) -> t.Iterator[Fault]:
    """The app declares no other ports than these."""
    for port in _app(facts).get("ports", []):
        word = f"{port['port']}/{port.get('protocol', 'tcp')}"
        if not settings.is_covered(word, value):
            yield Fault(word, "a port that the app must open", _listed(value), APP)


def check_published_ports(facts: Facts, value: Words) -> t.Iterator[Fault]:
    """No other ports of the node lead to the appliance."""
    if facts.wanted is None:
        raise Unknown("what the inventory says of the appliance was not given")
    for each in facts.wanted.get("published") or []:
        word = f"{each['listen']}/{each.get('protocol') or 'tcp'}"
        if not settings.is_covered(word, value):
            yield Fault(word, f"a port of the node that leads to port {each['port']}", _listed(value))


def check_volumes_sized(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """Every state volume has a size, by the inventory or by the app."""
    app = _app(facts)
    if not app.get("volumes"):
        raise Moot(f"app {app['name']} has no state volume")
    sizes = (facts.wanted or {}).get("volumes") or {}
    for volume in app["volumes"]:
        if not (sizes.get(volume["name"]) or volume.get("size")):
            yield Fault(f"volume {volume['name']}", "as large as the pool", "a size", APP)


RULES: tuple[Rule, ...] = (
    Rule(
        "allowed-bases",
        MANIFEST,
        ONLY,
        CRITICAL,
        "Appliances run on bases that IT has chosen",
        "Choose another base (appliance_base), or have this one allowed",
        check_allowed_bases,
    ),
    Rule(
        "allowed-os",
        MANIFEST,
        ONLY,
        CRITICAL,
        "Appliances run on systems that IT has chosen",
        "Choose a base of an allowed system (appliance_base)",
        check_allowed_os,
    ),
    Rule(
        "architectures",
        MANIFEST,
        ONLY,
        MEDIUM,
        "Layers are for allowed architectures",
        "Choose versions that were built for an allowed architecture",
        check_architectures,
    ),
    Rule(
        "oldest-base",
        MANIFEST,
        OLDEST,
        HIGH,
        "No base is older than the oldest that is allowed",
        "Patch the appliance (playbooks/patch.yml), or unpin appliance_base_version",
        check_oldest_base,
    ),
    Rule(
        "base-age",
        MANIFEST,
        AT_MOST,
        HIGH,
        "The base was built lately",
        "Build the base anew (playbooks/patch_base.yml), then patch (playbooks/patch.yml)",
        check_base_age,
    ),
    Rule(
        "base-signers",
        MANIFEST,
        ONLY,
        CRITICAL,
        "The base is signed by whom IT trusts with bases",
        "Find out who published it; use a version that one of them signed",
        _check_signers(BASE),
    ),
    Rule(
        "app-signers",
        MANIFEST,
        ONLY,
        CRITICAL,
        "The app is signed by an allowed vendor",
        "Find out who published it; use a version that one of them signed",
        _check_signers(APP),
    ),
    Rule(
        "countersigned-apps",
        MANIFEST,
        ALL,
        CRITICAL,
        "IT has signed the app as well",
        "Have it looked at and countersigned on the depot (playbooks/countersign.yml)",
        check_countersigned_apps,
    ),
    Rule(
        "revoked-keys",
        MANIFEST,
        NONE,
        CRITICAL,
        "Nothing is signed with a revoked key",
        "Use a version that was signed with a valid key, and find out what else this key signed",
        check_revoked_keys,
    ),
    Rule(
        "abi",
        MANIFEST,
        SWITCH,
        HIGH,
        "The app was built for a base such as this",
        "Choose a base or an app that fits the other",
        check_abi,
    ),
    Rule(
        "denied-packages",
        MANIFEST,
        NONE,
        HIGH,
        "No layer has a denied package",
        "Build the layer without the package",
        check_denied_packages,
    ),
    Rule(
        "required-packages",
        MANIFEST,
        ALL,
        MEDIUM,
        "Required packages are there",
        "Build the base with the package",
        check_required_packages,
    ),
    Rule(
        "allowed-ports",
        MANIFEST,
        ONLY,
        HIGH,
        "The app opens allowed ports only",
        "Have the port allowed for these appliances, or do not deploy the app: it cannot do without",
        check_allowed_ports,
    ),
    Rule(
        "published-ports",
        MANIFEST,
        ONLY,
        MEDIUM,
        "Only allowed ports of the node lead to appliances",
        "Change appliance_publish, or have the port allowed",
        check_published_ports,
    ),
    Rule(
        "volumes-sized",
        MANIFEST,
        SWITCH,
        LOW,
        "No appliance can fill the node's disk",
        "Give the volume a size (appliance_volumes)",
        check_volumes_sized,
    ),
)
