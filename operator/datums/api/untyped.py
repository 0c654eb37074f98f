"""Schemas of fields that take more than one JSON type.

A CRD's schema has one `type` or none, and CEL cannot look into a value without one. But bounds hold only for values of
the JSON type they speak of: no string is at least 1 and at most 0 long, while a number, having no length, satisfies
that. So such impossible bounds tell the types apart. The server's message quotes what an `enum` allows, which is how
the sentence for people gets into it; as an allowed value it is one more string, or never reached.
"""

from typing import Any, Final

_NEVER_A_STRING: Final = {"minLength": 1, "maxLength": 0}
_NEVER_A_LIST: Final = {"minItems": 1, "maxItems": 0}
_NEVER_AN_OBJECT: Final = {"minProperties": 1, "maxProperties": 0}


def _untyped(what: str, *alternatives: dict[str, Any]) -> dict[str, Any]:
    # The server reports the first alternative that failed, so the sentence comes first.
    return {"x-kubernetes-preserve-unknown-fields": True, "anyOf": [{"enum": [what]}, *alternatives]}


STRING_OR_STRINGS: Final = {
    **_untyped("a string, or a list of strings", {"not": _NEVER_A_STRING}, {"not": _NEVER_A_LIST}),
    "minLength": 1,
    "maxLength": 65536,
    "minItems": 1,
    "maxItems": 256,
    "items": {"type": "string", "maxLength": 65536},
}
"""A string, or a list of strings; neither empty."""

SCALAR_OR_SCALARS: Final = {
    **_untyped("a string, a number, true, false, or a list of these", _NEVER_AN_OBJECT),
    "nullable": True,
    "maxLength": 65536,
    "maxItems": 1024,
    "items": {
        **_untyped("a string, a number, true or false", {**_NEVER_AN_OBJECT, **_NEVER_A_LIST}),
        "maxLength": 4096,
    },
}
"""A string, number, boolean or null, or a list of strings, numbers and booleans."""
