"""Validation of plain data against a model, with all errors in one message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from crosstower.errors import RecipeError, did_you_mean

Model = TypeVar("Model", bound=BaseModel)


def validate(kind: type[Model], plain: Any, *, where: str = "") -> Model:
    """Return `plain` as a validated model.

    Raises:
        RecipeError: some keys are wrong; one line per key.

    """
    try:
        return kind.model_validate(plain)
    except ValidationError as error:
        raise RecipeError(explained(error, kind, where=where)) from None


def explained(error: ValidationError, kind: type[BaseModel], *, where: str = "") -> str:
    """Return the message of a validation error, one line per key, prefixed by `where`."""
    schema = kind.model_json_schema()
    problems = dict[str, list[str]]()
    for item in error.errors(include_url=False):
        key, problem = _explain(item, schema, where)
        found = problems.setdefault(key, [])
        if problem not in found:
            found.append(problem)
    lines = [line for key, found in problems.items() for line in _lines(key, found)]
    return "\n".join(lines)


def unknown_key(kind: type[BaseModel], location: tuple[Any, ...]) -> str:
    """Return the message about an unknown key in plain data, with the allowed keys."""
    return _unknown(location[-1], _walk(kind.model_json_schema(), location)[1])


def _lines(key: str, problems: list[str]) -> list[str]:
    """Return the lines of a key; types of which any would do are one line."""
    types = [re.fullmatch("expected (a valid .*), (got .*)", problem) for problem in problems]
    if len(problems) > 1 and all(types):
        found = [(match[1], match[2]) for match in types if match]
        problems = [f"expected {' or '.join(kind for kind, _ in found)}, {found[0][1]}"]
    return [f"{key}: {problem}" if key else problem for problem in problems]


def _explain(item: Any, schema: dict[str, Any], where: str) -> tuple[str, str]:
    """Return the key of an error and what is wrong there."""
    place, allowed, node = _walk(schema, item["loc"])
    key = ".".join(p for p in [where, place] if p)
    if item["type"] == "union_tag_not_found" and isinstance(item["input"], Mapping):
        tag = node["discriminator"]
        kinds = ", ".join(f"'{kind}'" for kind in tag["mapping"])
        return f"{key}.{tag['propertyName']}", f"missing; expected {kinds}"
    return key, _problem(item, allowed)


def _problem(item: Any, allowed: list[str]) -> str:
    match item["type"]:
        case "extra_forbidden":
            return _unknown(item["loc"][-1], allowed)
        case "missing":
            return "missing, and it has no default; set it"
        case "union_tag_invalid":
            return _no_such(item["ctx"]["tag"], item["ctx"]["expected_tags"])
        case "literal_error":
            return _no_such(item["input"], item["ctx"]["expected"])
        case "value_error":
            return item["msg"].removeprefix("Value error, ")
        case _:
            pass
    message = item["msg"].replace("Input should be", "expected")
    message = re.sub(", unable to (parse|interpret) .*", "", message)
    message = re.sub("a valid dictionary( or .*)?", "a mapping", message)
    message = message.replace("a valid boolean", "true or false")
    message = message.replace("a valid tuple", "a valid list")
    message = re.sub(r"^\w+ should have (at \w+ \d+ items?) after .*", r"expected \1", message)
    message = re.sub("^expected (?=greater|less|multiple)", "expected a number ", message)
    return f"{message}, got {item['input']!r:.200}"


def _unknown(key: Any, allowed: list[str]) -> str:
    """Return the message for an unknown key."""
    if not allowed:
        return "unknown key; no keys are allowed here, remove it"
    return f"unknown key{did_you_mean(str(key), allowed)}; allowed: {', '.join(allowed)}"


def _no_such(given: Any, expected: str) -> str:
    """Return the message for a value that is not one of those allowed."""
    hint = did_you_mean(str(given), re.findall("'([^']*)'", expected))
    return f"expected {expected}, got {given!r:.200}{hint}"


def _walk(
    schema: dict[str, Any], location: tuple[Any, ...]
) -> tuple[str, list[str], dict[str, Any]]:
    """Return the dotted key of an error, its allowed sibling keys and its own schema."""
    node, allowed, keys = schema, list(schema.get("properties", {})), list[str]()
    for part in location:
        node = _resolve(node, schema)
        mapping = node.get("discriminator", {}).get("mapping", {})
        if part in mapping:  # the tag of a union is not a key of the file
            node = _resolve({"$ref": mapping[part]}, schema)
            allowed = list(node.get("properties", {}))
            continue
        if isinstance(part, str) and len(node.get("anyOf", [])) > 1:  # nor is one of several types
            node = {}
            continue
        keys.append(str(part))
        if "properties" in node:
            allowed = list(node["properties"])
            node = node["properties"].get(part, {})
        else:
            node = node.get("additionalProperties") or node.get("items") or {}
    return ".".join(keys), allowed, _resolve(node, schema)


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    parts = [n for n in node.get("anyOf", []) if n.get("type") != "null"]
    if len(parts) == 1:  # a section that may be left out
        node = parts[0]
    if "$ref" in node:
        return schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node
