"""All kinds, in the order in which they are documented."""

from typing import Final

from datums.api.datastore import DataStore
from datums.api.datum import Datum
from datums.api.execution import Execution
from datums.api.meta import Root

KINDS: Final[tuple[type[Root], ...]] = (DataStore, Execution, Datum)
