"""Write docs/reference from what modules, roles and schemas say of themselves: python docs/generate.py [FOLDER]."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
COLLECTION = "strata.fleet"
MARKUP = (
    (re.compile(r"\bM\(strata\.fleet\.(\w+)\)"), r"[\1](../modules/\1.md)"),
    (re.compile(r"\bP\(strata\.fleet\.(\w+)#role\)"), r"[\1](../roles/\1.md)"),
    (re.compile(r"\b[CVOEIMP]\(([^)]*)\)"), r"`\1`"),
    (re.compile(r"\bRV\(([^)]*)\)"), r"`\1`"),
    (re.compile(r"\bB\(([^)]*)\)"), r"**\1**"),
    (re.compile(r"\bU\(([^)]*)\)"), r"<\1>"),
)
NOTE = "<!-- Written by `make docs`. Change the source instead: {source} -->\n"

Body = t.Mapping[str, t.Any]


def main() -> None:
    """Write all pages; those that nothing is the source of any more are removed."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else CHECKOUT / "docs" / "reference"
    pages = build_pages()
    for path in folder.rglob("*.md"):
        if str(path.relative_to(folder)) not in pages:
            path.unlink()
    for name, text in pages.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def build_pages() -> dict[str, str]:
    """Return every page's text by its path in docs/reference."""
    modules = ask_ansible("module", (path.stem for path in (CHECKOUT / "plugins/modules").glob("*.py")))
    filters = ask_ansible("filter", (path.stem for path in (CHECKOUT / "plugins/filter").glob("*.py")))
    roles = ask_ansible("role", (path.name for path in (CHECKOUT / "roles").iterdir()))
    schemas = {
        path.name.removesuffix(".schema.json"): json.loads(path.read_text())
        for path in sorted((CHECKOUT / "docs/schemas").glob("*.json"))
    }
    pages = {f"modules/{name}.md": write_plugin(name, body, "modules") for name, body in modules.items()}
    pages |= {f"filters/{name}.md": write_plugin(name, body, "filter") for name, body in filters.items()}
    pages |= {f"roles/{name}.md": write_role(name, body) for name, body in roles.items()}
    pages |= {f"schemas/{name}.md": write_schema(name, body) for name, body in schemas.items()}
    lists = {
        "Roles": {
            f"roles/{name}.md": body["entry_points"]["main"]["short_description"] for name, body in roles.items()
        },
        "Modules": {f"modules/{name}.md": body["doc"]["short_description"] for name, body in modules.items()},
        "Filters": {f"filters/{name}.md": body["doc"]["short_description"] for name, body in filters.items()},
        "Files that people write": {f"schemas/{name}.md": body["title"] for name, body in schemas.items()},
    }
    return {"README.md": write_index(lists), **pages}


def ask_ansible(kind: str, names: t.Iterable[str]) -> dict[str, t.Any]:
    """Return what ansible-doc knows of the collection's plugins of a kind, by short name."""
    full = sorted(f"{COLLECTION}.{name}" for name in names)
    answer = subprocess.run(
        [Path(sys.executable).parent / "ansible-doc", "--json", "--type", kind, *full],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return {name.rpartition(".")[2]: body for name, body in sorted(json.loads(answer).items())}


def write_index(lists: Body) -> str:
    """Return the page that names all others."""
    lines = [NOTE.format(source="docs/generate.py"), "# Reference", ""]
    for title, pages in lists.items():
        lines += [f"## {title}", "", "| Name | What it is |", "|---|---|"]
        lines += [f"| [{Path(path).stem}]({path}) | {say(text)} |" for path, text in pages.items()]
        lines.append("")
    return "\n".join(lines)


def write_plugin(name: str, body: Body, folder: str) -> str:
    """Return a module's or filter's page."""
    doc = body["doc"]
    lines = [
        NOTE.format(source=f"plugins/{folder}/{name}.*"),
        f"# {COLLECTION}.{name}",
        "",
        say(doc["short_description"]),
        "",
    ]
    lines += paragraphs(doc["description"])
    if doc.get("requirements"):
        lines += ["Needs:", "", *(f"- {say(item)}" for item in doc["requirements"]), ""]
    lines += ["## Options", "", *write_options(doc.get("options", {}))]
    if doc.get("attributes"):
        lines += ["## Attributes", "", "| Attribute | Support |", "|---|---|"]
        lines += [f"| {key} | {value['support']} |" for key, value in sorted(doc["attributes"].items())]
        lines.append("")
    if body.get("examples"):
        lines += ["## Examples", "", "```yaml", body["examples"].strip(), "```", ""]
    lines += ["## Returns", "", *write_returns(body.get("return") or {})]
    return "\n".join(lines)


def write_role(name: str, body: Body) -> str:
    """Return a role's page."""
    lines = [
        NOTE.format(source=f"roles/{name}/meta/argument_specs.yml and defaults"),
        f"# Role {COLLECTION}.{name}",
        "",
    ]
    defaults = yaml.safe_load((CHECKOUT / "roles" / name / "defaults" / "main.yml").read_text())
    for entry, spec in sorted(body["entry_points"].items(), key=lambda item: (item[0] != "main", item[0])):
        lines += [] if entry == "main" else [f"## Entry point {entry}", ""]
        lines += [say(spec["short_description"]), "", *paragraphs(spec.get("description", []))]
        options = {
            key: {**option, **({"default": defaults[key]} if key in defaults else {})}
            for key, option in spec.get("options", {}).items()
        }
        same = entry != "main" and options.keys() == body["entry_points"]["main"].get("options", {}).keys()
        lines += ["Takes the same variables.", ""] if same else ["## Variables", "", *write_options(options)]
    return "\n".join(lines)


def write_schema(name: str, schema: Body) -> str:
    """Return the page of a file that people write."""
    lines = [NOTE.format(source=f"docs/schemas/{name}.schema.json"), f"# {schema['title']}", ""]
    lines += paragraphs(schema.get("description", []))
    lines += [f"The schema itself: [{name}.schema.json](../../schemas/{name}.schema.json).", ""]
    lines += ["| Key | Type | Default | What it says |", "|---|---|---|---|", *schema_rows(schema, schema, "")]
    return "\n".join([*lines, ""])


def schema_rows(node: Body, schema: Body, prefix: str) -> list[str]:
    """Return a table row for each key, and for the keys below it."""
    rows = []
    for key, given in node.get("properties", {}).items():
        body = resolve(given, schema)
        required = " (required)" if key in node.get("required", []) else ""
        default = f"`{json.dumps(body['default'])}`" if "default" in body else ""
        rows.append(
            f"| `{prefix}{key}` | {schema_type(body)}{required} | {default} | {say(body.get('description', ''))} |"
        )
        rows += schema_rows(body, schema, f"{prefix}{key}.")
        items, others = resolve(body.get("items", {}), schema), body.get("additionalProperties", {})
        rows += schema_rows(items, schema, f"{prefix}{key}[].")
        if isinstance(others, dict):
            rows += schema_rows(resolve(others, schema), schema, f"{prefix}{key}.NAME.")
        for one in body.get("oneOf", []):
            kind = one["properties"]["type"]["const"]
            rows += schema_rows(one, schema, f"{prefix}{key}({kind}).")
    return rows


def resolve(body: Body, schema: Body) -> dict[str, t.Any]:
    """Return a node with what it refers to."""
    found: t.Any = schema
    for part in body.get("$ref", "").removeprefix("#/").split("/"):
        found = found[part] if part else {}
    return {**found, **body}


def schema_type(body: Body) -> str:
    """Return a node's type in words."""
    if "enum" in body:
        return " or ".join(f"`{value}`" for value in body["enum"])
    if "const" in body:
        return f"`{body['const']}`"
    kind = body.get("type", "object" if "oneOf" in body else "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def write_options(options: Body) -> list[str]:
    """Return a table of options and their suboptions."""
    if not options:
        return ["None.", ""]
    return ["| Name | Type | Default | What it does |", "|---|---|---|---|", *option_rows(options, ""), ""]


def option_rows(options: Body, prefix: str) -> list[str]:
    """Return a table row for each option, and for the options below it."""
    rows = []
    for name, option in options.items():
        kind = option.get("type", "str") + (f" of {option['elements']}" if option.get("elements") else "")
        choices = f": {', '.join(f'`{choice}`' for choice in option['choices'])}" if option.get("choices") else ""
        default = "" if option.get("default") is None else f"`{json.dumps(option['default'])}`".replace("|", r"\|")
        text = "required. " if option.get("required") else ""
        text += " ".join(say(part) for part in as_list(option["description"]))
        rows.append(f"| `{prefix}{name}` | {kind}{choices} | {default} | {text} |")
        rows += option_rows(option.get("suboptions") or option.get("options") or {}, f"{prefix}{name}[].")
    return rows


def write_returns(returned: Body) -> list[str]:
    """Return a table of what a module returns."""
    rows = return_rows(returned, "")
    return (
        ["| Key | Type | Returned | What it is |", "|---|---|---|---|", *rows, ""]
        if rows
        else ["Nothing of its own.", ""]
    )


def return_rows(returned: Body, prefix: str) -> list[str]:
    """Return a table row for each key, and for the keys below it."""
    rows = []
    for name, body in returned.items():
        kind = body.get("type", "") + (f" of {body['elements']}" if body.get("elements") else "")
        text = " ".join(say(part) for part in as_list(body["description"]))
        rows.append(f"| `{prefix}{name}` | {kind} | {say(body.get('returned', ''))} | {text} |")
        rows += return_rows(body.get("contains") or {}, f"{prefix}{name}.")
    return rows


def paragraphs(text: str | t.Sequence[str]) -> list[str]:
    """Return the lines of a description, an empty one after each paragraph."""
    return [line for part in as_list(text) for line in (say(part), "")]


def say(text: str) -> str:
    """Return Ansible's markup as Markdown, on one line, fit for a table."""
    for pattern, replacement in MARKUP:
        text = pattern.sub(replacement, text)
    return re.sub(r"\s*\n\s*", " ", text).replace("|", r"\|").strip()


def as_list(text: str | t.Sequence[str]) -> list[str]:
    """Return one sentence or several as a list."""
    return [text] if isinstance(text, str) else list(text)


if __name__ == "__main__":
    main()
