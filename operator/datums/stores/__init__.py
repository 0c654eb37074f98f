"""Object stores: one driver per provider behind one small protocol (protocol.py)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType

from datums.model.plan import StoreAccess
from datums.stores.protocol import Store

# pycurl imports its class for asyncio, and with it `dataclasses` and `inspect`: a tenth of the time to a pod's first request, for
# what nothing here uses.
_nothing = ModuleType("pycurl.async_multi")
_nothing.__dict__["__getattr__"] = {"AsyncCurlMulti": None}.get
sys.modules.setdefault(_nothing.__name__, _nothing)


def open_store(access: StoreAccess, credentials: Mapping[str, str]) -> Store:
    """A store to read from and write to. Opening sends nothing: what is wrong shows at the first call.

    Args:
        credentials: the keys of the DataStore's Secret (`AWS_ACCESS_KEY_ID`, …); empty for an anonymous store.
    """
    # Here, for a driver costs tens of milliseconds to import, and one is all that a pod needs.
    match access.kind:
        case "gcs":
            from datums.stores.gcs import GCSStore  # noqa: PLC0415

            return GCSStore(access, credentials)
        case "azure":
            from datums.stores.azure import AzureStore  # noqa: PLC0415

            return AzureStore(access, credentials)
        case "s3" | "ovh" | "oracle":
            from datums.stores.s3 import S3Store  # noqa: PLC0415

            return S3Store(access, credentials)
