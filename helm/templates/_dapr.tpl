{{/* Names that Dapr knows us by: those of the service that the profile stands for, unless the values say otherwise. */}}

{{- define "tidegate.daprAppId" -}}
{{- $known := dict "task-sync" "websocket-sync-service" "todo" "websocket-service" "skill" "websocket-service" -}}
{{- .Values.dapr.appId | default (get $known .Values.profile) | default (include "tidegate.fullname" .) -}}
{{- end -}}

{{- define "tidegate.daprPubsub" -}}
{{- $known := dict "todo" "taskpubsub" "skill" "taskpubsub" -}}
{{- .Values.dapr.pubsubName | default (get $known .Values.profile) | default "kafka-pubsub" -}}
{{- end -}}

{{/* The topic that the sidecar delivers: the one option has it for consuming and for taking. */}}
{{- define "tidegate.daprTopic" -}}
{{- .Values.router.config.DAPR_TOPIC | default "task-updates" -}}
{{- end -}}

{{- define "tidegate.daprEnv" -}}
- name: DAPR_INGEST
  value: "1"
- name: DAPR_PUBSUB
  value: {{ include "tidegate.daprPubsub" . }}
- name: DAPR_APP_ID
  value: {{ include "tidegate.daprAppId" . }}
{{- end -}}

{{/* Our pods get no token for Kubernetes, without which the sidecar's own store of Secrets ends it at its start. Secrets that
     a Component names are not concerned: Dapr's operator reads those. */}}
{{- define "tidegate.daprAnnotations" -}}
dapr.io/enabled: "true"
dapr.io/app-id: {{ include "tidegate.daprAppId" . }}
dapr.io/app-port: {{ .Values.router.port | quote }}
dapr.io/app-protocol: http
dapr.io/disable-builtin-k8s-secret-store: "true"
{{- end -}}
