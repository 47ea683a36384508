{{/* What the pods of gateways and routers have in common. */}}

{{/* Annotations that change with what pods read only at their start, so that an update reaches them. */}}
{{- define "tidegate.checksums" -}}
{{- $root := .root -}}
{{- if eq .component "gateway" }}
checksum/secret: {{ toJson $root.Values.auth | sha256sum }}
{{- else }}
checksum/routes: {{ toJson $root.Values.routes | sha256sum }}
{{- end }}
{{- end -}}

{{- define "tidegate.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Where pods go and as whom they run. */}}
{{- define "tidegate.podSpec" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .component -}}
serviceAccountName: {{ include "tidegate.serviceAccountName" $root }}
automountServiceAccountToken: false
# A Service that happens to be called kafka-config would set KAFKA_CONFIG_PORT, which is an option.
enableServiceLinks: false
{{- include "tidegate.pullSecrets" $root }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- include "tidegate.topologySpread" . }}
{{- end -}}

{{/* Pods of one version are spread: counted together with those they replace, the new ones would stand where the old ones do
     not, and crowded once these are gone. Kubernetes before 1.27 knows no matchLabelKeys and drops them. */}}
{{- define "tidegate.topologySpread" -}}
{{- $values := index .root.Values .component -}}
{{- $spread := $values.topologySpread -}}
{{- $version := eq ($values.kind | default "Deployment") "StatefulSet" | ternary "controller-revision-hash" "pod-template-hash" -}}
{{- if or $spread.node $spread.zone }}
topologySpreadConstraints:
  {{- range $key, $rule := dict "kubernetes.io/hostname" $spread.node "topology.kubernetes.io/zone" $spread.zone }}
  {{- if $rule }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $rule }}
    labelSelector:
      matchLabels:
        {{- include "tidegate.selector" $ | nindent 8 }}
    matchLabelKeys: [{{ $version }}]
  {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "tidegate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Started when it answers at all, alive while its loop turns, ready while events flow through it. Redis or Kafka being
     away is not cured by a restart: liveness does not ask for them. */}}
{{- define "tidegate.probes" -}}
startupProbe:
  httpGet:
    path: /health
    port: http
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet:
    path: /health
    port: http
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet:
    path: /ready
    port: http
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end -}}

{{/* Certificates: mounts, then volumes. */}}
{{- define "tidegate.tlsMounts" -}}
{{- if .root.Values.redis.tls.existingSecret }}
- name: redis-tls
  mountPath: /etc/tidegate/redis-tls
  readOnly: true
{{- end }}
{{- if and .root.Values.kafka.tls.existingSecret (eq .component "router") }}
- name: kafka-tls
  mountPath: /etc/tidegate/kafka-tls
  readOnly: true
{{- end }}
{{- end -}}

{{- define "tidegate.tlsVolumes" -}}
{{- with .root.Values.redis.tls.existingSecret }}
- name: redis-tls
  secret:
    secretName: {{ . }}
{{- end }}
{{- if eq .component "router" }}
{{- with .root.Values.kafka.tls.existingSecret }}
- name: kafka-tls
  secret:
    secretName: {{ . }}
{{- end }}
{{- end }}
{{- end -}}
