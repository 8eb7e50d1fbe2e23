# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that tell a node which appliances it should have."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of ``APPLIANCE_OPTIONS`` in ``plugins/module_utils/options.py``; a test keeps the two the same."""

    DOCUMENTATION = r"""
options:
  appliances:
    description: The node's appliances, as the module M(strata.fleet.fleet) returns them. Others are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The appliance's name.
        type: str
        required: true
      state:
        description: What it should be. V(absent) removes the instance and keeps its state volumes.
        type: str
        choices: [running, stopped, absent]
        default: running
      base:
        description: Name, version and commit of the base. Filled in from O(layers).
        type: dict
      app:
        description: Name, version and commit of the app. Filled in from O(layers).
        type: dict
      networks:
        description: Network cards, as C(network), C(address), C(prefix) and C(gateway).
        type: list
        elements: dict
        default: []
      volumes:
        description: Sizes of state volumes in bytes, by the volume's name.
        type: dict
        default: {}
      memory:
        description: Memory limit in bytes. V(0) sets none.
        type: int
        default: 0
      cpus:
        description: How many CPUs it may use. V(0) sets no limit.
        type: int
        default: 0
      published:
        description: Ports of the node, as C(address), C(listen), C(port) and C(protocol).
        type: list
        elements: dict
        default: []
      autostart:
        description: Whether it starts with the node.
        type: bool
        default: true
      health:
        description: A health check in place of the app's own.
        type: dict
        default: {}
      health_timeout:
        description: Seconds to wait for health.
        type: int
        default: 60
      files:
        description: The files of the config layer. Filled in by rendering the app's templates on the controller.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: Where the file appears, below C(/etc).
            type: str
            required: true
          text:
            description: What the file holds, with secrets replaced by asterisks.
            type: str
            required: true
          mode:
            description: The file's mode in octal.
            type: str
            required: true
          uid:
            description: The owner's number inside the appliance.
            type: int
            required: true
          gid:
            description: The group's number inside the appliance.
            type: int
            required: true
          on_change:
            description: What O(appliances[].files[].units) need when the file changes.
            type: str
            choices: [reload, restart, reboot]
            required: true
          units:
            description: The units that read the file.
            type: list
            elements: str
            default: []
  secrets:
    description:
      - What the config files that hold secrets really hold, by appliance and path. Filled in on the controller.
      - Apart from O(appliances), since the node's journal shows nested options as they are.
    type: dict
    default: {}
  layers:
    description: The layers of each appliance, as the module M(strata.fleet.store) returns them.
    type: dict
    default: {}
  manifests:
    description: The manifests of these layers, as the module M(strata.fleet.store) returns them.
    type: dict
    default: {}
  parallel:
    description: How many appliances are worked on at once.
    type: int
    default: 4
"""
