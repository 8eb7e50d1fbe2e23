# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugins share: the inventory as plain data, and StrataError as Ansible's failure."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.util
import json
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.template import Templar
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, StrataError

LIBRARIES = ("jsonschema", "netaddr", "rich")
PACKAGES = {"debian": "python-debian"}  # where pip has a library under another name
SECRET_VARIABLE = "appliance_config"  # noqa: S105 - the name of a variable


@contextlib.contextmanager
def failures(*libraries: str) -> t.Iterator[None]:
    """Turn a StrataError into the task's failure, with its facts.

    Refuses a controller that lacks a Python library; ``libraries`` are those that only this plugin needs.
    """
    try:
        require_libraries([*LIBRARIES, *libraries])
        yield
    except StrataError as error:
        raise AnsibleActionFail(error.message, result={"error": type(error).__name__, **error.facts}) from error


def plain(data: t.Any) -> t.Any:
    """Return the data in Python's own types: libraries that ask for a type do not know those of Ansible."""
    return json.loads(json.dumps(data))


def say_days(data: t.Any) -> t.Any:
    """Return the data with days as text: YAML makes a date of one that is written without quotes."""
    if isinstance(data, dict):
        return {key: say_days(value) for key, value in data.items()}
    if isinstance(data, list):
        return [say_days(value) for value in data]
    return data.isoformat() if isinstance(data, dt.date) else data


def require_libraries(libraries: t.Iterable[str]) -> None:
    """Raise BadInput where the controller's Python lacks one of these."""
    missing = [PACKAGES.get(name, name) for name in libraries if importlib.util.find_spec(name) is None]
    if missing:
        raise BadInput(f"The controller's Python lacks {', '.join(missing)}: pip install {' '.join(missing)}.")


class Inventory:
    """The inventory, as an action plugin sees it.

    Ansible templates another host's variables without ``hostvars``; an appliance may well name another's address, so
    they are templated here, with it.
    """

    def __init__(self, loader: t.Any, task_vars: t.Mapping[str, t.Any]) -> None:
        self._loader = loader
        self._task_vars = task_vars
        # By host: Ansible puts them together anew each time, and several things are asked of each.
        self._raw: dict[str, t.Mapping[str, t.Any]] = {}

    def members(self, group: str) -> list[str]:
        """Return the hosts of a group, [] where there is no such group."""
        return list(self._task_vars["groups"].get(group, []))

    def groups(self) -> dict[str, list[str]]:
        """Return the hosts of every group."""
        return {group: list(hosts) for group, hosts in self._task_vars["groups"].items()}

    def read(self, host: str, prefix: str) -> dict[str, t.Any]:
        """Return a host's variables that begin with ``prefix``, without what may hold secrets."""
        found = self._read(host, lambda key: key.startswith(prefix) and key != SECRET_VARIABLE)
        return {key: say_days(value) for key, value in found.items()}

    def read_config(self, host: str) -> dict[str, t.Any]:
        """Return the values of an appliance's config options, secrets among them: never for a result."""
        return dict(self._read(host, lambda key: key == SECRET_VARIABLE).get(SECRET_VARIABLE, {}))

    def _read(self, host: str, is_asked_for: t.Callable[[str], bool]) -> dict[str, t.Any]:
        every_host = self._task_vars["hostvars"]
        raw = self._raw.get(host) or self._raw.setdefault(host, every_host.raw_get(host))
        templar = Templar(loader=self._loader, variables={**raw, "hostvars": every_host})
        return {key: _template(templar, host, key, value) for key, value in raw.items() if is_asked_for(key)}


def _template(templar: Templar, host: str, key: str, value: t.Any) -> t.Any:
    """Return the value of a variable. Raises BadInput where it names what is not there, or cannot be decrypted."""
    try:
        return templar.template(value)
    except AnsibleError as error:
        raise BadInput(f"{host}: {key} cannot be read: {error}.") from error
