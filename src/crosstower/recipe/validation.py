"""Validation of plain data against a model, with all errors in one message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
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
    problems, alternatives = dict[str, list[str]](), dict[str, dict[str, str]]()
    for item in error.errors(include_url=False):
        found = _walk(schema, item["loc"])
        key, problem = _explain(item, found)
        key = ".".join(p for p in [where, key] if p)
        told = problems.setdefault(key, [])
        if found.alternative:
            alternatives.setdefault(key, {})[problem] = item["type"]
        else:
            told.append(problem)
    for key, found in alternatives.items():
        problems[key] += _of_any(found)
    lines = [f"{k}: {one}" if k else one for k, found in problems.items() for one in found]
    return "\n".join(dict.fromkeys(lines))


def unknown_key(kind: type[BaseModel], location: tuple[Any, ...]) -> str:
    """Return the message about an unknown key in plain data, with the allowed keys."""
    return _unknown(location[-1], _walk(kind.model_json_schema(), location).allowed)


def _of_any(problems: dict[str, str]) -> list[str]:
    """Return the problems of a value that may be of several types, of which it fits none.

    A value of one of the types has only the problems of that type.

    Args:
        problems: type of the error by message.

    """
    of_type = re.compile("_(type|parsing|from_float)$")
    if own := [problem for problem, kind in problems.items() if not of_type.search(kind)]:
        return own
    parts = [re.fullmatch("expected (.*), (got .*)", problem) for problem in problems]
    if None in parts:
        return list(problems)
    kinds = dict.fromkeys(match[1] for match in parts if match)
    return [f"expected {' or '.join(kinds)}, {match[2]}" for match in parts[:1] if match]


def _explain(item: Any, found: _Found) -> tuple[str, str]:
    """Return the key and the message of an error."""
    tag = found.node.get("discriminator", {})
    is_mapping = isinstance(item["input"], Mapping)
    if item["type"] == "union_tag_not_found" and is_mapping and "mapping" in tag:
        kinds = ", ".join(f"'{kind}'" for kind in tag["mapping"])
        return f"{found.key}.{tag['propertyName']}", f"missing; expected {kinds}"
    return found.key, _problem(item, found.allowed)


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


@dataclass(frozen=True)
class _Found:
    """Dotted key of an error, its allowed sibling keys and its own schema.

    `alternative`: the error is that of one of several types that the key may have.
    """

    key: str
    allowed: list[str]
    node: dict[str, Any]
    alternative: bool


def _walk(schema: dict[str, Any], location: tuple[Any, ...]) -> _Found:
    """Return where the location of an error leads to."""
    node, allowed, keys = schema, list(schema.get("properties", {})), list[str]()
    alternative = False
    for part in location:
        node = _resolve(node, schema)
        mapping = node.get("discriminator", {}).get("mapping", {})
        if part in mapping:  # the tag of a union is not a key of the file
            node = _resolve({"$ref": mapping[part]}, schema)
            allowed = list(node.get("properties", {}))
            continue
        if isinstance(part, str) and len(node.get("anyOf", [])) > 1:  # nor is a type
            node, alternative = {}, True
            continue
        keys.append(str(part))
        if "properties" in node:
            allowed = list(node["properties"])
            node = node["properties"].get(part, {})
        else:
            node = node.get("additionalProperties") or node.get("items") or {}
    return _Found(".".join(keys), allowed, _resolve(node, schema), alternative)


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    parts = [n for n in node.get("anyOf", []) if n.get("type") != "null"]
    if len(parts) == 1:  # a section that may be left out
        node = parts[0]
    if "$ref" in node:
        return schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node
