# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON Schema checks whose errors a person can act on."""

from __future__ import annotations

import difflib
import json
import typing as t
from pathlib import Path

try:
    import jsonschema
except ImportError:  # said by inventory.failures
    jsonschema = None  # type: ignore[assignment]

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


def find_faults(data: t.Any, schema_name: str) -> list[str]:
    """Return a sentence for everything in ``data`` that does not match docs/schemas/<schema_name>.schema.json."""
    schema = json.loads((SCHEMAS / f"{schema_name}.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(data), key=lambda error: [str(part) for part in error.absolute_path])
    return [sentence for error in errors for sentence in _explain(error)]


def _explain(error: t.Any) -> list[str]:
    place = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = [key for key in error.instance if key not in known]
        return [f"{_join(place, key)} is not known{suggest(key, known)}" for key in unknown]
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return [f"{_join(place, missing[0])} is missing" if len(missing) == 1 else error.message]
    return [f"{place or 'it'}: {error.message}"]


def suggest(key: str, known: t.Iterable[str]) -> str:
    """Return a hint at what was probably meant, or at everything that is known."""
    known = sorted(known)
    near = difflib.get_close_matches(str(key), known, n=1)
    if near:
        return f" (did you mean {near[0]}?)"
    return f" (known: {', '.join(known)})" if known else " (nothing can be set here)"


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else str(key)
