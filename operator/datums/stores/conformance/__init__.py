"""The conformance kit: tries what a real store can do, what it refuses and how fast it is, and removes what it wrote.

site.py      the prefix that everything is written below, and its removal
case.py      what one check is, and what can come of it
basics.py, keys.py, consistency.py, uploads.py, identity.py, speed.py, reading.py     the checks
kit.py       runs them
"""

from datums.stores.conformance.case import Check, Report
from datums.stores.conformance.kit import Options, run

__all__ = ["Check", "Options", "Report", "run"]
