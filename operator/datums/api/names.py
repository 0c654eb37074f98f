"""Names that the parts of Datums agree on: the API group, labels, annotations, the field manager."""

from typing import Final

GROUP: Final = "datums.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
# Not `datums`: that is the plural of Datum, and kubectl takes a category first, so that `kubectl delete datums --all`
# would have removed executions and stores as well.
CATEGORY: Final = "datums-all"
"""What kubectl knows all kinds together by."""

FIELD_MANAGER: Final = "datums-operator"
"""Field manager of every server-side apply that the operator sends."""
AUDIENCE: Final = "datums"
"""Audience of the service-account token by which a pod speaks to the operator."""

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "datums"
"""Value of `LABEL_MANAGED_BY` on every object that the operator makes."""
LABEL_EXECUTION: Final = f"{GROUP}/execution"
LABEL_EXECUTION_UID: Final = f"{GROUP}/execution-uid"
LABEL_ATTEMPT: Final = f"{GROUP}/attempt"
"""Decimal number of the attempt, from 1."""
LABEL_SET: Final = f"{GROUP}/set"
"""The 15 hex digits that all datum ids of one attempt share."""

ANNOTATION_MAIN_ENDED: Final = f"{GROUP}/main-ended"
"""The operator's word to `ship` that main has ended; value: its exit code, decimal."""
ANNOTATION_STOP: Final = f"{GROUP}/stop"
"""The operator's word to `ship` to stop main; value: grace in whole seconds."""
