"""The small files that are loaded while the list in which they stand is still being read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from datums.transfer.fetch_wanted import Wanted

if TYPE_CHECKING:
    from typing import TypeAlias

    _Version: TypeAlias = tuple[str, str, str, int]

T = TypeVar("T")
_MOST: Final = 2000
"""Files: each takes about a KiB besides its bytes."""


class Early(Generic[T]):
    """Those that were offered, and what was begun with for each: both until they are taken, which may be never.

    One thread offers, another one does all else.
    """

    def __init__(self) -> None:
        self._offered: deque[Wanted] = deque()
        self._begun: dict[_Version, T] = {}

    def __iter__(self) -> Iterator[T]:
        """What was begun with."""
        return iter(self._begun.values())

    @property
    def waits(self) -> bool:
        """Whether there is one to begin with."""
        return bool(self._offered)

    def offer(self, files: Iterable[Wanted]) -> None:
        """Takes the first of these, as far as there is room.

        Args:
            files: small ones, of known size and version.
        """
        self._offered += islice(files, max(0, _MOST - len(self._offered) - len(self._begun)))

    def next(self) -> Wanted | None:
        """One to begin with; what was offered twice is given once."""
        while self._offered:
            wanted = self._offered.popleft()
            if _version(wanted) not in self._begun:
                return wanted
        return None

    def begin(self, wanted: Wanted, what: T) -> None:
        """Keeps what was begun with for it."""
        self._begun[_version(wanted)] = what

    def take(self, wanted: Wanted) -> T | None:
        """What was begun with for these bytes, if anything was; it is forgotten here."""
        return self._begun.pop(_version(wanted), None)


def _version(wanted: Wanted) -> _Version:
    return wanted.key, wanted.etag, wanted.version, wanted.size
