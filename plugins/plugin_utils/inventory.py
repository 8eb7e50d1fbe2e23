# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugins share: the inventory as plain data, and StrataError as Ansible's failure."""

from __future__ import annotations

import contextlib
import importlib.util
import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, StrataError

LIBRARIES = ("jsonschema", "netaddr", "rich")
SECRET_VARIABLE = "appliance_config"  # noqa: S105 - the name of a variable


@contextlib.contextmanager
def failures() -> t.Iterator[None]:
    """Turn a StrataError into the task's failure, with its facts. Refuses a controller that lacks a Python library."""
    try:
        require_libraries()
        yield
    except StrataError as error:
        raise AnsibleActionFail(error.message, result={"error": type(error).__name__, **error.facts}) from error


def require_libraries() -> None:
    """Raise BadInput where the controller's Python lacks what the plugins need."""
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise BadInput(f"The controller's Python lacks {', '.join(missing)}: pip install {' '.join(missing)}.")


def read_variables(task_vars: t.Mapping[str, t.Any], host: str, prefix: str) -> dict[str, t.Any]:
    """Return a host's variables that begin with ``prefix``, templated, without what may hold secrets."""
    variables = task_vars["hostvars"][host]
    return {key: variables[key] for key in variables if key.startswith(prefix) and key != SECRET_VARIABLE}


def read_config(task_vars: t.Mapping[str, t.Any], host: str) -> dict[str, t.Any]:
    """Return the values of an appliance's config options, secrets among them: never for a result."""
    return dict(task_vars["hostvars"][host].get(SECRET_VARIABLE, {}))


def members(task_vars: t.Mapping[str, t.Any], group: str) -> list[str]:
    """Return the hosts of a group, [] where the inventory has no such group."""
    return list(task_vars["groups"].get(group, []))
