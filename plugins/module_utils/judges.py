# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outside judges of an appliance's files: OpenSCAP and Lynis. By what they evaluated, never by how they ended."""

from __future__ import annotations

import fnmatch
import hashlib
import pathlib
import re
import typing as t
import xml.etree.ElementTree as ET

from ansible_collections.strata.fleet.plugins.module_utils import command, judge_sandbox
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, CommandError, ContentError
from ansible_collections.strata.fleet.plugins.module_utils.judge_trees import Tree

XCCDF = "{http://checklists.nist.gov/xccdf/1.2}"
OVAL_RESULTS = "{http://oval.mitre.org/XMLSchema/oval-results-5}"
CONTENT = pathlib.Path("/usr/share/xml/scap/ssg/content")
PROFILE = "xccdf_org.ssgproject.content_profile_"
RULE = "xccdf_org.ssgproject.content_rule_"
DEBIAN = "cpe:/o:debian:debian_linux:"
PASS, FAIL, FIXED = "pass", "fail", "fixed"
EVALUATED = (PASS, FAIL, FIXED)
UNDECIDED_OR_FAILED = (FAIL, "error", "unknown")
FAILED = 2  # how oscap ends where a rule failed
# The host's apt settings would decide whether the tree's packages can be read: some take away the cache for that.
APT_SETTINGS = 'Dir::Etc::Parts "/dev/null";\nDir::Etc::Main "/dev/null";\n'
LYNIS = ("/usr/share/lynis", "/etc/lynis", "/usr/sbin/lynis")
LYNIS_OPTIONS = (
    *("audit", "system", "--quiet", "--no-colors", "--no-log"),
    *("--profile", "/etc/lynis/default.prf", "--report-file", "/lynis-report.dat"),
)
KNOWN_PACKAGE = "oval:strata:def:1"
OTHER_RELEASE = "oval:strata:def:2"
OVAL = """\
<?xml version="1.0" encoding="UTF-8"?>
<oval_definitions xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5"
    xmlns:oval="http://oval.mitre.org/XMLSchema/oval-common-5"
    xmlns:ind="http://oval.mitre.org/XMLSchema/oval-definitions-5#independent"
    xmlns:linux="http://oval.mitre.org/XMLSchema/oval-definitions-5#linux">
  <generator>
    <oval:schema_version>5.11</oval:schema_version>
    <oval:timestamp>2026-01-01T00:00:00</oval:timestamp>
  </generator>
  <definitions>
    <definition class="inventory" id="oval:strata:def:1" version="1">
      <metadata><title>base-files is installed</title><description>As in every Debian</description></metadata>
      <criteria><criterion test_ref="oval:strata:tst:1"/></criteria>
    </definition>
    <definition class="inventory" id="oval:strata:def:2" version="1">
      <metadata><title>This release</title><description>By VERSION_ID of os-release</description></metadata>
      <criteria><criterion test_ref="oval:strata:tst:2"/></criteria>
    </definition>
  </definitions>
  <tests>
    <linux:dpkginfo_test id="oval:strata:tst:1" version="1" check="all" check_existence="at_least_one_exists"
        comment="1">
      <linux:object object_ref="oval:strata:obj:1"/>
    </linux:dpkginfo_test>
    <ind:textfilecontent54_test id="oval:strata:tst:2" version="1" check="all"
        check_existence="at_least_one_exists" comment="2">
      <ind:object object_ref="oval:strata:obj:2"/>
    </ind:textfilecontent54_test>
  </tests>
  <objects>
    <linux:dpkginfo_object id="oval:strata:obj:1" version="1">
      <linux:name>base-files</linux:name>
    </linux:dpkginfo_object>
    <ind:textfilecontent54_object id="oval:strata:obj:2" version="1">
      <ind:filepath>/usr/lib/os-release</ind:filepath>
      <ind:pattern operation="pattern match">^VERSION_ID="?{version}"?$</ind:pattern>
      <ind:instance datatype="int">1</ind:instance>
    </ind:textfilecontent54_object>
  </objects>
</oval_definitions>
"""
DICTIONARY = """\
<?xml version="1.0" encoding="UTF-8"?>
<cpe-list xmlns="http://cpe.mitre.org/dictionary/2.0">
  <cpe-item name="{name}">
    <title xml:lang="en-us">{title}</title>
    <check system="http://oval.mitre.org/XMLSchema/oval-definitions-5" href="strata-oval.xml">oval:strata:def:2</check>
  </cpe-item>
</cpe-list>
"""


class Content(t.NamedTuple):
    """What the rules are read from: its file, digest and version, the releases it says it is for, and its profiles."""

    file: str
    digest: str
    version: str
    platforms: tuple[str, ...]
    profiles: tuple[str, ...]


class Judgement(t.NamedTuple):
    """What came of a profile: how many rules ended how, and by result the rules, with their titles and severities."""

    counts: t.Mapping[str, int]
    rules: t.Mapping[str, t.Sequence[t.Mapping[str, str]]]

    @property
    def evaluated(self) -> int:
        """Return how many rules were decided."""
        return sum(self.counts.get(result, 0) for result in EVALUATED)


# OpenSCAP


def find_content(release: tuple[str, str], folder: pathlib.Path = CONTENT) -> pathlib.Path:
    """Return the content for this release, else the newest for an older one: its rules are bridged."""
    name, version = release
    found = {
        int(each[1]): file for file in folder.glob(f"ssg-{name}*-ds.xml") if (each := re.search(r"(\d+)-ds", file.name))
    }
    if not version.isdigit() or not (known := [number for number in found if number <= int(version)]):
        raise BadInput(
            f"There is no content for {name} {version} in {folder}: install ssg-debian, or name the file (content)",
            path=str(folder),
        )
    return found[max(known)]


def read_content(file: pathlib.Path) -> Content:
    """Read a data stream. Raises BadInput where it is none."""
    try:
        data = file.read_bytes()
        benchmark = next(element for element in ET.fromstring(data).iter(f"{XCCDF}Benchmark"))  # noqa: S314  the site's
    except (OSError, ET.ParseError, StopIteration) as error:
        raise BadInput(f"{file} is no SCAP data stream: {error or 'it has no benchmark'}", path=str(file)) from error
    return Content(
        str(file),
        hashlib.sha256(data).hexdigest(),
        benchmark.findtext(f"{XCCDF}version", ""),
        tuple(each.get("idref", "") for each in benchmark.findall(f"{XCCDF}platform")),
        tuple(each.get("id", "") for each in benchmark.findall(f"{XCCDF}Profile")),
    )


def require_profile(content: Content, profile: str) -> str:
    """Return the whole id of a profile. Raises BadInput with those that there are."""
    for each in (profile, f"{PROFILE}{profile}"):
        if each in content.profiles:
            return each
    known = ", ".join(name.removeprefix(PROFILE) for name in content.profiles)
    raise BadInput(f"{content.file} has no profile {profile!r}; it has {known}", profile=profile)


def require_digest(content: Content, digest: str) -> None:
    """Raise ContentError where the content is not the one that was agreed on."""
    if digest and content.digest != digest.lower().removeprefix("sha256:"):
        raise ContentError(f"{content.file} is not the content that was agreed on: its SHA-256 is {content.digest}")


def plan_bridge(content: Content, release: tuple[str, str]) -> tuple[str, list[str]]:
    """Return the platform that the tree has to pass for ('' where the content is for it), and bridges to disclose."""
    own = f"cpe:/o:{release[0]}:{release[0]}_linux:{release[1]}"
    debian = [each for each in content.platforms if each.startswith(DEBIAN)]
    if not content.platforms or own in content.platforms:
        return "", []
    if release[0] != "debian" or not debian:
        raise BadInput(
            f"{content.file} is for {', '.join(content.platforms)}, and this tree is {' '.join(release)}: "
            "none of its rules would be evaluated"
        )
    foreign = debian[0].removeprefix(DEBIAN)
    said = (
        f"The content is for Debian {foreign}, and this is Debian {release[1]}: a CPE dictionary lets it pass for "
        f"Debian {foreign}, or no rule would be evaluated"
    )
    return debian[0], [said]


def write_helpers(folder: pathlib.Path, release: tuple[str, str], platform: str) -> list[str]:
    """Write what the judge is given besides the content. Return the options of oscap for that."""
    (folder / "apt.conf").write_text(APT_SETTINGS, encoding="utf-8")
    (folder / "strata-oval.xml").write_text(OVAL.replace("{version}", re.escape(release[1])), encoding="utf-8")
    if not platform:
        return []
    title = f"Debian {release[1]}, passed for {platform}"
    (folder / "strata-cpe.xml").write_text(DICTIONARY.format(name=platform, title=title), encoding="utf-8")
    return ["--cpe", str(folder / "strata-cpe.xml")]


def look(tree: Tree, folder: pathlib.Path) -> None:
    """Raise ContentError unless the judge sees the tree's packages and release: what it cannot see, it passes over."""
    results = folder / "seen.xml"
    oscap(["oval", "eval", "--results", str(results), str(folder / "strata-oval.xml")], tree, folder)
    seen = {
        element.get("definition_id"): element.get("result")
        for element in ET.parse(results).iter(f"{OVAL_RESULTS}definition")  # noqa: S314  written just now
    }
    for definition, what in ((KNOWN_PACKAGE, "packages"), (OTHER_RELEASE, "release")):
        if seen.get(definition) != "true":
            raise ContentError(f"OpenSCAP cannot read the tree's {what}, so that its word would be worth nothing")


def oscap(argv: t.Sequence[str], tree: Tree, folder: pathlib.Path) -> None:
    """Run it on a tree. Raises ContentError where it says that a probe failed: it goes on after that, and ends well."""
    log = folder / "errors.log"
    log.unlink(missing_ok=True)
    environment = {"OSCAP_PROBE_ROOT": str(tree.root), "APT_CONFIG": str(folder / "apt.conf")}
    area, verb, *rest = argv
    try:
        command.run(
            ["oscap", area, verb, "--verbose", "ERROR", "--verbose-log-file", str(log), *rest],
            env=environment,
            cwd=str(folder),
        )
    except CommandError as error:
        if error.facts.get("returncode") != FAILED:
            raise
    said = log.read_text(encoding="utf-8", errors="replace").strip() if log.is_file() else ""
    if said:
        raise ContentError(f"A probe of OpenSCAP failed, and what it did not look at counts as not applicable: {said}")


def evaluate(
    tree: Tree, content: Content, profile: str, options: t.Sequence[str], folder: pathlib.Path
) -> pathlib.Path:
    """Have a profile evaluated. Return the folder with arf.xml and report.html."""
    arf, report = folder / "arf.xml", folder / "report.html"
    argv = ["xccdf", "eval", "--profile", profile, *options, "--results-arf", str(arf), "--report", str(report)]
    oscap([*argv, content.file], tree, folder)
    return folder


def read_results(file: pathlib.Path) -> Judgement:
    """Return what an ARF or XCCDF file tells. Raises ContentError where no rule at all was evaluated."""
    titles: dict[str, str] = {}
    rules: dict[str, list[dict[str, str]]] = {}
    try:
        for _event, element in ET.iterparse(file):  # noqa: S314  written by oscap
            if element.tag == f"{XCCDF}Rule":
                titles[element.get("id", "")] = element.findtext(f"{XCCDF}title", "").strip()
            elif element.tag == f"{XCCDF}rule-result":
                result = element.findtext(f"{XCCDF}result", "")
                name = element.get("idref", "")
                rules.setdefault(result, []).append({"rule": name, "severity": element.get("severity", "unknown")})
    except (OSError, ET.ParseError) as error:
        raise ContentError(f"OpenSCAP wrote no results that can be read: {error}") from error
    told = {
        result: [
            {**each, "rule": each["rule"].removeprefix(RULE), "title": titles.get(each["rule"], "")} for each in found
        ]
        for result, found in sorted(rules.items())
        if result != "notselected"
    }
    return Judgement({result: len(found) for result, found in told.items()}, told)


def require_evaluated(judgement: Judgement, least: int, what: str) -> None:
    """Raise ContentError where too few rules were decided: nothing was found because nothing was looked at."""
    if judgement.evaluated < max(least, 1):
        counts = ", ".join(f"{count} {result}" for result, count in judgement.counts.items()) or "none at all"
        raise ContentError(
            f"{what}: {judgement.evaluated} rules were evaluated, and at least {max(least, 1)} have to be ({counts}). "
            "This is no pass: the content does not apply to this tree, or the tree is not whole",
            counts=dict(judgement.counts),
        )


def sort_out(judgement: Judgement, expected: t.Sequence[t.Mapping[str, str]]) -> dict[str, t.Any]:
    """Return the failed rules that nobody explains, those that are explained, and explanations of what does not fail.

    What could not be decided (error, unknown) is told with the failed ones.
    """
    patterns = [{**each, "rule": each["rule"].removeprefix(RULE)} for each in expected]
    told: dict[str, list[dict[str, str]]] = {"failed": [], "explained": []}
    used = set()
    for result in UNDECIDED_OR_FAILED:
        for each in judgement.rules.get(result, ()):
            entry = {**each, "result": result}
            why = next((known for known in patterns if fnmatch.fnmatchcase(each["rule"], known["rule"])), None)
            if why:
                used.add(why["rule"])
                entry |= {"reason": why["reason"], "owner": why["owner"]}
            told["explained" if why else "failed"].append(entry)
    return {**told, "needless": sorted({known["rule"] for known in patterns} - used)}


def oscap_version() -> str:
    """Return OpenSCAP's version. Raises CommandError where it is not installed."""
    return command.run(["oscap", "--version"]).splitlines()[0].rpartition(" ")[2]


# Lynis


def run_lynis(tree: Tree, timeout: float) -> str:
    """Return the report of Lynis on a tree, which it is brought into. Raises ContentError where it wrote none."""
    for place in LYNIS:
        if not pathlib.Path(place).exists():
            raise BadInput(f"{place} is not there: install lynis on this host", path=place)
        target = tree.root / place.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        command.run(["cp", "--archive", "--dereference", "--no-target-directory", place, str(target)])
    judge_sandbox.run(tree.root, ["/usr/sbin/lynis", *LYNIS_OPTIONS], timeout)
    report = tree.root / "lynis-report.dat"
    if report.is_symlink() or not report.is_file():
        raise ContentError("Lynis wrote no report")
    return report.read_text(encoding="utf-8", errors="replace")


def read_lynis(text: str) -> dict[str, t.Any]:
    """Return what Lynis's report says (NAME=VALUE, lists as NAME[]=VALUE). Raises ContentError for no tests."""
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            values.setdefault(name.strip(), []).append(value.strip())
    done = [each for each in "".join(values.get("tests_executed", [])).split("|") if each]
    index = "".join(values.get("hardening_index", []))
    if not done or not index.isdigit():
        raise ContentError("Lynis did not finish, or made no test: its report has no hardening index")
    return {
        "version": "".join(values.get("lynis_version", [])),
        "index": int(index),
        "tests": len(done),
        "skipped": len([each for each in "".join(values.get("tests_skipped", [])).split("|") if each]),
        "warnings": [_split_finding(each) for each in values.get("warning[]", [])],
        "suggestions": [_split_finding(each) for each in values.get("suggestion[]", [])],
    }


def _split_finding(line: str) -> dict[str, str]:
    name, text, *_more = [*line.split("|"), "", ""]
    return {"test": name, "text": text}
