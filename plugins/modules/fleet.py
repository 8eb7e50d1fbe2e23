# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the whole inventory of appliances, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet
short_description: Read the fleet from the inventory and check it as a whole
version_added: 0.1.0
description:
  - Reads the C(appliance_*) variables of every host in the group C(appliances), and C(engine_networks) of every host in
    the group C(nodes), and checks them together before any node is touched.
  - Refuses unknown or ill-typed variables, nodes that do not exist, names the engine would not take, addresses outside
    their network, and two appliances that claim one address or one published port. All faults are reported at once.
  - Runs on the controller only; connects to nothing.
  - Values of C(appliance_config) are never read here, as they may hold secrets.
options:
  only:
    description:
      - Return only these appliances. The whole inventory is checked all the same.
    type: list
    elements: str
    default: []
  leave_paused:
    description:
      - Leave out the appliances whose C(appliance_pause) has not ended, unless O(only) names them, and say so. They are
        checked all the same.
    type: bool
    default: false
  versions:
    description:
      - By appliance, the C(base) and C(app) (each with C(name) and C(version)) to run where the inventory names no
        version. Without it, an appliance stays on what it runs.
      - This is how a commit that did harm is undone. What ran before is in the plan that was made before it.
    type: dict
    default: {}
  today:
    description: The day by which pauses end, such as V(2026-12-24). Without it, today in UTC.
    type: str
    default: ""
extends_documentation_fragment:
  - strata.fleet.node.read_only
requirements:
  - netaddr on the controller
  - jsonschema on the controller
author:
  - The Strata authors (@strata-fleet)
"""

EXAMPLES = r"""
- name: Read and check the inventory
  strata.fleet.fleet:
  run_once: true
  register: fleet

- name: Show what runs where
  ansible.builtin.debug:
    msg: "{{ fleet.nodes[inventory_hostname] | map(attribute='name') }}"
"""

RETURN = r"""
nodes:
  description: The appliances of each node, in the shape that the modules V(store) and V(appliance) take.
  returned: success
  type: dict
  sample:
    node1:
      - name: web1
        state: running
        base: {name: debian-13, version: "", channel: stable}
        app: {name: nginx, version: "", channel: stable}
paused:
  description: The appliances that are paused and that O(only) does not name, with C(reason) and C(until).
  returned: success
  type: dict
  sample:
    web1: {reason: measurements, until: "2026-12-24"}
"""
