"""How obstore's clients are set up, whatever the provider."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING, Final

from datums.model.plan import StoreAccess

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

CONNECT_SECONDS: Final = 5
SILENCE_SECONDS: Final = 60
"""Between two reads, not for the whole: a large object over a slow line takes its time."""
USER_AGENT: Final = "datums"

_SETTINGS: Final = ("AWS_", "AZURE_", "GOOGLE_")
_ENVIRONMENT: Final = Lock()

ONE_TRY: Final[RetryConfig] = {"max_retries": 0, "retry_timeout": timedelta(seconds=20)}
"""Who calls decides about another try; a client that tries by itself would hide that it is asked to slow down."""


def client_options(access: StoreAccess) -> ClientConfig:
    """Timeouts, trust and proxy of a store's obstore client."""
    options: ClientConfig = {
        "allow_http": access.endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=SILENCE_SECONDS),
        "timeout": timedelta(hours=12),
        "user_agent": USER_AGENT,
    }
    if access.ca_bundle:
        options["root_certificate"] = access.ca_bundle
    if access.proxy:
        options["proxy_url"] = access.proxy
    return options


@contextmanager
def without_environment() -> Iterator[None]:
    """Hides what obstore would take from the environment while a store is opened: an endpoint, a token or an encryption of
    somebody's shell, which would win over what the DataStore leaves open."""
    with _ENVIRONMENT:
        hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(_SETTINGS)}
        try:
            yield
        finally:
            os.environ.update(hidden)
