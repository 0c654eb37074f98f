"""From a type to the structural schema of a CRD, by a walk over what msgspec knows of it.

The walk refuses what a good CRD lacks: a field without a description, a string, list or map without a bound (the
server prices CEL rules by these bounds).
"""

from typing import Any, Final

import msgspec
from msgspec import inspect as mi

from datums.api.docstrings import class_doc, field_docs
from datums.api.meta import Root

Schema = dict[str, Any]


class SchemaError(TypeError):
    """A type cannot be made a schema; the message names the field and what it lacks."""


def object_schema(cls: type[msgspec.Struct], *, defaults: bool = True, where: str = "") -> Schema:
    """Schema of a struct.

    Args:
        defaults: whether the server fills in default values. Not in a status, and not in the items of a list: to
            `kubectl apply` and Argo CD a list with more in it than was applied is another one, on every round.
        where: path of the struct, for errors.
    """
    properties: Schema = {}
    required: list[str] = []
    docs = field_docs(cls)
    for field in _fields(cls):
        if issubclass(cls, Root) and field.encode_name in _OF_EVERY_KIND:
            properties[field.encode_name] = _OF_EVERY_KIND[field.encode_name]
            continue
        path = f"{where or cls.__name__}.{field.encode_name}"
        if field.name not in docs:
            raise SchemaError(f"{path}: no description; write it as a docstring below the field")
        filled = defaults and field.name != "status"
        default = _default(field)
        unset = f" `{default}` when unset." if default and not filled and not isinstance(default, dict) else ""
        schema: Schema = {"description": docs[field.name] + unset}
        schema |= _value_schema(_unwrap_none(field), defaults=filled, where=path)
        if filled and default is not None:
            schema["default"] = default
        properties[field.encode_name] = schema
        if field.required:
            required.append(field.encode_name)
    whole: Schema = {"type": "object", "properties": properties}
    if required:
        whole["required"] = required
    rules = getattr(cls, "rules", ())
    if rules:
        whole["x-kubernetes-validations"] = [rule.schema() for rule in rules]
    return whole


def root_schema(cls: type[Root]) -> Schema:
    """Schema of a whole kind."""
    return {"description": class_doc(cls), **object_schema(cls)}


# The server itself says what these are.
_OF_EVERY_KIND: Final[dict[str, Schema]] = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {"type": "object"},
}


def _fields(cls: type[msgspec.Struct]) -> tuple[mi.Field, ...]:
    info = mi.type_info(cls)
    assert isinstance(info, mi.StructType)
    return info.fields


def _unwrap_none(field: mi.Field) -> mi.Type:
    """A field that is None when unset is left out on the wire; it is not nullable there."""
    if isinstance(field.type, mi.UnionType) and field.default is None:
        rest = [each for each in field.type.types if not isinstance(each, mi.NoneType)]
        return rest[0] if len(rest) == 1 else mi.UnionType(tuple(rest))
    return field.type


def _default(field: mi.Field) -> Any:
    """The default as JSON, or None when there is none that says anything: empty is the same as unset."""
    default = field.default
    if isinstance(default, msgspec.Struct):
        # Spelled out, since the server checks a default against the rules before it fills in those of its fields.
        inner = {each.encode_name: _default(each) for each in _fields(type(default))}
        return {name: value for name, value in inner.items() if value is not None} or None
    return None if default in (msgspec.NODEFAULT, None, "", ()) else default


def _value_schema(info: mi.Type, *, defaults: bool, where: str) -> Schema:
    extra: Schema = {}
    if isinstance(info, mi.Metadata):
        extra = dict(info.extra_json_schema or {})
        info = info.type
    if isinstance(info, mi.UnionType):
        if not extra:
            raise SchemaError(f"{where}: a CRD field has one type; give the schema of a union in its Meta")
        return extra
    schema = {**_plain_schema(info, defaults=defaults, where=where), **extra}
    limit = {"string": "maxLength", "array": "maxItems"}.get(schema["type"])
    if limit and limit not in schema and "enum" not in schema:
        raise SchemaError(f"{where}: no {limit}; give it as max_length in its Meta")
    return schema


def _plain_schema(info: mi.Type, *, defaults: bool, where: str) -> Schema:
    match info:
        case mi.StructType(cls=cls):
            return object_schema(cls, defaults=defaults, where=where)
        case mi.BoolType():
            return {"type": "boolean"}
        case mi.IntType():
            return _bounded({"type": "integer", "format": "int64"}, minimum=info.ge, maximum=info.le)
        case mi.FloatType():
            return _bounded({"type": "number"}, minimum=info.ge, maximum=info.le)
        case mi.StrType():
            return _bounded({"type": "string"}, minLength=info.min_length, maxLength=info.max_length, pattern=info.pattern)
        case mi.LiteralType(values=choices):
            return {"type": "string", "enum": sorted(choices)}
        case mi.VarTupleType():
            items = _value_schema(info.item_type, defaults=False, where=f"{where}[]")
            if isinstance(info.item_type, mi.StructType):
                items = {"description": class_doc(info.item_type.cls)} | items
            schema = {"type": "array", "items": items}
            return _bounded(schema, minItems=info.min_length, maxItems=info.max_length)
        case mi.DictType(value_type=mi.AnyType()):
            return {"type": "object"}
        case mi.DictType():
            if info.max_length is None:
                raise SchemaError(f"{where}: no maxProperties; give it as max_length in its Meta")
            values = _value_schema(info.value_type, defaults=defaults, where=f"{where}{{}}")
            return _bounded({"type": "object", "additionalProperties": values}, maxProperties=info.max_length)
    raise SchemaError(f"{where}: no schema for {info}")


def _bounded(schema: Schema, **bounds: Any) -> Schema:
    return schema | {name: bound for name, bound in bounds.items() if bound is not None}
