"""What a field's type cannot say by itself, for the CRDs: CEL rules, list maps, quantities, printer columns.

A field's description is the docstring below it, its bounds are `msgspec.Meta`; rules of a whole object stand in the
class variable `rules` of its struct, rules of one value in the `Meta` of its type.
"""

from typing import Annotated, Any, Final, Literal, NamedTuple

from msgspec import Meta


class Rule(NamedTuple):
    """One CEL validation rule and the sentence that a person reads when it is broken."""

    rule: str
    """CEL expression over `self` (and `oldSelf`); true = valid."""
    message: str
    field_path: str | None = None
    """The field to name in the error when it is not the rule's own, relative to it: `.selector`."""

    def schema(self) -> dict[str, str]:
        """The rule as the CRD has it."""
        wire = {"rule": self.rule, "message": self.message}
        return wire if self.field_path is None else {**wire, "fieldPath": self.field_path}


class Column(NamedTuple):
    """One column of `kubectl get`."""

    name: str
    json_path: str
    type: Literal["string", "integer", "date", "boolean"] = "string"
    description: str = ""
    priority: int = 0
    """0 = always shown, 1 = shown with `-o wide`."""

    def schema(self) -> dict[str, str | int]:
        """The column as the CRD has it."""
        wire: dict[str, str | int] = {"name": self.name, "type": self.type, "jsonPath": self.json_path}
        if self.description:
            wire["description"] = self.description
        return wire | ({"priority": self.priority} if self.priority else {})


class Resource(NamedTuple):
    """How a kind is called in the API."""

    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    columns: tuple[Column, ...]
    selectable_fields: tuple[str, ...] = ()


def cel(*rules: Rule) -> dict[str, Any]:
    """Extra schema that holds a value to CEL rules."""
    return {"x-kubernetes-validations": [rule.schema() for rule in rules]}


def immutable(*fields: str, because: str) -> tuple[Rule, ...]:
    """One rule for each field that it stays what it was, also when it was unset."""
    return tuple(
        Rule(
            f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
            f"{field} is immutable: {because}",
            f".{field}",
        )
        for field in fields
    )


def keyed_by(key: str) -> dict[str, Any]:
    """Extra schema of a list whose items the server merges, and keeps unique, by one of their fields."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


def exactly_one(*fields: str) -> Rule:
    """The rule that one of the fields is set, and no other."""
    if len(fields) == 1:
        return Rule(f"has(self.{fields[0]})", f"{fields[0]} must be set")
    count = " + ".join(f"(has(self.{field}) ? 1 : 0)" for field in fields)
    return Rule(f"{count} == 1", f"exactly one of these must be set: {', '.join(fields)}")


AGE: Final = Column("Age", ".metadata.creationTimestamp", "date", "Time since the object was created.")

_QUANTITY_RULE = Rule(
    "type(self) == int ? self >= 0 : isQuantity(self) && !self.startsWith('-')",
    "must be a quantity that is not negative, such as 2, 500m or 10Gi",
)
Quantity = Annotated[
    int | str,
    Meta(extra_json_schema={"x-kubernetes-int-or-string": True, "maxLength": 64} | cel(_QUANTITY_RULE)),
]
"""An amount of a resource as Kubernetes' own types have it: a number, or a string such as `500m` or `2Gi`."""
