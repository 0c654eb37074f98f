"""From types to schemas: what each type becomes, and what the walk refuses."""

from typing import Annotated, ClassVar, Literal

import pytest
from msgspec import Meta, field

from datums.api.markers import Quantity, Rule, cel, immutable, keyed_by
from datums.api.meta import Part
from datums.api.openapi import SchemaError, object_schema

Text = Annotated[str, Meta(max_length=9)]


class Item(Part, frozen=True):
    """One item."""

    name: Text
    """Its name."""
    mode: Literal["b", "a"] = "a"
    """How it is
    treated."""


class Nested(Part, frozen=True):
    """A nested object."""

    limit: Annotated[int, Meta(ge=0, le=7)] = 3
    """The limit."""


class Whole(Part, frozen=True, kw_only=True):
    """An object with one field of each sort."""

    plain: Text
    """A text."""
    two_words: Text | None = None
    """Renamed on the wire."""
    other_name: bool = field(name="from", default=False)
    """Named otherwise on the wire."""
    items: Annotated[tuple[Item, ...], Meta(max_length=4, extra_json_schema=keyed_by("name"))] = ()
    """A list."""
    labels: Annotated[dict[str, Text], Meta(max_length=2)] = field(default_factory=dict)
    """A map."""
    nested: Nested = Nested()
    """An object."""
    amount: Quantity | None = None
    """A quantity."""
    rate: Annotated[float, Meta(ge=0)] | None = None
    """A number."""

    rules: ClassVar = (Rule("true", "never broken", ".plain"),)


PROPERTIES = object_schema(Whole)["properties"]


def test_names_requirements_and_rules() -> None:
    schema = object_schema(Whole)
    assert list(schema["properties"]) == ["plain", "twoWords", "from", "items", "labels", "nested", "amount", "rate"]
    assert schema["required"] == ["plain"]
    assert schema["x-kubernetes-validations"] == [{"rule": "true", "message": "never broken", "fieldPath": ".plain"}]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", {"description": "A text.", "type": "string", "maxLength": 9}),
        ("twoWords", {"description": "Renamed on the wire.", "type": "string", "maxLength": 9}),
        ("from", {"description": "Named otherwise on the wire.", "type": "boolean", "default": False}),
        (
            "labels",
            {
                "description": "A map.",
                "type": "object",
                "additionalProperties": {"type": "string", "maxLength": 9},
                "maxProperties": 2,
            },
        ),
        ("rate", {"description": "A number.", "type": "number", "minimum": 0}),
    ],
)
def test_a_plain_field(name: str, expected: object) -> None:
    assert PROPERTIES[name] == expected


def test_the_defaults_of_a_nested_object_are_spelled_out() -> None:
    limit = {"description": "The limit.", "type": "integer", "format": "int64", "minimum": 0, "maximum": 7, "default": 3}
    assert PROPERTIES["nested"] == {
        "description": "An object.",
        "type": "object",
        "properties": {"limit": limit},
        "default": {"limit": 3},
    }


def test_a_default_in_a_list_is_told_and_not_filled_in() -> None:
    items = PROPERTIES["items"]["items"]
    mode = {"description": "How it is treated. `a` when unset.", "type": "string", "enum": ["a", "b"]}
    assert items["properties"]["mode"] == mode
    assert items["description"] == "One item."
    assert PROPERTIES["items"]["maxItems"] == 4
    assert PROPERTIES["items"]["x-kubernetes-list-map-keys"] == ["name"]


def test_a_quantity_has_no_type() -> None:
    assert PROPERTIES["amount"]["x-kubernetes-int-or-string"] is True
    assert "type" not in PROPERTIES["amount"]


def test_rules_of_a_value_stand_beside_its_bounds() -> None:
    class Ruled(Part, frozen=True):
        short: Annotated[str, Meta(max_length=3, extra_json_schema=cel(Rule("self != 'x'", "not x")))]
        """Short."""

    short = object_schema(Ruled)["properties"]["short"]
    assert short["maxLength"] == 3
    assert short["x-kubernetes-validations"] == [{"rule": "self != 'x'", "message": "not x"}]


def test_immutable_names_its_field() -> None:
    [rule] = immutable("image", because="it is so")
    assert rule.field_path == ".image"
    assert rule.message == "image is immutable: it is so"


class NoDescription(Part, frozen=True):
    """Lacks one."""

    silent: bool = False


class NoBound(Part, frozen=True):
    """Lacks one."""

    endless: str
    """A text."""


class NoItemBound(Part, frozen=True):
    """Lacks one."""

    endless: Annotated[tuple[str, ...], Meta(max_length=3)] = ()
    """Texts."""


class NoMapBound(Part, frozen=True):
    """Lacks one."""

    endless: dict[str, Text]
    """A map."""


class TwoTypes(Part, frozen=True):
    """Has two types."""

    either: int | Text
    """Either."""


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (NoDescription, "NoDescription.silent: no description; write it as a docstring below the field"),
        (NoBound, "NoBound.endless: no maxLength; give it as max_length in its Meta"),
        (NoItemBound, "NoItemBound.endless[]: no maxLength; give it as max_length in its Meta"),
        (NoMapBound, "NoMapBound.endless: no maxProperties; give it as max_length in its Meta"),
        (TwoTypes, "TwoTypes.either: a CRD field has one type; give the schema of a union in its Meta"),
    ],
)
def test_what_a_good_crd_lacks_is_refused(cls: type[Part], message: str) -> None:
    with pytest.raises(SchemaError) as refusal:
        object_schema(cls)
    assert str(refusal.value) == message
