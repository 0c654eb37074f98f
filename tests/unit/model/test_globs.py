"""Globs, and where a match goes below the input's directory."""

import pytest

from datums.model import globs, placement


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("a/*.csv", "a/x.csv", True),
        ("a/*.csv", "a/b/x.csv", False),
        ("a/**", "a/b/x.csv", True),
        ("a/**", "a/x", True),
        ("model/**", "model-hf/x", False),
        ("model*", "model-hf", True),
        ("**/x", "x", True),
        ("**/x", "a/b/x", True),
        ("**/x", "ax", False),
        ("a/**/x", "a/x", True),
        ("a/**/x", "a/b/c/x", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[ab]", "[ab]", True),
        ("[ab]", "a", False),
        ("a.b", "axb", False),
        ("*", "a\nb", True),
    ],
)
def test_matches(pattern: str, path: str, expected: bool) -> None:
    assert globs.matches(pattern, path) is expected


@pytest.mark.parametrize(("pattern", "prefix"), [("a/b*/c", "a/b"), ("**", ""), ("a/b", "a/b"), ("a/?", "a/")])
def test_a_listing_is_narrowed_to_the_fixed_prefix(pattern: str, prefix: str) -> None:
    assert globs.fixed_prefix(pattern) == prefix


@pytest.mark.parametrize(
    ("pattern", "key", "none", "suffix", "full"),
    [
        ("raw/img/**", "raw/img/a/1.png", "1.png", "a/1.png", "raw/img/a/1.png"),
        ("raw/img/im*", "raw/img/im1", "im1", "im1", "raw/img/im1"),
        ("raw/*/x", "raw/b/x", "x", "b/x", "raw/b/x"),
        ("raw/x", "raw/x", "x", "x", "raw/x"),
    ],
)
def test_placement(pattern: str, key: str, none: str, suffix: str, full: str) -> None:
    assert [placement.place(pattern, key, keep) for keep in ("None", "Suffix", "Full")] == [none, suffix, full]


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        ("a/b", True),
        ("a b", True),
        ("../a", False),
        ("a/./b", False),
        ("/a", False),
        ("a//b", False),
        ("", False),
        ("a\0", False),
        ("..a", True),
    ],
)
def test_a_path_that_leaves_its_directory_is_not_safe(path: str, safe: bool) -> None:
    assert placement.is_safe(path) is safe
