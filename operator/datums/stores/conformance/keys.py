"""Keys that are easily changed on the way: each is kept as it is, or refused."""

from __future__ import annotations

import functools
import unicodedata
from typing import Final

from datums.model.layout import MAX_KEY_BYTES
from datums.stores import errors
from datums.stores.conformance.case import YES, Case, Differs, Outcome, expect, no
from datums.stores.conformance.site import Site

_GROUP: Final = "Keys"
_ODD: Final = {
    "space": "a b/ c",
    "plus": "a+b",
    "percent": "a%2Fb%zz%",
    "hash": "a#b",
    "question mark, ampersand": "a?b=1&c",
    "quotes, brackets": "a\"b'c<d>[e]{f}|^~",
    "star": "a*b",
    "colon, semicolon, at": "a:b;c@d=e,f$g!h",
    "unicode, composed (NFC)": "é",
    "unicode, decomposed (NFD)": "e\u0301",
    "unicode, 4 bytes": "数据/😀",
    "dot at the end": "a./b.",
    "slash at the end": "a/",
    "empty segment": "a//b",
    "dot segment": "a/./b",
    "dot-dot segment": "a/../b",
    "control character": "a\x01b",
    "newline": "a\nb",
}


def _kept(site: Site, name: str) -> Outcome:
    store, key = site.store, site.key(name)
    store.put(key, b"bytes")
    found = [info.key for info in store.list(site.place)]
    expect(found == [key], f"it is listed as {[each.removeprefix(site.place) for each in found]}")
    expect(store.get(key) == b"bytes" and store.head(key).size == 5, "other bytes came back")
    expect(b"".join(store.stream(key, 1, 3)) == b"yte", "other bytes came back for a range")
    store.delete(key)
    expect(not any(True for _ in store.list(site.place)), "removing it removed nothing")
    return YES


def _longest(site: Site) -> Outcome:
    segment = "x" * 200 + "/"
    room = MAX_KEY_BYTES - len(site.place.encode())
    return _kept(site, (segment * (room // len(segment) + 1))[:room].rstrip("/").ljust(room, "y"))


def _long_segment(site: Site) -> Outcome:
    return _kept(site, "x" * (MAX_KEY_BYTES - len(site.place.encode())))


def _both_forms(site: Site) -> Outcome:
    store = site.store
    bodies = {site.key(name): name.encode() for name in ("é", "e\u0301")}
    for key, body in bodies.items():
        store.put(key, body)
    expect({info.key for info in store.list(site.place)} == set(bodies), "they are one object")
    expect(all(store.get(key) == body for key, body in bodies.items()), "they have each other's bytes")
    return YES


def _too_long(site: Site) -> Outcome:
    store = site.store
    key = site.key("x/" * ((MAX_KEY_BYTES + 300 - len(site.place)) // 2) + "y")
    try:
        store.put(key, b"bytes")
    except errors.StoreError as error:
        return Outcome("refused", str(error))
    expect([info.key for info in store.list(site.place)] == [key], "it is listed under another name")
    return YES


def _backslash(site: Site) -> Outcome:
    try:
        return _kept(site, "a\\b")
    except Differs as difference:
        return no(f"{difference}: some services take a backslash for a slash; Datums writes none")


def _shown(name: str) -> str:
    """With what could not be seen, or seen wrongly, spelled out."""
    return "".join(c if c.isprintable() and not unicodedata.combining(c) else c.encode("unicode_escape").decode() for c in name)


CASES: Final = (
    *(Case(_GROUP, title, f"a key such as `{_shown(name)}`", "or-refuse", functools.partial(_kept, name=name))
      for title, name in _ODD.items()),
    Case(_GROUP, "backslash", r"a key such as `a\b`", "may", _backslash),
    Case(_GROUP, "NFC and NFD", "`é` in both forms: two objects", "or-refuse", _both_forms),
    Case(_GROUP, "1,024 bytes", "a key of 1,024 bytes in segments of 200", "or-refuse", _longest),
    Case(_GROUP, "long segment", "a key of 1,024 bytes whose last segment is as long as can be", "or-refuse", _long_segment),
    Case(_GROUP, "over 1,024 bytes", "a key of 1,300 bytes", "or-refuse", _too_long),
)  # fmt: skip
