"""Write docs/requests.md and examples/clients/crosstower.ts. Run: python docs/make_clients.py.

Both are made from the OpenAPI document of the server: the page has each operation in curl and
TypeScript, the module has the types and a class with a method per operation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from crosstower.serving.http.app import openapi_document

ROOT = Path(__file__).parents[1]
PAGE, MODULE = ROOT / "docs" / "requests.md", ROOT / "examples" / "clients" / "crosstower.ts"
ADDRESS = "http://127.0.0.1:8000"
Schema = Mapping[str, Any]

EXAMPLES: dict[str, dict[str, Any]] = {
    "recommend": {"user": 42, "k": 5, "where": "price < 120", "query": {"home_city": "Rome"}},
    "rank": {"user": 42, "items": [3, 7, 12], "query": {"home_city": "Rome"}},
    "search": {"text": "quiet flat by the sea", "k": 5},
    "similar": {"item": 7, "k": 5},
    "put_items": {"items": [{"listing_id": 2_000_001, "city": "Rome", "price": 95.0}]},
    "delete_items": {"id": [2_000_001]},
    "add_events": {"events": [{"event_id": "3f2a", "type": "click", "user": 42, "item_id": 7}]},
    "put_users": {"users": [{"user_id": 42, "home_city": "Rome"}]},
    "get_user": {"id": 42},
    "delete_users": {"id": [42]},
    "put_vectors": {
        "weights": "6d0f…",
        "vectors": [{"id": 7, "vector": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]}],
    },
    "experiments": {"user": 42},
    "experiment_report": {"name": "blend"},
    "swap": {"path": "/bundles/new"},
}
"""Parameters or body of an operation that needs some."""

_WEIGHTS = json.dumps("6d0f…")

PREAMBLE = """# Requests in curl and TypeScript

How to call the [server](serving.md) from curl and TypeScript, operation by operation; the columns
are those of a site of rentals. `python docs/make_clients.py` writes this page and the module
`examples/clients/crosstower.ts` of the repository from the OpenAPI document, which a server has at
`/openapi.json`. For Python, see [clients](clients.md).

With curl, the token is in a variable. A server without tokens needs none:

```console
$ export CROSSTOWER_TOKEN=one-of-the-tokens-of-the-server
```

The TypeScript module needs only `fetch`, no package. Node 22.18 and newer run it as it is, and
browser bundlers accept it. A web page of another origin needs a proxy in front of the server that
allows it (CORS). A rejected request throws a `ProblemError` with the problem details. A request
times out after 15 seconds. Ids above 2^53 lose digits in JavaScript: send them as strings.

```typescript
import { Crosstower } from "./crosstower.ts";

const server = new Crosstower("http://127.0.0.1:8000", process.env.CROSSTOWER_TOKEN);
```
"""

HEAD = """// Client of a Crosstower server, made by docs/make_clients.py from the OpenAPI document.

/** A request rejected by the server, with its problem details (RFC 9457). */
export class ProblemError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(`${problem.status} ${problem.title}: ${problem.detail}`);
    this.name = "ProblemError";
    this.problem = problem;
  }
}

"""

CLASS = """/** A server; the token is one of its tokens, if it has any. */
export class Crosstower {
  readonly #address: string;
  readonly #token: string | undefined;
  readonly #milliseconds: number;

  constructor(address: string, token?: string, milliseconds = 15_000) {
    this.#address = address.replace(/\\/+$/, "");
    this.#token = token;
    this.#milliseconds = milliseconds;
  }

%s
  async #send(method: string, path: string, sent: Sent = {}): Promise<Response> {
    const url = new URL(this.#address + path);
    for (const [name, given] of Object.entries(sent.params ?? {})) {
      for (const value of Array.isArray(given) ? given : [given]) {
        if (value !== undefined && value !== null) url.searchParams.append(name, String(value));
      }
    }
    const headers: Record<string, string> = {};
    if (this.#token) headers["Authorization"] = `Bearer ${this.#token}`;
    if (sent.body !== undefined) headers["Content-Type"] = "application/json";
    const response = await fetch(url, {
      method,
      headers,
      body: sent.body === undefined ? null : JSON.stringify(sent.body),
      signal: AbortSignal.timeout(this.#milliseconds),
    });
    if (response.ok) return response;
    const type = response.headers.get("Content-Type") ?? "";
    if (!type.startsWith("application/problem+json")) {
      throw new Error(`${method} ${path}: ${response.status} ${response.statusText}`);
    }
    throw new ProblemError((await response.json()) as Problem);
  }

  async #json<T>(method: string, path: string, sent: Sent = {}): Promise<T> {
    return (await (await this.#send(method, path, sent)).json()) as T;
  }
}

interface Sent {
  params?: Record<string, unknown>;
  body?: unknown;
}
"""


class Operation(NamedTuple):
    """An operation of the document.

    Args:
        method: of HTTP.
        path: below the address.
        name: of the function that it has in the server.
        words: what it does.
        parameters: of the query string.
        body: type of the body, if any.
        response: type of the response; None for text.

    """

    method: str
    path: str
    name: str
    words: str
    parameters: tuple[Schema, ...]
    body: str | None
    response: str | None

    @property
    def camel(self) -> str:
        """Name in TypeScript."""
        first, *others = self.name.split("_")
        return first + "".join(word.title() for word in others)


def main() -> None:
    """Write the page and the module."""
    document = openapi_document()
    MODULE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(document), encoding="utf-8")
    MODULE.write_text(module(document), encoding="utf-8")


def operations(document: Schema) -> list[Operation]:
    """Return the operations of a document."""
    return [
        _operation(method.upper(), path, found)
        for path, methods in document["paths"].items()
        for method, found in methods.items()
    ]


def _operation(method: str, path: str, found: Schema) -> Operation:
    suffix = re.sub(r"\W", "_", path) + f"_{method.lower()}"
    content = found["responses"]["200"]["content"]
    response = content.get("application/json")
    body = found.get("requestBody", {}).get("content", {}).get("application/json")
    return Operation(
        method,
        path,
        found["operationId"].removesuffix(suffix),
        found["description"],
        tuple(found.get("parameters", ())),
        None if body is None else _type(body["schema"]),
        None if response is None else _type(response["schema"]),
    )


def page(document: Schema) -> str:
    """Return the page."""
    return "\n".join([PREAMBLE, *(_section(one) for one in operations(document))])


def _section(one: Operation) -> str:
    return (
        f"## {one.method} {one.path}\n\n{one.words}\n\n"
        f"```console\n$ {_curl(one)}\n```\n\n```typescript\n{_typescript(one)}\n```\n"
    )


def _curl(one: Operation) -> str:
    given = EXAMPLES.get(one.name, {})
    pairs = [(p["name"], given[p["name"]]) for p in one.parameters if p["name"] in given]
    query = "&".join(f"{n}={v}" for n, value in pairs for v in _each(value))
    url = f"{ADDRESS}{one.path}" + (f"?{query}" if query else "")
    verb = "" if one.method == "GET" else f"-X {one.method} "
    parts = [f"curl -s {verb}'{url}'" if query else f"curl -s {verb}{url}"]
    if one.path not in ("/healthz", "/readyz"):
        parts.append('-H "Authorization: Bearer $CROSSTOWER_TOKEN"')
    if one.body is not None:
        parts += [
            "-H 'Content-Type: application/json'",
            f"-d '{json.dumps(given, ensure_ascii=False)}'",
        ]
    return " \\\n    ".join(parts)


def _typescript(one: Operation) -> str:
    given = EXAMPLES.get(one.name, {})
    values = [given[p["name"]] for p in one.parameters if p["name"] in given]
    shown = [_literal(value) for value in ([given] if one.body is not None else values)]
    text = f"console.log(await server.{one.camel}({', '.join(shown)}));"
    if _WEIGHTS not in text:
        return text
    return f"const {{ weights }} = await server.model();\n{text.replace(_WEIGHTS, 'weights!')}"


def _literal(value: Any) -> str:
    """Return a value of JSON as it is usually written in TypeScript."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name}: {_literal(v)}' for name, v in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(_literal(v) for v in value)}]"
    return json.dumps(value)


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def module(document: Schema) -> str:
    """Return the TypeScript module."""
    schemas = document["components"]["schemas"].items()
    types = "\n".join(_declared(name, schema) for name, schema in schemas)
    methods = "\n".join(_method(one) for one in operations(document))
    return HEAD + types + "\n" + CLASS % methods


def _declared(name: str, schema: Schema) -> str:
    words = f"/** {' '.join(schema['description'].split())} */\n" if "description" in schema else ""
    if "properties" not in schema:
        return f"{words}export type {name} = {_type(schema)};\n"
    required = set(schema.get("required", ()))
    fields = "".join(
        _field(key, part, optional=key not in required)
        for key, part in schema["properties"].items()
    )
    return f"{words}export interface {name} {{\n{fields}}}\n"


def _field(name: str, schema: Schema, *, optional: bool) -> str:
    words = f"  /** {schema['description']} */\n" if "description" in schema else ""
    return f"{words}  {name}{'?' if optional else ''}: {_type(schema)};\n"


def _method(one: Operation) -> str:
    """Return the method of an operation: of its body, or of its parameters."""
    arguments, sent = "", ""
    if one.body is not None:
        arguments, sent = f"body: {one.body}", ", { body }"
    elif one.parameters:
        arguments = ", ".join(_argument(p) for p in one.parameters)
        sent = f", {{ params: {{ {', '.join(p['name'] for p in one.parameters)} }} }}"
    head = f"  /** {one.words} */\n  async {one.camel}({arguments}): "
    called = f'"{one.method}", "{one.path}"{sent}'
    if one.response is None:
        return f"{head}Promise<string> {{\n    return (await this.#send({called})).text();\n  }}\n"
    return f"{head}Promise<{one.response}> {{\n    return this.#json({called});\n  }}\n"


def _argument(parameter: Schema) -> str:
    kind = _type(parameter["schema"]).removesuffix(" | null")
    kind = f"(number | {kind.removesuffix('[]')})[]" if kind.endswith("[]") else kind
    kind = f"number | {kind}" if parameter["name"] in ("id", "user") and kind[0] != "(" else kind
    return f"{parameter['name']}{'' if parameter['required'] else '?'}: {kind}"


def _type(schema: Any) -> str:
    """Return the type of a schema in TypeScript."""
    if schema is True or not schema:
        return "unknown"
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " | ".join(dict.fromkeys(_type(option) for option in options))
    if "const" in schema or "enum" in schema:
        return " | ".join(json.dumps(v) for v in schema.get("enum", [schema.get("const")]))
    return _plain_type(schema)


def _plain_type(schema: Schema) -> str:
    match schema.get("type"):
        case "object":
            return f"Record<string, {_type(schema.get('additionalProperties', True))}>"
        case "array":
            inner = _type(schema.get("items", True))
            return f"({inner})[]" if " | " in inner and "<" not in inner else f"{inner}[]"
        case kind:
            return "number" if kind == "integer" else str(kind or "unknown")


if __name__ == "__main__":
    main()
