{{/* What a schema cannot say: two values that do not go together. Each names both. */}}
{{- define "tidegate.checkReplicas" -}}
{{- $a := (index .root.Values .component).autoscaling -}}
{{- if gt (int64 $a.minReplicas) (int64 $a.maxReplicas) -}}
{{- fail (printf "%s.autoscaling.maxReplicas (%d) is below %s.autoscaling.minReplicas (%d)" .component (int64 $a.maxReplicas) .component (int64 $a.minReplicas)) -}}
{{- end -}}
{{- end -}}

{{- define "tidegate.checkTargets" -}}
{{- $a := .Values.gateway.autoscaling -}}
{{- if not (or $a.targetCPU $a.targetConnections) -}}
{{- fail "gateway.autoscaling has nothing to aim at: gateway.autoscaling.targetCPU or gateway.autoscaling.targetConnections must be above 0" -}}
{{- end -}}
{{- end -}}

{{/* Time that a gateway has from being told to go until it is killed: preStop, drain, and time to end. */}}
{{- define "tidegate.gatewayGrace" -}}
{{- $g := .Values.gateway -}}
{{- $needed := add $g.preStopSeconds $g.drainSeconds -}}
{{- $grace := int64 ($g.terminationGraceSeconds | default (add $needed 10)) -}}
{{- if le $grace $needed -}}
{{- fail (printf "gateway.terminationGraceSeconds (%d) must be above gateway.preStopSeconds + gateway.drainSeconds (%d), or clients are cut off instead of told to go" $grace $needed) -}}
{{- end -}}
{{- $grace -}}
{{- end -}}
