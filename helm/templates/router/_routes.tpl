{{/* The ConfigMap with routes, and where a router finds it. */}}
{{- define "tidegate.routesConfigMap" -}}
{{- .Values.routesExistingConfigMap | default (printf "%s-routes" (include "tidegate.fullname" .)) -}}
{{- end -}}

{{- define "tidegate.routerMounts" -}}
{{- if or .root.Values.routes .root.Values.routesExistingConfigMap }}
- name: routes
  mountPath: /etc/tidegate/routes
  readOnly: true
{{- end }}
{{- include "tidegate.tlsMounts" . }}
{{- end -}}

{{- define "tidegate.routerVolumes" -}}
{{- if or .root.Values.routes .root.Values.routesExistingConfigMap }}
- name: routes
  configMap:
    name: {{ include "tidegate.routesConfigMap" .root }}
{{- end }}
{{- include "tidegate.tlsVolumes" . }}
{{- end -}}
