# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The config stratum, on the controller: an app's templates, rendered with this site's values. Pure."""

from __future__ import annotations

import functools
import typing as t

import jinja2
import jinja2.sandbox
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import suggest

HIDDEN = "********"
TYPES: t.Mapping[str, tuple[type, ...]] = {
    "bool": (bool,),  # before int, of which Python makes it a kind
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "list": (list,),
    "dict": (dict,),
}

Data = dict[str, t.Any]
Options = t.Mapping[str, t.Mapping[str, t.Any]]


def render_files(appliance: Data, manifest: Data, given: t.Mapping[str, t.Any]) -> list[Data]:
    """Return the files of an appliance's config layer, in the shape that the module ``appliance`` takes.

    ``given`` are the values of ``appliance_config``. ``text`` is always fit to be shown; ``secret_text`` is there
    where a file holds a secret, and is what is written. Raises BadInput with everything that is wrong with the values.
    """
    options = manifest["config"]["options"]
    faults = find_option_faults(given, options)
    if faults:
        raise BadInput("\n".join(f"Appliance {appliance['name']}: {fault}." for fault in faults))
    values = {name: option.get("default") for name, option in options.items()} | dict(given)
    shown = {name: HIDDEN if options[name].get("secret") and value else value for name, value in values.items()}
    return [
        *site_files(appliance),
        *(_render_file(template, values, shown, appliance) for template in manifest["config"]["templates"]),
    ]


def find_option_faults(given: t.Mapping[str, t.Any], options: Options) -> list[str]:
    """Return what is wrong with the values given for an app's options. Secret values are never in a sentence."""
    faults = [
        f"appliance_config.{name} is not an option of this app{suggest(name, options)}"
        for name in given
        if name not in options
    ]
    for name, option in options.items():
        if name in given:
            faults += [f"appliance_config.{name} {fault}" for fault in _find_value_faults(given[name], option)]
        elif option.get("required"):
            faults.append(
                f"appliance_config.{name} is missing: the app requires it ({option.get('description', 'undescribed')})"
            )
    return faults


def _find_value_faults(value: t.Any, option: t.Mapping[str, t.Any]) -> list[str]:
    kind = option["type"]
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
        return [f"must be of type {kind}, not {_type_name(value)}"]
    is_secret = option.get("secret", False)
    said = "the value given" if is_secret else repr(value)
    choices = option.get("choices")
    if choices and value not in choices:
        return [f"must be one of {', '.join(str(choice) for choice in choices)}, not {said}"]
    if "minimum" in option and value < option["minimum"]:
        return [f"must be at least {option['minimum']}, not {said}"]
    if "maximum" in option and value > option["maximum"]:
        return [f"must be at most {option['maximum']}, not {said}"]
    return []


def _type_name(value: t.Any) -> str:
    if value is None:
        return "empty (null)"
    return next((name for name, types in TYPES.items() if isinstance(value, types[0])), type(value).__name__)


def _render_file(template: Data, values: Data, shown: Data, appliance: Data) -> Data:
    text = _render(template, values, appliance)
    public = _render(template, shown, appliance)
    keys = ("path", "uid", "gid", "on_change", "units")
    file = {**{key: template[key] for key in keys}, "mode": template["mode"], "text": public}
    return file if text == public else {**file, "secret_text": text}


def _render(template: Data, values: Data, appliance: Data) -> str:
    facts = {"name": appliance["name"], "addresses": [item["address"] for item in appliance["networks"]]}
    try:
        return _compile(str(template["content"])).render({**values, "appliance": facts})
    except Exception as error:  # noqa: BLE001 - what an expression in a vendor's template may raise
        # The error's words could hold a value; its kind and line cannot.
        raise BadInput(
            f"Appliance {appliance['name']}: the app's template for {template['path']} fails with these values "
            f"({type(error).__name__}, line {getattr(error, 'lineno', None) or '?'}): "
            "check appliance_config, or ask the app's vendor"
        ) from None


@functools.cache
def _compile(content: str) -> jinja2.Template:
    # A template comes from a vendor: it may compute, but not reach into the controller.
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(content)


def site_files(appliance: Data) -> list[Data]:
    """Return the files that every appliance gets from its place in the inventory: network cards and name service."""
    networks = appliance["networks"]
    files = [
        _site_file(f"/etc/systemd/network/10-eth{n}.network", _network_unit(n, item)) for n, item in enumerate(networks)
    ]
    if networks and networks[0]["address"] and networks[0]["gateway"]:
        files.append(_site_file("/etc/resolv.conf", f"nameserver {networks[0]['gateway']}\n"))
    return files


def _network_unit(number: int, item: Data) -> str:
    lines = ["[Match]", f"Name=eth{number}", "", "[Network]", "LinkLocalAddressing=no", "IPv6AcceptRA=no"]
    if not item["address"]:
        return "\n".join([*lines, "DHCP=ipv4", ""])
    lines.append(f"Address={item['address']}/{item['prefix']}")
    # Only the first card leads out: two default routes make neither reliable.
    leads_out = number == 0 and item["gateway"]
    return "\n".join([*lines, *([f"Gateway={item['gateway']}"] if leads_out else []), ""])


def _site_file(path: str, text: str) -> Data:
    return {"path": path, "mode": "0644", "uid": 0, "gid": 0, "on_change": "reboot", "units": [], "text": text}
