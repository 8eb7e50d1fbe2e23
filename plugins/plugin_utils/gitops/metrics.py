# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as metrics, in the text format of Prometheus that node-exporter's textfile collector reads. Pure.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.ledger import Data
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.outcome import CODES

Labels = t.Mapping[str, str]


class Metric(t.NamedTuple):
    """A metric and its values, by labels."""

    name: str
    kind: str
    help: str
    values: t.Sequence[tuple[Labels, float]]


def write(report: Data) -> str:
    """Return the text, ended by a newline."""
    return "".join(_write(metric) for metric in build(report) if metric.values)


def build(report: Data) -> list[Metric]:
    """Return all metrics of a report."""
    rows = report["appliances"]
    alone: Labels = {}
    commits = {key: (report[key] or {}).get("commit", "") for key in ("seen", "applied", "good")}

    def each(is_so: t.Callable[[Data], bool]) -> list[tuple[Labels, float]]:
        return [({"appliance": row["name"], "node": row["node"]}, float(is_so(row))) for row in rows]

    return [
        Metric(
            "strata_gitops_cycle_timestamp_seconds",
            "gauge",
            "When the last cycle ended.",
            [(alone, _time(report["at"]))],
        ),
        Metric(
            "strata_gitops_cycle_duration_seconds",
            "gauge",
            "How long the last cycle took.",
            [(alone, report["seconds"])],
        ),
        Metric(
            "strata_gitops_result",
            "gauge",
            "How the last cycle ended: 1 for that result, 0 for the others.",
            [({"result": word}, float(word == report["result"])) for word in CODES],
        ),
        Metric(
            "strata_gitops_cycles_total",
            "counter",
            "Cycles so far, by how they ended.",
            [({"result": word}, float(count)) for word, count in sorted(report["results"].items())],
        ),
        Metric(
            "strata_gitops_in_sync",
            "gauge",
            "Whether the fleet is as the branch's head says.",
            [(alone, float(report["in_sync"]))],
        ),
        Metric(
            "strata_gitops_repository_reachable",
            "gauge",
            "Whether the repository could be fetched.",
            [(alone, float(not report["unreachable"]))],
        ),
        Metric(
            "strata_gitops_commit_info",
            "gauge",
            "The commits that count; always 1.",
            [({"branch": report["branch"], **commits}, 1.0)],
        ),
        Metric(
            "strata_gitops_commit_timestamp_seconds",
            "gauge",
            "When a commit was first seen, applied, or found good.",
            [({"commit": key}, _time(report[key]["at"])) for key in commits if report[key]],
        ),
        Metric(
            "strata_appliance_in_sync",
            "gauge",
            "Whether an appliance is as the commit says.",
            each(lambda row: row["sync"] == "synced"),
        ),
        Metric(
            "strata_appliance_paused",
            "gauge",
            "Whether an appliance is left alone.",
            each(lambda row: row["sync"] == "paused"),
        ),
        Metric(
            "strata_appliance_healthy",
            "gauge",
            "Whether an appliance is healthy.",
            each(lambda row: row["health"] == "healthy"),
        ),
    ]


def _write(metric: Metric) -> str:
    head = f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.kind}\n"
    return head + "".join(f"{metric.name}{_write_labels(labels)} {value:.15g}\n" for labels, value in metric.values)


def _write_labels(labels: Labels) -> str:
    said = ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())
    return f"{{{said}}}" if said else ""


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _time(said: str) -> float:
    return dt.datetime.fromisoformat(said).timestamp()
