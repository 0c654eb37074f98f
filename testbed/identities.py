"""Who may do what at the S3 servers of the testbed, with keys made anew for every server."""

import json
import secrets
from collections.abc import Mapping

ACTIONS: Mapping[str, tuple[str, ...]] = {
    "admin": ("Admin", "Read", "List", "Tagging", "Write"),
    "reader": ("Read", "List"),
}
"""What SeaweedFS allows to each of its identities."""

WRONG = "wrong"
"""Keys of nobody: an id that the server does not know."""

Keys = dict[str, str]
"""As the AWS tools name them: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY."""


def new_keys() -> dict[str, Keys]:
    """Random keys for every identity and for `WRONG`."""
    return {
        who: {"AWS_ACCESS_KEY_ID": secrets.token_hex(10).upper(), "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20)}
        for who in (*ACTIONS, WRONG)
    }


PUBLIC, UNLISTED = "public-data", "public-unlisted"
"""Buckets that anybody may read, and the second one not list; to be made by who wants them."""


def server_config(keys: Mapping[str, Keys], *, anonymous: bool = False) -> str:
    """SeaweedFS's `-s3.config` for the identities of `ACTIONS`.

    `anonymous`: whether `PUBLIC` and `UNLISTED` are open to requests without a signature.
    """
    identities: list[dict[str, object]] = []
    if anonymous:
        identities.append({"name": "anonymous", "actions": [f"Read:{PUBLIC}", f"List:{PUBLIC}", f"Read:{UNLISTED}"]})
    for name, actions in ACTIONS.items():
        own = keys[name]
        pair = {"accessKey": own["AWS_ACCESS_KEY_ID"], "secretKey": own["AWS_SECRET_ACCESS_KEY"]}
        identities.append({"name": name, "credentials": [pair], "actions": list(actions)})
    return json.dumps({"identities": identities})
