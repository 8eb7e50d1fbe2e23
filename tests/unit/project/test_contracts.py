"""What the parts say of themselves agrees with the code: documentation, roles, modules and actions."""

from __future__ import annotations

import importlib
import json
import typing as t
from pathlib import Path

import jsonschema
import pytest
import yaml
from ansible_collections.strata.fleet.plugins.doc_fragments import (
    appliance,
    backup_source,
    build,
    judge,
    node,
    repositories,
)
from ansible_collections.strata.fleet.plugins.module_utils.backup_options import REPOSITORY_OPTIONS
from ansible_collections.strata.fleet.plugins.module_utils.build_options import BUILD_OPTIONS
from ansible_collections.strata.fleet.plugins.module_utils.judge_options import JUDGE_OPTIONS
from ansible_collections.strata.fleet.plugins.module_utils.options import APPLIANCE_OPTIONS, NODE_OPTIONS
from ansible_collections.strata.fleet.plugins.module_utils.restore_orders import BACKUP_OPTIONS
from ansible_collections.strata.fleet.plugins.plugin_utils.fleet import DEFAULT_NETWORKS

CHECKOUT = Path(__file__).parents[3]
MODULES = sorted(path.stem for path in (CHECKOUT / "plugins/modules").glob("*.py"))
ROLES = sorted(path.name for path in (CHECKOUT / "roles").iterdir() if path.is_dir())
ATTRIBUTES = {"check_mode", "diff_mode", "idempotent"}
# To leave these undefined has a meaning of its own: what is there stays as it is.
WITHOUT_DEFAULT = {"engine_https_address"}
FRAGMENTS: dict[str, t.Any] = {
    "appliance": appliance.ModuleDocFragment,
    "backup_source": backup_source.ModuleDocFragment,
    "build": build.ModuleDocFragment,
    "judge": judge.ModuleDocFragment,
    "node": node.ModuleDocFragment,
    "repositories": repositories.ModuleDocFragment,
}


def load(path: str) -> t.Any:
    return yaml.safe_load((CHECKOUT / path).read_text())


def read_documentation(module: str) -> dict[str, t.Any]:
    """Return a module's documentation with that of its fragments merged into it."""
    found = importlib.import_module(f"ansible_collections.strata.fleet.plugins.modules.{module}")
    documentation: dict[str, t.Any] = yaml.safe_load(found.DOCUMENTATION)
    for name in documentation.get("extends_documentation_fragment", []):
        file, _dot, part = name.removeprefix("strata.fleet.").partition(".")
        for key, value in yaml.safe_load(getattr(FRAGMENTS[file], (part or "documentation").upper())).items():
            if isinstance(value, dict):
                documentation[key] = {**value, **documentation.get(key, {})}
    return documentation


def read_specs(role: str) -> dict[str, t.Any]:
    specs: dict[str, t.Any] = load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]
    return specs


def without_words(documented: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return documented options in the shape of an argument spec."""
    return {
        name: {
            **{key: value for key, value in option.items() if key not in ("description", "suboptions")},
            **({"options": without_words(option["suboptions"])} if "suboptions" in option else {}),
        }
        for name, option in documented.items()
    }


@pytest.mark.parametrize(
    ("fragment", "options"),
    [
        ("node", NODE_OPTIONS),
        ("build", BUILD_OPTIONS),
        ("appliance", APPLIANCE_OPTIONS),
        ("judge", JUDGE_OPTIONS),
        ("repositories", REPOSITORY_OPTIONS),
        ("backup_source", BACKUP_OPTIONS),
    ],
)
def test_fragments_document_the_options_that_modules_share(fragment: str, options: dict[str, t.Any]) -> None:
    documented = without_words(yaml.safe_load(FRAGMENTS[fragment].DOCUMENTATION)["options"])
    spoken = {
        name: {key: value for key, value in option.items() if key != "no_log"} for name, option in options.items()
    }
    assert documented == spoken


@pytest.mark.parametrize("module", MODULES)
def test_modules_declare_their_attributes(module: str) -> None:
    attributes = read_documentation(module)["attributes"]
    assert set(attributes) >= ATTRIBUTES
    assert all(attributes[name]["support"] in ("full", "partial", "none", "N/A") for name in ATTRIBUTES)


@pytest.mark.parametrize("module", MODULES)
def test_modules_document_what_they_return(module: str) -> None:
    found = importlib.import_module(f"ansible_collections.strata.fleet.plugins.modules.{module}")
    assert yaml.safe_load(found.RETURN)
    assert yaml.safe_load(found.EXAMPLES)


def test_the_action_group_has_every_module_that_takes_the_common_options() -> None:
    common = {name for name in MODULES if "socket" in read_documentation(name)["options"]}
    assert set(load("meta/runtime.yml")["action_groups"]["fleet"]) == common


def test_every_action_plugin_has_its_module() -> None:
    actions = {path.stem for path in (CHECKOUT / "plugins/action").glob("*.py")}
    assert actions <= set(MODULES)


@pytest.mark.parametrize("role", ROLES)
def test_roles_have_a_default_for_every_variable_they_declare(role: str) -> None:
    declared = {name: option for spec in read_specs(role).values() for name, option in spec.get("options", {}).items()}
    optional = {name for name, option in declared.items() if not option.get("required")} - WITHOUT_DEFAULT
    defaults = load(f"roles/{role}/defaults/main.yml")
    assert set(defaults) == optional
    for name, option in declared.items():
        if "default" in option:
            assert defaults[name] == option["default"], name


@pytest.mark.parametrize("role", ROLES)
def test_roles_declare_every_entry_point_that_others_include(role: str) -> None:
    for spec in read_specs(role):
        assert (CHECKOUT / "roles" / role / "tasks" / f"{spec}.yml").exists()


@pytest.mark.parametrize("role", ROLES)
def test_roles_have_a_scenario(role: str) -> None:
    assert (CHECKOUT / "molecule" / role / "molecule.yml").exists()


@pytest.mark.parametrize("role", ROLES)
def test_variables_of_a_role_begin_with_its_name(role: str) -> None:
    for name in load(f"roles/{role}/defaults/main.yml"):
        assert name.startswith(f"{role}_")


def test_networks_have_one_default() -> None:
    assert list(DEFAULT_NETWORKS) == load("roles/engine/defaults/main.yml")["engine_networks"]
    assert list(DEFAULT_NETWORKS) == read_documentation("engine")["options"]["networks"]["default"]


@pytest.mark.parametrize("path", sorted((CHECKOUT / "docs/schemas").glob("*.json")), ids=lambda path: path.stem)
def test_schemas_are_valid_and_describe_what_they_know(path: Path) -> None:
    schema = json.loads(path.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    undescribed = [
        name for name, body in schema["properties"].items() if not ({"description", "$ref", "default"} & set(body))
    ]
    assert undescribed == []
