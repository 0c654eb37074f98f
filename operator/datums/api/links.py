"""What the API server checks of a link; `model.links` reads it."""

from typing import Annotated

from msgspec import Meta

from datums.api.markers import Rule, cel

_SCHEMES = ("datum://", "s3://", "gs://", "azure://", "swift://", "oci://", "store://", "https://", "http://")
# The server prices a pattern by its own length times that of the links, hence the short ones.
_KEY = "; the key may hold the wildcards * and **"
_LINK_RULES = (
    Rule(
        f"{list(_SCHEMES)}.exists(scheme, self.startsWith(scheme))",
        f"a link must begin with one of {' '.join(_SCHEMES)}",
    ),
    Rule(
        "!self.startsWith('datum://') || self.matches('^datum://[-0-9a-f]{36}(@[^/#]+)?([/#].+)?$')",
        "a datum link must be datum://<id> with the id of a Datum, and for one file of a bundle datum://<id>/<path>",
    ),
    Rule(
        "!self.startsWith('s3://') || self.matches('^s3://[A-Za-z0-9._-]+/.+$')",
        f"an s3 link must be s3://<bucket>/<key>{_KEY}",
    ),
    Rule("!self.startsWith('gs://') || self.matches('^gs://[^/]+/.+$')", f"a gs link must be gs://<bucket>/<key>{_KEY}"),
    Rule(
        "!self.startsWith('azure://') || self.matches('^azure://[^/]+/[^/]+/.+$')",
        f"an azure link must be azure://<account>/<container>/<key>{_KEY}",
    ),
    Rule(
        "!self.startsWith('swift://') || self.matches('^swift://[^/]+/[^/]+/.+$')",
        f"a swift link must be swift://<project>/<container>/<key>{_KEY}",
    ),
    Rule(
        "!self.startsWith('oci://') || self.matches('^oci://[^/@]+@[^/]+/.+$')",
        f"an oci link must be oci://<bucket>@<namespace>/<key>{_KEY}",
    ),
    Rule(
        "!self.startsWith('store://') || self.matches('^store://[-a-z0-9.]+(@[^/]+)?/.+$')",
        f"a store link must be store://<datastore>/<key> or store://<datastore>@<namespace>/<key>{_KEY}",
    ),
    Rule(
        "!self.startsWith('http') || self.matches('^https?://[^/?#]+/.+$')",
        "an http or https link must name a host and the path of a file: https://<host>/<path>",
    ),
)
Link = Annotated[str, Meta(max_length=2048, extra_json_schema=cel(*_LINK_RULES))]
