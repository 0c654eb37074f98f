"""Descriptions of fields and constants: the string below each one in the source of its class."""

import ast
import inspect
import itertools
import textwrap
from functools import cache

from msgspec import Struct


@cache
def own_docs(cls: type) -> dict[str, str]:
    """Attribute name → description, of the attributes that the class itself defines."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    body = tree.body[0].body  # type: ignore[attr-defined]
    docs: dict[str, str] = {}
    for statement, following in itertools.pairwise(body):
        match statement, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                docs[name] = one_line(text)
    return docs


def field_docs(cls: type) -> dict[str, str]:
    """Attribute name → description, those of base classes included."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, Struct) and base is not Struct:
            docs |= own_docs(base)
    return docs


def class_doc(cls: type) -> str:
    """The description of the class itself."""
    return one_line(cls.__doc__ or "")


def one_line(text: str) -> str:
    """Text as one line: the source's line breaks mean nothing."""
    return " ".join(text.split())
