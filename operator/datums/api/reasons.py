"""Every reason of a condition: one word for programs, with what it means and what to do.

The docstring below each constant is its entry in the reference.
"""

from enum import StrEnum


class Waiting(StrEnum):
    """Reasons of an Execution's `Succeeded` while it is Unknown: where the execution is."""

    SUSPENDED = "Suspended"
    """`spec.suspend` is true. It starts when that becomes false."""
    RESOLVING = "Resolving"
    """The operator looks up the store and the links of the inputs; the message says what it waits for."""
    QUEUED = "Queued"
    """The pod waits for a node."""
    PULLING = "Pulling"
    """The node pulls images."""
    DOWNLOADING = "Downloading"
    """The inputs are listed and downloaded."""
    RUNNING = "Running"
    """The command runs; what it has finished writing is already being uploaded."""
    STOPPING = "Stopping"
    """The command was told to end: by `spec.stop`, by the deadline or because the object is deleted."""
    UPLOADING = "Uploading"
    """The command has ended; what is left of the outputs is uploaded."""
    COMMITTING = "Committing"
    """The manifest is written and verified."""


class Done(StrEnum):
    """Reason of an Execution's `Succeeded` when it is True."""

    COMMITTED = "Committed"
    """The command ended with 0, and every output is saved and verified."""


class Failed(StrEnum):
    """Reasons of an Execution's `Succeeded` when it is False. What was saved by then is kept. An execution that has not
    started yet waits with `StoreNotReady`, `AmbiguousStore` or `NotShared` while it is Unknown, and goes on by itself
    when the cause is mended; a fault of the spec ends it, for the spec cannot change."""

    INVALID_SPEC = "InvalidSpec"
    """The spec asks for what cannot be; the message names the field. Create a new Execution with it corrected."""
    STORE_NOT_READY = "StoreNotReady"
    """The DataStore could not be used. Its own `Ready` condition says why."""
    AMBIGUOUS_STORE = "AmbiguousStore"
    """Several DataStores fit: two are the default, two have the bucket of a link, or two that are shared have one name.
    The message names them. Set `spec.outputs.store`, or use `store://<datastore>@<namespace>/…`."""
    NOT_SHARED = "NotShared"
    """The store is not shared with this namespace; its owner may allow it in `spec.allowedNamespaces` of the DataStore.
    Datums of other namespaces cannot be inputs."""
    INPUT_NOT_FOUND = "InputNotFound"
    """A link of an input that is not optional leads to nothing. Correct it, or set `optional`."""
    INPUT_NAME_COLLISION = "InputNameCollision"
    """Two files of an input would have the same name; the message names both. Use `keepDirectories`, or two inputs."""
    INPUT_DIGEST_MISMATCH = "InputDigestMismatch"
    """The downloaded bytes are not those that were recorded. The data in the store was changed or damaged."""
    INPUT_CHANGED = "InputChanged"
    """A file changed in the store between listing and download. Run again."""
    ACCESS_DENIED = "AccessDenied"
    """The store refuses the credentials of the DataStore for this. Check the Secret and the bucket's policy."""
    STORE_UNAVAILABLE = "StoreUnavailable"
    """The store did not answer for too long."""
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """The image cannot be pulled. Check its name and `imagePullSecrets` in `spec.template.spec`."""
    UNSCHEDULABLE = "Unschedulable"
    """No node had room for the pod before the deadline; the message is the scheduler's."""
    INVALID_POD_TEMPLATE = "InvalidPodTemplate"
    """The API server refuses the pod that the spec makes; the message is the server's."""
    NON_ZERO_EXIT = "NonZeroExit"
    """The command ended with an exit code other than 0. See the log of container `main`."""
    OUT_OF_MEMORY = "OutOfMemory"
    """The command used more memory than its limit. Raise `spec.resources.limits.memory`."""
    EVICTED = "Evicted"
    """The pod was removed: drained, preempted, deleted, or the node ran out of something."""
    NODE_LOST = "NodeLost"
    """The node stopped answering."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    """It ran for longer than `spec.activeDeadlineSeconds`."""
    STOPPED = "Stopped"
    """It was stopped by `spec.stop`."""
    OUTPUTS_PARTIAL = "OutputsPartial"
    """The command ended with 0, but some outputs could not be saved; `status.outputs.problems` names them."""
    OUTPUTS_LOST = "OutputsLost"
    """The pod ended without a commit: what had not been uploaded is gone."""
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
    """Every attempt that `spec.backoffLimit` allows has failed; `status.attempts` says how."""


class StoreReady(StrEnum):
    """Reason of a DataStore's `Ready` when it is True."""

    PROBED = "Probed"
    """A probe object was written, read back, listed and removed; of an anonymous store, that it can be read."""


class StoreNotReady(StrEnum):
    """Reasons of a DataStore's `Ready` when it is False. It is tried again when its spec or its Secret changes, and
    every `probeRetrySeconds`."""

    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105
    """The Secret, or the ConfigMap or Secret of `caBundle`, does not exist in the DataStore's namespace."""
    SECRET_KEY_MISSING = "SecretKeyMissing"  # noqa: S105
    """It lacks a key, or a key holds something else than it must; the message names it."""
    ACCESS_DENIED = "AccessDenied"
    """The service refuses the credentials, or they may not do what the probe does."""
    BUCKET_NOT_FOUND = "BucketNotFound"
    """There is no such bucket or container. Create it, or correct its name in the spec."""
    ENDPOINT_UNREACHABLE = "EndpointUnreachable"
    """Nothing answers at the endpoint, or not as such a service does; or the proxy does not let it through."""
    CERTIFICATE_INVALID = "CertificateInvalid"
    """The service's certificate is not trusted. Set the `caBundle` of the block, such as
    `spec.s3.caBundle`."""
    CLOCK_SKEW = "ClockSkew"
    """The clocks of the service and of the operator's node differ too much for signed requests."""
    READ_ONLY = "ReadOnly"
    """Reading works, writing does not."""


class Verified(StrEnum):
    """Reason of a Datum's `Succeeded` when it is True."""

    COMMITTED = "Committed"
    """Its bytes are in the store, as the verified manifest says."""
