"""How obstore's clients are set up, whatever the provider."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from datums.model.plan import StoreAccess

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

CONNECT_SECONDS: Final = 5
SILENCE_SECONDS: Final = 60
"""Between two reads, not for the whole: a large object over a slow line takes its time."""
CALL_SECONDS: Final = 120.0
"""For a small request by a client that has no time limit of its own for all of it."""
USER_AGENT: Final = "datums"

_SETTINGS: Final = ("AWS_", "AZURE_", "GOOGLE_")

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


def hide_environment() -> None:
    """Takes from the native libraries what they would find in the environment: an endpoint, a token or an encryption of somebody's
    shell, or of what a cluster adds to its pods, which would win over what the DataStore leaves open. obstore has no other way: it
    looks there first, and a setting that is there cannot be unset.

    `os.environ` stays as it is, so whoever reads it sees no difference. A process that is started gets that with `env=os.environ`,
    and what is left here without.

    Must have been called before other threads run: C reads the environment without a lock, and would meet it half changed. Called
    again it changes nothing, but for what was set since.
    """
    for name in os.environ:
        if name.startswith(_SETTINGS):
            os.unsetenv(name)
