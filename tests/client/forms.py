"""JSON schemas as plain values that can be compared: limits, defaults and words are left out."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter

Schema = Mapping[str, Any]
Form = Any
"""The type of a JSON schema, as text and tuples."""


def form_of(schema: Any, document: Schema) -> Form:
    """Return the form of a schema of a document."""
    if schema is True:
        return "any"
    if "$ref" in schema:
        return form_of(_target(schema["$ref"], document), document)
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return _union(form_of(option, document) for option in options)
    return _simple(schema, document)


def form_of_type(kind: Any) -> Form:
    """Return the form of a Python type, as a request or a response would have it."""
    schema = TypeAdapter(kind).json_schema()
    return form_of(schema, schema)


def forgiving(form: Form) -> Form:
    """Return a form without names that a client need not insist on: newer servers have more."""
    match form:
        case ("values", _):
            return "string"
        case ("object", fields, required):
            return ("object", frozenset((n, forgiving(f)) for n, f in fields), required)
        case ("map" | "list", inner):
            return (form[0], forgiving(inner))
        case ("any of", options):
            return _union(forgiving(option) for option in options)
        case _:
            return form


def _simple(schema: Schema, document: Schema) -> Form:
    if "const" in schema or "enum" in schema:
        return ("values", tuple(sorted(schema.get("enum", [schema.get("const")]))))
    if "properties" in schema:
        fields = {name: form_of(part, document) for name, part in schema["properties"].items()}
        required = frozenset(schema.get("required", ())) - {"kind"}  # a tag of the server's unions
        return ("object", frozenset(fields.items()), required)
    match schema.get("type", "any"):
        case "object":
            return ("map", form_of(schema.get("additionalProperties", True), document))
        case "array":
            return ("list", form_of(schema.get("items", True), document))
        case kind:
            return schema.get("format", kind)


def _union(options: Iterable[Form]) -> Form:
    found = set[Form]()
    for option in options:
        found |= option[1] if option[0] == "any of" else {option}
    if "date-time" in found:
        found.discard("string")  # a time can also be given as a text
    return found.pop() if len(found) == 1 else ("any of", frozenset(found))


def _target(reference: str, document: Schema) -> Schema:
    found = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found
