# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign a vendor's version with the depot's own key as well."""

from __future__ import annotations

DOCUMENTATION = r"""
module: countersign
short_description: Sign a vendor's version with the depot's own key as well
version_added: 0.1.0
description:
  - Adds the signature of the depot's key to a version that was mirrored from a vendor, whose signature stays. So IT
    says that it has looked at this version and lets it run; the rule C(countersigned-apps) of a policy asks for that.
  - The version is the same commit as before. Mirroring the vendor again keeps the signature.
  - Nodes that have the version already take the signature over with O(strata.fleet.store#module:signatures).
options:
  depot:
    description: The depot's folder on the host.
    type: path
    required: true
  name:
    description: The base or app, such as V(app/nginx).
    type: str
    required: true
  source:
    description:
      - The version to sign, or a channel that names it. Where somebody else moves the channel, name the version.
    type: str
    required: true
requirements:
  - ostree and gpg on the host
author:
  - The Strata authors (@strata-fleet)
attributes:
  check_mode:
    description: Can run in check mode and tell what would change.
    support: full
  diff_mode:
    description: Tells who has signed the version before and after.
    support: full
  idempotent:
    description: Does nothing where the depot's key has signed the version.
    support: full
seealso:
  - module: strata.fleet.depot
  - module: strata.fleet.promote
"""

EXAMPLES = r"""
- name: What was looked at may run
  strata.fleet.countersign:
    depot: /var/lib/strata/depot
    name: app/nginx
    source: 1.26-1
"""

RETURN = r"""
version:
  description: The version, as M(strata.fleet.app) returns it.
  returned: success
  type: dict
  sample: {"kind": "app", "name": "nginx", "version": "1.26-1"}
signers:
  description: Who has signed it, or in check mode would have, by fingerprint; C(name) is empty for the depot's own key.
  returned: success
  type: list
  elements: dict
  sample:
    - {"fingerprint": "0123456789ABCDEF0123456789ABCDEF01234567", "name": "acme"}
    - {"fingerprint": "89ABCDEF0123456789ABCDEF0123456789ABCDEF", "name": ""}
msg:
  description: The same as a sentence.
  returned: success
  type: str
  sample: "app/nginx 1.26-1 is countersigned"
steps:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: str
  sample: ["sign app/nginx 1.26-1 with 89ABCDEF0123456789ABCDEF0123456789ABCDEF"]
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import promotion
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot
from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result, run

SPEC = {
    "depot": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "source": {"type": "str", "required": True},
}


def work(params: dict[str, t.Any], check_mode: bool) -> Result:
    """Sign it, where it is not signed yet."""
    os.umask(0o022)
    depot = Depot(params["depot"])
    kind, name = promotion.check(params["name"], "stable")
    depot.require()
    with depot.locked():
        commit = promotion.resolve(depot.repo.refs(), params["name"], params["source"])
        version = depot.describe(commit, kind, name)
        result = report(params["name"], version, short(depot.signers(commit)), depot.fingerprint() or "")
        if result.changed and not check_mode:
            depot.countersign(commit)
            if not depot.has_signed(commit):
                raise ContentError(
                    f"{params['name']} {version['version']} was signed, but ostree does not show the signature: look at"
                    f" ostree show {commit} --repo={depot.repo.path}",
                    commit=commit,
                )
    return result


def short(signers: t.Iterable[t.Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the signers by whole keys alone."""
    return [{"fingerprint": each["fingerprint"], "name": each["name"]} for each in signers]


def report(layer: str, version: dict[str, t.Any], signers: list[dict[str, str]], own: str) -> Result:
    """Return the result for a version that these have signed; ``own`` is the depot's key."""
    what = f"{layer} {version['version']}"
    if any(signer["fingerprint"] == own for signer in signers):
        facts = {"version": version, "signers": signers, "msg": f"{what} has the depot's signature already"}
        return Result(False, [], {"signers": signers}, {"signers": signers}, facts)
    after = [*signers, {"fingerprint": own, "name": ""}]
    facts = {"version": version, "signers": after, "msg": f"{what} is countersigned"}
    return Result(True, [f"sign {what} with {own}"], {"signers": signers}, {"signers": after}, facts)


def main() -> None:
    """Run the module."""
    run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
