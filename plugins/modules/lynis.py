# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have Lynis look at an appliance's files."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lynis
short_description: Have Lynis look at an appliance's files, for its hardening index
version_added: 0.1.0
description:
  - Lays base, app and config over each other in a scratch folder, and runs the host's Lynis there. It runs programs of
    the tree, so it does that as users that the host does not have, in namespaces of their own, without a network.
  - Its index rewards what is installed, such as scanners and a mail server. It is told for comparison, and no module
    fails by it. This one fails only where Lynis made no test.
  - Nothing runs in the scratch folder, and what Lynis reads of the kernel is the host's.
options:
  timeout:
    description: Seconds that it may take.
    type: int
    default: 300
requirements:
  - lynis and util-linux on the host
extends_documentation_fragment:
  - strata.fleet.judge
seealso:
  - module: strata.fleet.openscap
"""

EXAMPLES = r"""
- name: Have the base's index
  strata.fleet.lynis:
    name: debian-13
    depot: /var/lib/strata/depot
    refs: [base/debian-13/stable]
  register: lynis
"""

RETURN = r"""
judge:
  description: Lynis and its version.
  returned: success
  type: str
  sample: Lynis 3.1.4
release:
  description: The tree's release.
  returned: success
  type: str
  sample: debian 13
index:
  description: The hardening index, of 100.
  returned: success
  type: int
  sample: 58
tests:
  description: How many tests were made.
  returned: success
  type: int
  sample: 232
tests_skipped:
  description: How many were left out.
  returned: success
  type: int
  sample: 234
warnings_told:
  description: Lynis's warnings, each with C(test) and C(text).
  returned: success
  type: list
  elements: dict
  sample: [{"test": "LOGG-2138", "text": "klogd is not running"}]
suggestions:
  description: Its suggestions, each with C(test) and C(text).
  returned: success
  type: list
  elements: dict
  sample: [{"test": "AUTH-9328", "text": "Default umask in /etc/login.defs could be more strict like 027"}]
bridges:
  description: How the tree differs from a running appliance, as sentences.
  returned: success
  type: list
  elements: str
  sample: ["Nothing runs in the scratch folder, and what Lynis reads of the kernel is the host's"]
seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 42.0
files:
  description: Its report in O(folder).
  returned: success
  type: list
  elements: str
  sample: [/var/lib/reports/web1-lynis.dat]
msg:
  description: The index as a sentence.
  returned: success
  type: str
  sample: "debian-13: Lynis 3.1.4 gives 58 of 100, by 232 tests"
steps:
  description: Always empty.
  returned: success
  type: list
  elements: str
  sample: []
"""

import os
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import judges
from ansible_collections.strata.fleet.plugins.module_utils.judge_options import JUDGE_OPTIONS, keep, merged, result_file
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result, run

SPEC = {**JUDGE_OPTIONS, "timeout": {"type": "int", "default": 300}}
OUTSIDE = "Nothing runs in the scratch folder, and what Lynis reads of the kernel is the host's"


def work(params: dict[str, t.Any], check_mode: bool) -> Result:
    os.umask(0o022)
    with merged(params) as tree:
        started = time.monotonic()
        text = judges.run_lynis(tree, params["timeout"])
        seconds = round(time.monotonic() - started, 1)
        told = judges.read_lynis(text)
        files = []
        if params["folder"] and not check_mode:
            files = [result_file(params, "lynis.dat")]
            keep(files[0], text.encode())
        version = told.pop("version")
        facts = {
            **told,
            "judge": f"Lynis {version}",
            "release": " ".join(tree.release),
            "bridges": [*tree.bridges, OUTSIDE],
            "seconds": seconds,
            "files": [str(file) for file in files],
            "msg": f"{params['name']}: Lynis {version} gives {told['index']} of 100, by {told['tests']} tests",
        }
        # In a result of Ansible, these two mean something else.
        facts["warnings_told"], facts["tests_skipped"] = facts.pop("warnings"), facts.pop("skipped")
        return Result(facts=facts)


def main() -> None:
    run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
