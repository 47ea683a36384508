{{/* The environment of both programs. What a part of the values decides is set here, once; `config` holds the rest. */}}

{{/* A value as the text of an environment variable: YAML's numbers arrive as floats, which print as 1e+06. */}}
{{- define "tidegate.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) }}{{ . | int64 }}{{ else }}{{ . }}{{ end -}}
{{- end -}}

{{/* Variables out of a map NAME: value. */}}
{{- define "tidegate.variables" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ include "tidegate.text" $value | quote }}
{{- end }}
{{- end -}}

{{/* One variable out of a Secret: (list "NAME" "secret" "key" optional). */}}
{{- define "tidegate.secretVariable" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
      {{- if index . 3 }}
      optional: true
      {{- end }}
{{- end -}}

{{- define "tidegate.redisUrl" -}}
{{- if .Values.tryout.redis.enabled -}}
redis://{{ include "tidegate.fullname" . }}-redis:6379
{{- else -}}
{{- .Values.redis.url -}}
{{- end -}}
{{- end -}}

{{- define "tidegate.kafkaBrokers" -}}
{{- if .Values.tryout.kafka.enabled -}}
{{ include "tidegate.fullname" . }}-kafka:9092
{{- else if kindIs "string" .Values.kafka.brokers -}}
{{- .Values.kafka.brokers -}}
{{- else -}}
{{- join "," .Values.kafka.brokers -}}
{{- end -}}
{{- end -}}

{{/* The group whose lag counts: what the option says, else the profile's. */}}
{{- define "tidegate.kafkaGroup" -}}
{{- $known := dict "survey" "websocket-consumers" -}}
{{- .Values.router.config.KAFKA_GROUP_ID | default (get $known .Values.profile) | default "tidegate" -}}
{{- end -}}

{{- define "tidegate.redisEnv" -}}
{{- $redis := .Values.redis -}}
{{- if and $redis.existingSecret (not .Values.tryout.redis.enabled) -}}
{{ include "tidegate.secretVariable" (list "REDIS_URL" $redis.existingSecret $redis.secretKey false) }}
{{- else -}}
- name: REDIS_URL
  value: {{ include "tidegate.redisUrl" . | quote }}
{{- end }}
{{- with $redis.sentinel.user }}
- name: REDIS_SENTINEL_USER
  value: {{ . | quote }}
{{- end }}
{{- with $redis.sentinel.existingSecret }}
{{ include "tidegate.secretVariable" (list "REDIS_SENTINEL_PASSWORD" . $redis.sentinel.passwordKey false) }}
{{- end }}
{{- if $redis.tls.existingSecret }}
- name: REDIS_TLS_CA
  value: /etc/tidegate/redis-tls/ca.crt
{{- if $redis.tls.clientCertificate }}
- name: REDIS_TLS_CERT
  value: /etc/tidegate/redis-tls/tls.crt
- name: REDIS_TLS_KEY
  value: /etc/tidegate/redis-tls/tls.key
{{- end }}
{{- end }}
{{- with $redis.tls.serverName }}
- name: REDIS_TLS_SERVER_NAME
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "tidegate.kafkaEnv" -}}
- name: KAFKA_BROKERS
  value: {{ include "tidegate.kafkaBrokers" . | quote }}
{{- range $name, $value := .Values.kafka.config }}
- name: KAFKA_CONFIG_{{ $name | upper | replace "." "_" }}
  value: {{ include "tidegate.text" $value | quote }}
{{- end }}
{{- with .Values.kafka.sasl.existingSecret }}
{{ include "tidegate.secretVariable" (list "KAFKA_CONFIG_SASL_USERNAME" . $.Values.kafka.sasl.usernameKey false) }}
{{ include "tidegate.secretVariable" (list "KAFKA_CONFIG_SASL_PASSWORD" . $.Values.kafka.sasl.passwordKey false) }}
{{- end }}
{{- if .Values.kafka.tls.existingSecret }}
- name: KAFKA_CONFIG_SSL_CA_LOCATION
  value: /etc/tidegate/kafka-tls/ca.crt
{{- if .Values.kafka.tls.clientCertificate }}
- name: KAFKA_CONFIG_SSL_CERTIFICATE_LOCATION
  value: /etc/tidegate/kafka-tls/tls.crt
- name: KAFKA_CONFIG_SSL_KEY_LOCATION
  value: /etc/tidegate/kafka-tls/tls.key
{{- end }}
{{- end }}
{{- end -}}

{{- define "tidegate.commonEnv" -}}
- name: PROFILE
  value: {{ .Values.profile }}
- name: ENVIRONMENT
  value: {{ .Values.environment }}
{{ include "tidegate.redisEnv" . }}
{{- end -}}

{{- define "tidegate.authSecret" -}}
{{- .Values.auth.existingSecret | default (include "tidegate.fullname" .) -}}
{{- end -}}

{{/* Optional: a gateway without a key says what is missing and ends, which is easier to find than a pod that never starts. */}}
{{- define "tidegate.authEnv" -}}
{{- $secret := include "tidegate.authSecret" . -}}
{{ include "tidegate.secretVariable" (list "JWT_SECRET_KEY" $secret .Values.auth.secretKey true) }}
{{ include "tidegate.secretVariable" (list "API_TOKEN" $secret .Values.auth.apiTokenKey true) }}
{{- end -}}

{{- define "tidegate.gatewayEnv" -}}
{{ include "tidegate.commonEnv" . }}
- name: PORT
  value: {{ .Values.gateway.port | quote }}
- name: WORKERS
  value: {{ .Values.gateway.workers | quote }}
- name: DRAIN_SECONDS
  value: "{{ .Values.gateway.drainSeconds }}s"
{{ include "tidegate.authEnv" . }}
{{- include "tidegate.variables" (merge dict .Values.gateway.config .Values.config) }}
{{- with .Values.gateway.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "tidegate.routerEnv" -}}
{{ include "tidegate.commonEnv" . }}
- name: PORT
  value: {{ .Values.router.port | quote }}
- name: DRAIN_SECONDS
  value: "{{ .Values.router.drainSeconds }}s"
{{ include "tidegate.kafkaEnv" . }}
- name: HOSTNAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- if eq .Values.router.kind "StatefulSet" }}
- name: STATIC_MEMBERSHIP
  value: "1"
{{- end }}
{{- if or .Values.routes .Values.routesExistingConfigMap }}
- name: ROUTES
  value: /etc/tidegate/routes/routes.json
{{- end }}
{{- if .Values.dapr.enabled }}
{{ include "tidegate.daprEnv" . }}
{{- end }}
{{- include "tidegate.variables" (merge dict .Values.router.config .Values.config) }}
{{- with .Values.router.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The environment of one component. Of a variable that is there twice Kubernetes takes the last, and updates mix them up. */}}
{{- define "tidegate.env" -}}
{{- $text := include (printf "tidegate.%sEnv" .component) .root -}}
{{- $seen := dict -}}
{{- range fromYamlArray $text -}}
{{- if hasKey $seen .name -}}
{{- fail (printf "%s would be set twice for the %s: by %s.env or a .config, and by another value of the chart" .name $.component $.component) -}}
{{- end -}}
{{- $_ := set $seen .name true -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{/* Another word in each run of a pod; must stand before the variables and arguments that use it. */}}
{{- define "tidegate.runEnv" -}}
- name: RUN
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
{{- end -}}
