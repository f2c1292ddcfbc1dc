"""The OpenAPI 3.1 document of the REST gateway, printed from the table of operations and the structs of the API.

Decides how they are described; nothing is described here that is not done from the same rows. It must not know a server, a host or a framework.
"""
from typing import Any, get_args, get_origin

import msgspec

from cambist.gateways import api
from cambist.gateways.auth import EXPIRES, ID, KEY, SIGNATURE
from cambist.gateways.operations import PUBLIC, ROWS, Operation, PublicRead, statuses

DUPLICATE, RETRY_AFTER = "Cambist-Duplicate", "Retry-After"
_REF = "#/components/schemas/{name}"
_WHEN = {
    400: "The request is malformed.", 401: "It is not proven who asks, or the signature is too old.", 403: "This key, role or account may not do this.",
    404: "There is no such thing, or it is not this account's: the two are not told apart.", 408: "The body came too slowly.",
    409: "Not possible in the state things are in.", 413: "The body is larger than 64 KiB.", 415: "The body is not application/json.",
    421: "The Host header names another server.", 422: "A field does not fit, or a limit would be exceeded.",
    429: "Too much was sent; Retry-After says how long to wait.",
    503: "The house does not take this now; nothing was done.", 504: "It is unknown whether it was done: send the same request with the same id again.",
}
_EXAMPLES = {400: ("MALFORMED", "the body is not JSON in UTF-8: JSON is malformed: invalid character (byte 1)", None),
             401: ("EXPIRED", "Cambist-Expires is 2.500 s in the past by the clock of the house (1763712000000000000); sign it anew", None),
             403: ("SCOPE", "order.new takes a key with the scope trade; acme-reader has read", None),
             404: ("UNKNOWN_ORDER", "this account has no open order of that id; what became of it, if it was yours, is told by its events", "$.order"),
             408: ("SLOW_BODY", "the body did not come within 10 s", None),
             409: ("CREDIT", "the credit line would be exceeded; GET /v1/account tells what is used", None),
             413: ("TOO_LARGE", "a body of 70,000 bytes; at most 65,536 are read", None),
             415: ("NOT_JSON", "send application/json in UTF-8", None),
             421: ("WRONG_HOST", "this server is not called example.com", None),
             422: ("OFF_TICK", "the price is not a whole number of 0.5 USD, the tick of BTC-USD here", "$.price"),
             429: ("RATE", "this key, or all together, sent too much; wait as long as Retry-After says", None),
             503: ("UNREACHABLE", "the house does not answer now; nothing is known to be done. Send the same request again with the same id", None),
             504: ("UNKNOWN", "no answer came in time, so it is unknown whether this was done; send the same request again with the same id", None)}


def document(version: str) -> dict[str, Any]:
    """The whole document, as plain dicts and lists."""
    paths: dict[str, dict[str, Any]] = {}
    for row in (*PUBLIC, *ROWS):
        method = row.method.lower() if isinstance(row, Operation) else "get"
        paths.setdefault(row.path, {})[method] = _operation(row)
    return {
        "openapi": "3.1.0", "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": "cambist", "version": version, "summary": "Orders, requests for quotes, accounts and market data.", "description": ABOUT},
        "paths": paths, "components": {"schemas": _schemas(), "securitySchemes": _security(), "headers": _headers()},
        "tags": [{"name": "public", "description": "Market data, without a key."}, {"name": "private", "description": "Signed with a key of an account."}]}


ABOUT = f"""Decimals are strings, times are nanoseconds since 1970, ids are opaque. Unknown fields are refused; of a field given twice the last counts.

A private operation is signed with Ed25519. The signature, 128 hex digits in `{SIGNATURE}`, is over the UTF-8 text

    cambist-request-1\\n{{METHOD}}\\n{{path?query}}\\n{{SHA-256 of the body, hex}}\\n{{{EXPIRES}}}\\n{{{ID} or nothing}}\\n

`{EXPIRES}` is at most 60 s ahead. What changes something has an id of its own in `{ID}`, 32 hex digits: sent again with the same id it counts once, and the
first answer comes with `{DUPLICATE}: true`. After silence, or 503 or 504, send the same request again."""


def _operation(row: Operation | PublicRead) -> dict[str, Any]:
    private = isinstance(row, Operation)
    told: dict[str, Any] = {"operationId": row.name, "summary": row.summary, "tags": ["private" if private else "public"], "parameters": _parameters(row),
                            "responses": _responses(row)}
    if private:
        told["security"] = [{scheme: [] for scheme in ("key", "expires", "signature", *(("id",) if row.changes else ()))}]
        told["description"] = f"Scope: {' or '.join(row.scopes)}."
        if row.body is not None:
            told["requestBody"] = {"required": bool(_required(row.body)), "content": {"application/json": _content(row.body)}}
    return told


def _parameters(row: Operation | PublicRead) -> list[dict[str, Any]]:
    """What of the request is in the path, and where there is no body, in the query."""
    body = row.body if isinstance(row, Operation) else None
    found = []
    properties = msgspec.json.schema(row.request)["$defs"][row.request.__name__].get("properties", {})
    for name, schema in properties.items():
        if name == row.named:
            found.append({"name": name, "in": "path", "required": True, "schema": {"minLength": 1, **schema}})
        elif body is None:
            found.append({"name": name, "in": "query", "required": False, "schema": _not_null(schema)})
    return found


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: what may be left out is left out."""
    one = next((each for each in schema.get("anyOf", ()) if each.get("type") != "null"), None)
    return one if one is not None else schema


def _responses(row: Operation | PublicRead) -> dict[str, Any]:
    success = row.status if isinstance(row, Operation) else 200
    found: dict[str, Any] = {str(success): {"description": _first_line(row.answer), "content": {"application/json": _content(row.answer)}}}
    if isinstance(row, Operation) and row.changes:
        found[str(success)]["headers"] = {DUPLICATE: {"$ref": "#/components/headers/duplicate"}}
        if row.may_wait:
            found["202"] = {"description": _first_line(api.Held), "content": {"application/json": _content(api.Held)}}
    for status in statuses(row):
        code, message, path = _EXAMPLES[status]
        found[str(status)] = {"description": _WHEN[status], "content": {"application/json": {
            "schema": {"$ref": _REF.format(name="ErrorBody")}, "example": {"error": {"code": code, "message": message, "path": path}}}}}
        if status in (429, 503):
            found[str(status)]["headers"] = {RETRY_AFTER: {"$ref": "#/components/headers/retry"}}
    return found


def _content(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return {"schema": {"$ref": _REF.format(name=struct.__name__)}, "example": example(struct)}


def _first_line(struct: type[msgspec.Struct]) -> str:
    return (struct.__doc__ or struct.__name__).strip().split("\n")[0]


def _required(struct: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(struct) if field.required]


def _structs() -> list[type[msgspec.Struct]]:
    named = {row.answer for row in (*PUBLIC, *ROWS)} | {row.body for row in ROWS if row.body is not None} | {api.ErrorBody, api.Held}
    return sorted(named, key=lambda struct: struct.__name__)


def _schemas() -> dict[str, Any]:
    return msgspec.json.schema_components(_structs(), ref_template=_REF)[1]


def _security() -> dict[str, Any]:
    about = {"key": (KEY, "The name of the key."), "expires": (EXPIRES, "Nanoseconds since 1970 until which the request may count."),
             "id": (ID, "32 hex digits of your own choice, never used before by this account."), "signature": (SIGNATURE, "128 hex digits; see above.")}
    return {name: {"type": "apiKey", "in": "header", "name": header, "description": words} for name, (header, words) in about.items()}


def _headers() -> dict[str, Any]:
    return {"duplicate": {"description": "This is the first answer to a request that was sent again.", "schema": {"const": "true"}},
            "retry": {"description": "Seconds to wait.", "schema": {"type": "string", "pattern": "^[0-9]+$"}}}


# ------------------------------------------------------------------------------------------------------------------------------------- examples
def example(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """One made of the first example of each field."""
    return {field.encode_name: _example(field.type, field.default) for field in msgspec.structs.fields(struct)}


def _example(wanted: Any, default: Any) -> Any:
    for meta in getattr(wanted, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.examples:
            return meta.examples[0]
    if default is not msgspec.NODEFAULT and not isinstance(default, msgspec.Struct):
        return default
    if hasattr(wanted, "__metadata__"):
        return _example(get_args(wanted)[0], default)
    if get_origin(wanted) is list:
        return [_example(get_args(wanted)[0], msgspec.NODEFAULT)]
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return example(wanted)
    return {bool: False, int: 0}.get(wanted, "")
