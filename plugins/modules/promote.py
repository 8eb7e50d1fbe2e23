# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have a channel name a version that is there already."""

from __future__ import annotations

DOCUMENTATION = r"""
module: promote
short_description: Have a channel of a depot name a version that is there already
version_added: 0.1.0
description:
  - Moves a channel of a base or an app to what another channel, or a version, names. Nothing is built; it is the same
    commit, so what was tested is what the fleet gets.
  - Going back to an older version is allowed, and said in the result and the diff, with the CVE ids that come back.
  - What a policy of mode V(enforce) does not let the depot publish is not promoted either, in check mode as well. It is
    judged by what it says of itself and by its files; who signed it and published ports are left to the nodes.
options:
  depot:
    description: The depot's folder on the host.
    type: path
    required: true
  name:
    description: The base or app, such as V(base/debian-13).
    type: str
    required: true
  source:
    description: The channel or the version to take.
    type: str
    required: true
  channel:
    description: The channel to move. It is made where there is none of this name.
    type: str
    default: stable
  lockdown:
    description:
      - The depot's policy, by which a version that is not allowed is refused. Filled in on the controller, from
        C(lockdown_policies) and C(lockdown_waivers).
    type: dict
    default: {}
requirements:
  - ostree and gpg on the host
author:
  - The Strata authors (@strata-fleet)
attributes:
  check_mode:
    description: Can run in check mode and tell what would change.
    support: full
  diff_mode:
    description: Tells what the channel names before and after, and which packages differ.
    support: full
  idempotent:
    description: Does nothing where the channel names that version.
    support: full
seealso:
  - module: strata.fleet.base
  - module: strata.fleet.app
  - module: strata.fleet.depot_info
"""

EXAMPLES = r"""
- name: What was tested goes to the fleet
  strata.fleet.promote:
    depot: /var/lib/strata/depot
    name: base/debian-13
    source: candidate
    channel: stable

- name: Back to an older version
  strata.fleet.promote:
    depot: /var/lib/strata/depot
    name: base/debian-13
    source: 13.20261122.1
    channel: stable
"""

RETURN = r"""
version:
  description: What the channel names, or in check mode would name, as M(strata.fleet.base) returns it.
  returned: success
  type: dict
  sample: {"kind": "base", "name": "debian-13", "version": "13.20261122.2"}
previous:
  description: What it named before; empty for a new channel.
  returned: success
  type: dict
  sample: {"kind": "base", "name": "debian-13", "version": "13.20261122.1"}
back:
  description: Whether the channel goes back to an older version.
  returned: success
  type: bool
  sample: false
changes:
  description:
    - The packages that differ, the CVE ids and advisories that the newer one fixes, and whether the depot could tell
      all of them.
    - When the channel goes back, these are the fixes that are given up.
  returned: success
  type: dict
  sample:
    packages: [{"name": "openssl", "from": "3.5.4-1", "to": "3.5.4-1+deb13u1", "cves": ["CVE-2026-1234"]}]
    cves: [CVE-2026-1234]
    advisories: [DSA-6000-1]
    complete: true
msg:
  description: The same as a sentence.
  returned: success
  type: str
  sample: "base/debian-13/stable: 13.20261122.1 -> 13.20261122.2; 1 package differs: openssl 3.5.4-1 -> 3.5.4-1+deb13u1"
steps:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: str
  sample: ["point base/debian-13/stable at 13.20261122.2 instead of 13.20261122.1"]
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import building, promotion
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import publishing
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result, run

SPEC = {
    "depot": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "source": {"type": "str", "required": True},
    "channel": {"type": "str", "default": "stable"},
    "lockdown": {"type": "dict", "default": {}},
}


def work(params: dict[str, t.Any], check_mode: bool) -> Result:
    os.umask(0o022)
    depot = Depot(params["depot"])
    kind, name = promotion.check(params["name"], params["channel"])
    depot.require()
    place = building.Place(kind, name, params["channel"])
    with depot.locked():
        refs = depot.repo.refs()
        commit = promotion.resolve(refs, params["name"], params["source"])
        present = refs.get(str(place))
        if commit != present:
            promotion.refuse_vendors_channel(refs, str(place))
            publishing.admit_version(depot, commit, params["lockdown"])
        result = report(depot, place, present, commit)
        if not check_mode:
            depot.point(*place, commit)
            if not depot.summary_is_current():
                depot.update_summary()
    return result


def report(depot: Depot, place: building.Place, present: str | None, commit: str) -> Result:
    """Return the result of moving the channel from one commit to another."""
    new = depot.describe(commit, place.kind, place.name)
    old = depot.describe(present, place.kind, place.name) if present else {}
    if present == commit:
        facts = {"version": new, "previous": old, "back": False, "changes": depot.between(None, None)}
        return Result(False, [], old, new, {**facts, "msg": f"{place} names {new['version']} already"})
    back = bool(old) and promotion.goes_back(old["version"], new["version"])
    changed = depot.between(commit, present) if back else depot.between(present, commit)
    sides = ("to", "from") if back else ("from", "to")
    before, after = (
        {**shown, **building.packages_in(changed, side)} for shown, side in zip((old, new), sides, strict=True)
    )
    if changed["cves"]:
        after["cves_that_come_back" if back else "cves"] = changed["cves"]
    if back:
        after["back"] = f"this is older than {old['version']}"
    step = f"point {place} at {new['version']}" + (f" instead of {old['version']}" if old else "")
    facts = {
        "version": new,
        "previous": old,
        "back": back,
        "changes": changed,
        "msg": sentence(place, old, new, changed, back=back),
    }
    return Result(True, [step + (", which is older" if back else "")], before, after, facts)


def sentence(
    place: building.Place, old: t.Mapping[str, t.Any], new: t.Mapping[str, t.Any], changed: building.Data, *, back: bool
) -> str:
    """Return what happens to the channel."""
    if back:
        lost = f"; these fixes are given up: {', '.join(changed['cves'])}" if changed["cves"] else ""
        return f"{place} goes back from {old['version']} to {new['version']}, which is older{lost}"
    return f"{place}: {old.get('version', 'new')} -> {new['version']}; {building.summary(changed)}"


def main() -> None:
    run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
