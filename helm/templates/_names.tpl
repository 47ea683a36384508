{{/* Names and labels. Helpers of one component take (dict "root" $ "component" "gateway"). */}}

{{/* 45 characters: a Service's name has 63 at the most (…-gateway-headless), a StatefulSet's 52, for a label of its pods
     holds it with ten more. */}}
{{- define "tidegate.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $name = contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) -}}
{{- end -}}
{{- $name | trunc 45 | trimSuffix "-" -}}
{{- end -}}

{{- define "tidegate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "tidegate.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "tidegate.publicService" -}}
{{- .Values.gateway.service.name | default (include "tidegate.fullname" .) -}}
{{- end -}}

{{/* What selects a component's pods: must never change, Deployments cannot change their selector. */}}
{{- define "tidegate.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of pods: no number of the chart among them, or a change of the chart alone would move all clients. */}}
{{- define "tidegate.podLabels" -}}
{{ include "tidegate.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- with .root.Values.gateway.appLabel }}
{{- if eq $.component "gateway" }}
app: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "tidegate.labels" -}}
{{ include "tidegate.podLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* Labels of objects that belong to no component. */}}
{{- define "tidegate.commonLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "tidegate.image" -}}
{{- with .root.Values.image.registry }}{{ . }}/{{ end -}}
{{- (index .root.Values .component).image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion -}}
{{- end -}}
