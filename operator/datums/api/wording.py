"""A schema's type and bounds in words, for the reference."""

from datums.api.openapi import Schema

_UNITS = {"Length": "characters", "Items": "items", "Properties": "entries"}


def type_name(schema: Schema) -> str:
    """The type as a reader would say it: `list of string`, `quantity`, one of the allowed words."""
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity"
    if "anyOf" in schema:
        # The sentence that the server gives for a value of another type; see untyped.py.
        return str(schema["anyOf"][0]["enum"][0])
    if "enum" in schema:
        return " | ".join(f"`{value}`" if value else "empty" for value in schema["enum"])
    if schema["type"] == "array":
        return f"list of {type_name(schema['items'])}"
    if "additionalProperties" in schema:
        return f"map of string to {type_name(schema['additionalProperties'])}"
    return "time" if schema.get("format") == "date-time" else str(schema["type"])


def bounds(schema: Schema) -> str:
    """Bounds that a reader may meet: of numbers, and the sizes of texts, lists and maps."""
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "date-time" or "enum" in schema:
        return ""
    parts = [_range(schema.get("minimum"), schema.get("maximum"), "")]
    parts += [_range(schema.get(f"min{size}"), schema.get(f"max{size}"), unit) for size, unit in _UNITS.items()]
    return ", ".join(part for part in parts if part)


def _range(low: int | None, high: int | None, unit: str) -> str:
    match low, high:
        case None, None:
            return ""
        case ((None | 0), int()) if unit:
            words = f"at most {high}"
        case None, _:
            words = f"at most {high}"
        case _, None:
            words = f"at least {low}"
        case _ if low == high:
            words = f"{low}"
        case _:
            words = f"{low} to {high}"
    return f"{words} {unit}".strip()
