{{/* How many pods: (dict "root" $ "component" "gateway" "kind" "Deployment"). An autoscaler decides for itself, so nothing is
     said then. But where the release before this one said something, its silence would be read as 1, and all gateways but one
     would drain until the autoscaler speaks: such a workload, known by its annotation, goes on with what it has. */}}
{{- define "tidegate.replicas" -}}
{{- $values := index .root.Values .component -}}
{{- if not $values.autoscaling.enabled -}}
{{- $values.replicas -}}
{{- else -}}
{{- $live := lookup "apps/v1" .kind .root.Release.Namespace (printf "%s-%s" (include "tidegate.fullname" .root) .component) -}}
{{- if dig "metadata" "annotations" "tidegate/replicas" "" $live -}}
{{- max 1 (int64 (dig "spec" "replicas" 1 $live)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
