# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have OpenSCAP judge an appliance's files."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openscap
short_description: Have OpenSCAP judge an appliance's files, and count what it really evaluated
version_added: 0.1.0
description:
  - Lays base, app and config over each other in a scratch folder, and has OpenSCAP evaluate profiles there, offline. No
    appliance is entered, and nothing is installed in one.
  - OpenSCAP calls a rule that it cannot apply not applicable and ends well, also where that is every rule. So this
    module never goes by how it ends. It fails where fewer than O(at_least) rules of a profile were evaluated, where a
    probe failed, and where OpenSCAP cannot read the tree's packages or release.
  - Whatever was done so that rules apply is told in RV(bridges).
options:
  profiles:
    description: The profiles, with or without C(xccdf_org.ssgproject.content_profile_).
    type: list
    elements: str
    default: [anssi_bp28_high]
  content:
    description:
      - The SCAP data stream on the host. Without it, that of C(ssg-debian) for the tree's release, or the newest for an
        older one.
    type: path
  content_digest:
    description: The SHA-256 that the content has to have.
    type: str
    default: ""
  markers:
    description:
      - Packages that the scratch copy's database is to have though they are not installed. Many rules apply only where
        C(linux-base) is, which containers lack.
    type: list
    elements: str
    default: [linux-base]
  at_least:
    description: How many rules of each profile have to be evaluated.
    type: int
    default: 1
  expected:
    description: Why rules fail that may, by rule. Others that fail are RV(profiles[].failed).
    type: list
    elements: dict
    default: []
    suboptions:
      rule:
        description: The rule, or a shell pattern of rules, without C(xccdf_org.ssgproject.content_rule_).
        type: str
        required: true
      reason:
        description: Why it fails.
        type: str
        required: true
      owner:
        description: Who answers for that.
        type: str
        required: true
requirements:
  - openscap-scanner, and ssg-debian or another content, on the host
extends_documentation_fragment:
  - strata.fleet.judge
seealso:
  - module: strata.fleet.lynis
"""

EXAMPLES = r"""
- name: Judge what the depot publishes
  strata.fleet.openscap:
    name: debian-13
    depot: /var/lib/strata/depot
    refs: [base/debian-13/stable, app/nginx/stable]
    profiles: [anssi_bp28_minimal, anssi_bp28_high]
    at_least: 25
    folder: /var/lib/reports

- name: Judge an appliance by what is mapped into it
  strata.fleet.openscap:
    name: web1
    trees:
      - /var/lib/strata/store/layers/2da192f84a4bff6f828a7534b12d1bfb46a393479f5f999579c416dca9e56b3d
      - /var/lib/strata/store/layers/90d66fb8b5741e37d28896e4467b697408d92f44a9662685af2d57852f309eb4
      - /var/lib/strata/store/config/web1/4fd12df66c673881d5b24b21ff7a084b
"""

RETURN = r"""
judge:
  description: OpenSCAP and its version.
  returned: success
  type: str
  sample: OpenSCAP 1.4.2
content:
  description: What the rules are from.
  returned: success
  type: dict
  contains:
    file:
      description: The data stream.
      type: str
      sample: /usr/share/xml/scap/ssg/content/ssg-debian12-ds.xml
    digest:
      description: Its SHA-256.
      type: str
      sample: 2da192f84a4bff6f828a7534b12d1bfb46a393479f5f999579c416dca9e56b3d
    version:
      description: Its version.
      type: str
      sample: 0.1.76
    platforms:
      description: The releases that it says it is for.
      type: list
      elements: str
      sample: ["cpe:/o:debian:debian_linux:12"]
release:
  description: The tree's own release.
  returned: success
  type: str
  sample: debian 13
bridges:
  description: What was done so that rules apply, as sentences.
  returned: success
  type: list
  elements: str
  sample: ["linux-base was added to the scratch database, though it is not installed"]
profiles:
  description: What came of each profile.
  returned: success
  type: list
  elements: dict
  contains:
    profile:
      description: The profile's id.
      type: str
      sample: xccdf_org.ssgproject.content_profile_anssi_bp28_high
    evaluated:
      description: How many rules were decided.
      type: int
      sample: 264
    counts:
      description: How many rules ended how.
      type: dict
      sample: {"fail": 137, "notapplicable": 128, "notchecked": 1, "pass": 125}
    failed:
      description:
        - The rules that failed, or could not be decided, and that O(expected) does not explain. Each with C(rule),
          C(title), C(severity) and C(result).
      type: list
      elements: dict
      sample: [{"rule": "accounts_tmout", "title": "Set Timeout", "severity": "medium", "result": "fail"}]
    explained:
      description: Those that O(expected) explains, also with C(reason) and C(owner).
      type: list
      elements: dict
      sample: []
    needless:
      description: What of O(expected) no failed rule matches.
      type: list
      elements: str
      sample: []
    seconds:
      description: How long it took.
      type: float
      sample: 5.1
    files:
      description: The ARF and the HTML page in O(folder).
      type: list
      elements: str
      sample: [/var/lib/reports/web1-anssi_bp28_high.arf.xml, /var/lib/reports/web1-anssi_bp28_high.html]
msg:
  description: The counts as a sentence.
  returned: success
  type: str
  sample: "debian-13: anssi_bp28_high 125 of 262 evaluated rules passed"
steps:
  description: Always empty.
  returned: success
  type: list
  elements: str
  sample: []
"""

import os
import pathlib
import tempfile
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import judges
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.judge_options import JUDGE_OPTIONS, keep, merged, result_file
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result, run

SPEC = {
    **JUDGE_OPTIONS,
    "profiles": {"type": "list", "elements": "str", "default": ["anssi_bp28_high"]},
    "content": {"type": "path"},
    "content_digest": {"type": "str", "default": ""},
    "markers": {"type": "list", "elements": "str", "default": ["linux-base"]},
    "at_least": {"type": "int", "default": 1},
    "expected": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {key: {"type": "str", "required": True} for key in ("rule", "reason", "owner")},
    },
}
Data = dict[str, t.Any]


def work(params: Data, check_mode: bool) -> Result:
    os.umask(0o022)
    if not params["profiles"]:
        raise BadInput("No profile is to be evaluated", key="profiles")
    version = judges.oscap_version()
    with merged(params, params["markers"]) as tree, tempfile.TemporaryDirectory(prefix="strata-") as scratch:
        file = pathlib.Path(params["content"]) if params["content"] else judges.find_content(tree.release)
        content = judges.read_content(file)
        judges.require_digest(content, params["content_digest"])
        profiles = [judges.require_profile(content, each) for each in params["profiles"]]
        platform, bridges = judges.plan_bridge(content, tree.release)
        folder = pathlib.Path(scratch)
        options = judges.write_helpers(folder, tree.release, platform)
        judges.look(tree, folder)
        done = []
        for profile in profiles:
            started = time.monotonic()
            judges.evaluate(tree, content, profile, options, folder)
            told = describe(params, profile, folder)
            told["seconds"] = round(time.monotonic() - started, 1)
            told["files"] = [] if check_mode or not params["folder"] else keep_results(params, profile, folder)
            done.append(told)
        facts = {
            "judge": f"OpenSCAP {version}",
            "content": {
                **{key: getattr(content, key) for key in ("file", "digest", "version")},
                "platforms": list(content.platforms),
            },
            "release": " ".join(tree.release),
            "bridges": [*tree.bridges, *bridges],
            "profiles": done,
            "msg": f"{params['name']}: {'; '.join(map(say, done))}",
        }
        return Result(facts=facts)


def describe(params: Data, profile: str, folder: pathlib.Path) -> Data:
    """Return what came of one profile. Raises ContentError where too little was evaluated."""
    judgement = judges.read_results(folder / "arf.xml")
    judges.require_evaluated(judgement, params["at_least"], f"Profile {profile} on {params['name']}")
    return {
        "profile": profile,
        "evaluated": judgement.evaluated,
        "counts": dict(judgement.counts),
        **judges.sort_out(judgement, params["expected"]),
    }


def keep_results(params: Data, profile: str, folder: pathlib.Path) -> list[str]:
    """Keep the ARF and the page, and return where."""
    kept = []
    for name, ending in (("arf.xml", "arf.xml"), ("report.html", "html")):
        file = result_file(params, f"{profile.removeprefix(judges.PROFILE)}.{ending}")
        keep(file, (folder / name).read_bytes())
        kept.append(str(file))
    return kept


def say(done: Data) -> str:
    name = done["profile"].removeprefix(judges.PROFILE)
    passed = done["counts"].get(judges.PASS, 0)
    said = f"{name} {passed} of {done['evaluated']} evaluated rules passed"
    explained = f"{len(done['explained'])} failures are explained, {len(done['failed'])} are not"
    return f"{said}, {explained}" if done["explained"] else said


def main() -> None:
    run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
