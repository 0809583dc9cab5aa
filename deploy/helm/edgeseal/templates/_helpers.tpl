{{- define "edgeseal.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (default .Chart.Name .Values.nameOverride) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "edgeseal.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "edgeseal.labels" -}}
{{ include "edgeseal.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "edgeseal.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "edgeseal.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What is served, as the files of a ConfigMap. */}}
{{- define "edgeseal.files" -}}
{{- if and .Values.config .Values.distribution -}}
{{- fail "give config or distribution, not both" -}}
{{- else if .Values.config }}
edge.toml: {{ .Values.config | quote }}
{{- else if .Values.distribution }}
{{- range $name, $text := .Values.distribution }}
{{ $name }}: {{ $text | quote }}
{{- end }}
{{- else -}}
{{- fail "give what is served: config or distribution" -}}
{{- end -}}
{{- end -}}
