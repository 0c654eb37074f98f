{{/* Name of every object of the release. A release named like the chart does not repeat it. */}}
{{- define "datums.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "datums.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "datums.labels" -}}
{{ include "datums.selectorLabels" . }}
app.kubernetes.io/part-of: datums
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "datums.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "datums.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ required "serviceAccount.name must be set when serviceAccount.create is false" .Values.serviceAccount.name }}{{ end -}}
{{- end }}

{{- define "datums.image" -}}
{{- if .Values.image.digest }}{{ printf "%s@%s" .Values.image.repository .Values.image.digest }}{{ else }}{{ printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}{{ end -}}
{{- end }}

{{/* The namespaces to work in, separated by commas; empty for all. */}}
{{- define "datums.namespaces" -}}
{{- if eq .Values.rbac.scope "namespace" }}{{ join "," (default (list .Release.Namespace) .Values.rbac.namespaces) }}{{ else if .Values.rbac.namespaces }}{{ fail "rbac.namespaces is only for rbac.scope: namespace" }}{{ end -}}
{{- end }}

{{/* A value as an environment variable has it: whole numbers without an exponent. */}}
{{- define "datums.envValue" -}}
{{- if kindIs "slice" . }}{{ join "," . }}{{ else if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end }}
