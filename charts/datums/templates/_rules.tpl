{{/* What the operator may do in a namespace that it works in; each verb with what needs it. */}}
{{- define "datums.rules" -}}
# Watched; deleted when ttlSecondsAfterFinished is over.
- apiGroups: [datums.dev]
  resources: [executions]
  verbs: [get, list, watch, delete]
- apiGroups: [datums.dev]
  resources: [datastores]
  verbs: [get, list, watch]
# Looked up by links, made for what was committed; never changed, never removed.
- apiGroups: [datums.dev]
  resources: [datums]
  verbs: [get, list, create]
- apiGroups: [datums.dev]
  resources: [executions/status, datastores/status, datums/status]
  verbs: [patch]
# An owner reference that blocks the deletion of its owner needs this right (OwnerReferencesPermissionEnforcement).
- apiGroups: [datums.dev]
  resources: [executions/finalizers]
  verbs: [update]
# One pod for each attempt; patched to say that it shall stop or that main has ended.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, patch, delete]
# Read: credentials of DataStores, by name, never listed. Made, renewed and removed: one for each attempt.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch, delete]
# Certificate authorities of DataStores.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
# Labels, for allowedNamespaces and for the Pod Security Standard that is enforced.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
# Said once and counted: a repeated Event is read, then raised.
- apiGroups: [""]
  resources: [events]
  verbs: [get, create, patch]
{{- end }}
