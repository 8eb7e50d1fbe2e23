# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""want: a node's appliances, from what the module was given and what their layers say of themselves."""

from __future__ import annotations

import posixpath
import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import config_layer
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.instance import volume_name
from ansible_collections.strata.fleet.plugins.module_utils.model import (
    ABSENT,
    Appliance,
    Composition,
    ConfigFile,
    Layer,
    Nic,
    Place,
    Published,
    Removal,
    Volume,
)

Data = t.Mapping[str, t.Any]


def build(
    items: t.Iterable[Data], manifests: Data, place: Place, remove_state: t.Collection[str]
) -> list[Appliance | Removal]:
    """Return what is wanted. ``items`` are as the module's option ``appliances`` describes them.

    Raises BadInput where an appliance asks for a volume that its app does not declare, or where state is to be deleted
    of an appliance that is not absent.
    """
    want: list[Appliance | Removal] = []
    for item in items:
        if item["state"] == ABSENT:
            want.append(Removal(item["name"], item["name"] in remove_state))
        else:
            want.append(build_appliance(item, manifests, place))
    kept = sorted(set(remove_state) - {item.name for item in want if isinstance(item, Removal)})
    if kept:
        raise BadInput(
            f"The state of {', '.join(kept)} was asked to be deleted, but only that of an absent appliance can be: "
            "set appliance_state to absent as well"
        )
    return want


def with_secrets(items: t.Iterable[Data], secrets: Data) -> list[Data]:
    """Return the appliances with what their secret files hold, which the module is given by appliance and path."""
    return [
        {
            **item,
            "files": [
                {**file, "secret_text": secrets.get(item["name"], {}).get(file["path"])} for file in item["files"]
            ],
        }
        for item in items
    ]


def build_appliance(item: Data, manifests: Data, place: Place) -> Appliance:
    """Return one appliance that should be there."""
    files = tuple(build_file(file) for file in item["files"])
    composition = Composition(Layer(**item["base"]), Layer(**item["app"]), config_layer.digest(files, place.key))
    return _compose(item, composition, manifests, files, build_volumes(item, manifests[composition.app.commit]))


def build_former(item: Data, composition: Composition, manifests: Data) -> Appliance:
    """Return the same appliance in a composition that it had; its config layer is in the store already."""
    app = manifests[composition.app.commit]
    declared = {volume["name"] for volume in app["volumes"]}
    known = {name: size for name, size in item["volumes"].items() if name in declared}
    return _compose(item, composition, manifests, (), build_volumes({**item, "volumes": known}, app))


def _compose(
    item: Data, composition: Composition, manifests: Data, files: tuple[ConfigFile, ...], volumes: tuple[Volume, ...]
) -> Appliance:
    base, app = (manifests[layer.commit] for layer in composition[:2])
    return Appliance(
        name=item["name"],
        state=item["state"],
        composition=composition,
        files=files,
        nics=tuple(Nic(network["network"], network["address"]) for network in item["networks"]),
        volumes=volumes,
        published=tuple(Published(p["address"], p["listen"], p["port"], p["protocol"]) for p in item["published"]),
        memory=item["memory"],
        cpus=item["cpus"],
        autostart=item["autostart"],
        health=item["health"] or app["health"],
        health_timeout=item["health_timeout"],
        services=tuple(app["services"]),
        systemd=major_version(base["systemd"]),
        state_schema=app.get("state_schema", ""),
        ports=tuple(port["port"] for port in app.get("ports", []) if port.get("protocol", "tcp") == "tcp"),
    )


def build_volumes(item: Data, app: Data) -> tuple[Volume, ...]:
    """Return the app's state volumes, in the sizes that the site wants."""
    declared = {volume["name"]: volume for volume in app["volumes"]}
    unknown = sorted(set(item["volumes"]) - set(declared))
    if unknown:
        raise BadInput(
            f"Appliance {item['name']}: appliance_volumes.{unknown[0]} is not a volume of app {app['name']} "
            f"{app['version']}; it has {', '.join(sorted(declared)) or 'none'}."
        )
    return tuple(
        Volume(name, volume["path"], item["volumes"].get(name) or volume.get("size") or 0)
        for name, volume in declared.items()
    )


def volume_sizes(want: t.Iterable[Appliance | Removal]) -> dict[str, int]:
    """Return the wanted sizes in bytes of all state volumes, by the engine's names for them."""
    appliances = [item for item in want if isinstance(item, Appliance)]
    return {volume_name(item.name, volume.name): volume.size for item in appliances for volume in item.volumes}


def build_file(file: Data) -> ConfigFile:
    """Return one file of the config layer. Raises BadInput for a path that leads out of it: it comes from a vendor."""
    path = file["path"]
    if not path.startswith("/etc/") or posixpath.normpath(path) != path:
        raise BadInput(f"A config file must have a plain path below /etc, and {path!r} is none: ask the app's vendor.")
    secret = file.get("secret_text")
    return ConfigFile(
        path=path,
        text=file["text"] if secret is None else secret,
        shown=file["text"],
        mode=int(file["mode"], 8),
        uid=file["uid"],
        gid=file["gid"],
        on_change=file["on_change"],
        units=tuple(file["units"]),
    )


def major_version(version: str) -> int:
    """Return systemd's major version out of a package version such as 257.9-1~deb13u1."""
    found = re.match(r"\d+", version)
    return int(found[0]) if found else 0
