# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign a text with a depot's key."""

from __future__ import annotations

DOCUMENTATION = r"""
module: signature
short_description: Sign a text with a depot's key
version_added: 0.1.0
description:
  - Returns a detached signature, armored, by the key that signs the depot's versions. So are records of
    rollouts signed.
  - Whoever has the depot's public key (C(site.asc)) can check it with C(gpg --verify).
  - Nothing is written, so it does the same in check mode.
options:
  depot:
    description: The depot's folder on the host.
    type: path
    required: true
  text:
    description: What to sign, in UTF-8. It is neither logged nor returned.
    type: str
    required: true
requirements:
  - ostree and gpg on the host
author:
  - The Strata authors (@strata-fleet)
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
  idempotent:
    description: Changes nothing.
    support: full
seealso:
  - module: strata.fleet.depot
"""

EXAMPLES = r"""
- name: Sign a record
  strata.fleet.signature:
    depot: /var/lib/strata/depot
    text: "{{ lookup('ansible.builtin.file', 'record.json', rstrip=false) }}"
  register: __signature
"""

RETURN = r"""
signature:
  description: The detached signature, armored.
  returned: success
  type: str
  sample: "-----BEGIN PGP SIGNATURE-----..."
fingerprint:
  description: The fingerprint of the key that signed.
  returned: success
  type: str
  sample: 0123456789ABCDEF0123456789ABCDEF01234567
steps:
  description: Always empty.
  returned: success
  type: list
  elements: str
  sample: []
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result, run

SPEC = {
    "depot": {"type": "path", "required": True},
    "text": {"type": "str", "required": True, "no_log": True},
}


def work(params: dict[str, t.Any], _check_mode: bool) -> Result:
    depot = Depot(params["depot"])
    depot.require()
    with depot.locked():
        signature = depot.sign(params["text"])
    return Result(facts={"signature": signature, "fingerprint": depot.fingerprint()})


def main() -> None:
    run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
