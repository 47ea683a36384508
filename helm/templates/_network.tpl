{{/* Rules of NetworkPolicies. */}}

{{- define "tidegate.dnsEgress" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end -}}

{{/* Anywhere, to these ports: where Redis and Kafka are is known by name only, and policies know no names. */}}
{{- define "tidegate.portsEgress" -}}
- ports:
    {{- range . }}
    - port: {{ . }}
    {{- end }}
{{- end -}}
