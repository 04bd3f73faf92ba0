{{- define "codesession.labels" -}}
app.kubernetes.io/name: codesession
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* Takes (list $ "component"). */}}
{{- define "codesession.selector" -}}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- /* Takes (list $ "component"): a metadata block of the release's namespace. */}}
{{- define "codesession.metadata" -}}
{{- $root := index . 0 -}}
name: {{ $root.Release.Name }}-{{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "codesession.labels" $root | nindent 2 }}
  app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "codesession.serviceAccount" -}}
system:serviceaccount:{{ (index . 0).Release.Namespace }}:{{ (index . 0).Release.Name }}-{{ index . 1 }}
{{- end }}

{{- define "codesession.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "codesession.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "codesession.pullSecrets" -}}
{{- with .Values.imagePullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "codesession.placement" -}}
{{- with .nodeSelector -}}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- end }}

{{- /* "true", or nothing. */}}
{{- define "codesession.takesKeys" -}}
{{- $ways := splitList "," .Values.auth.mode -}}
{{- if or (has "api-key" $ways) (has "basic" $ways) (has "path-key" $ways) }}true{{ end -}}
{{- end }}

{{- /* "true", or nothing. */}}
{{- define "codesession.takesTokens" -}}
{{- if has "jwt" (splitList "," .Values.auth.mode) }}true{{ end -}}
{{- end }}

{{- /* The source of the volume with the public keys. */}}
{{- define "codesession.jwtKeys" -}}
{{- with .Values.auth.jwt -}}
{{- if .existingSecret -}}
secret: {secretName: {{ .existingSecret }}}
{{- else if .existingConfigMap -}}
configMap: {name: {{ .existingConfigMap }}}
{{- else if .publicKeys -}}
configMap: {name: {{ $.Release.Name }}-jwt-keys}
{{- else -}}
{{ fail "auth.jwt.publicKeys, existingConfigMap or existingSecret is needed when auth.mode names jwt" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "codesession.keysSecret" -}}
{{ .Values.auth.existingSecret | default (printf "%s-api-keys" .Release.Name) }}
{{- end }}

{{- define "codesession.s3Secret" -}}
{{- if .Values.minio.enabled -}}
{{ .Values.minio.existingSecret | default (printf "%s-minio" .Release.Name) }}
{{- else -}}
{{ required "s3.existingSecret: a Secret with access-key and secret-key is needed when minio.enabled is false" .Values.s3.existingSecret }}
{{- end }}
{{- end }}

{{- define "codesession.s3Endpoint" -}}
{{- if .Values.minio.enabled -}}
{{ .Release.Name }}-minio.{{ .Release.Namespace }}.svc:9000
{{- else -}}
{{ required "s3.endpoint is needed when minio.enabled is false" .Values.s3.endpoint }}
{{- end }}
{{- end }}

{{- define "codesession.s3Secure" -}}
{{ and .Values.s3.secure (not .Values.minio.enabled) }}
{{- end }}

{{- /* Of a Secret made before, so that an upgrade keeps what was generated; else new. Takes (list $ "secret" "item"). */}}
{{- define "codesession.kept" -}}
{{- $root := index . 0 -}}
{{- $made := lookup "v1" "Secret" $root.Release.Namespace (index . 1) -}}
{{- dig "data" (index . 2) (randAlphaNum 40 | b64enc) ($made | default dict) -}}
{{- end }}

{{- /* Takes keys by tenant: the file that the API reads. */}}
{{- define "codesession.hashed" -}}
{{- range $tenant, $key := . -}}
{{ $tenant }}:{{ sha256sum $key }}
{{ end }}
{{- end }}

{{- /* Takes (list "PREFIX_" settings): environment variables. Numbers come from YAML as floats. */}}
{{- define "codesession.settings" -}}
{{- $prefix := index . 0 -}}
{{- range $name, $value := index . 1 -}}
{{- if kindIs "slice" $value }}{{ $value = join "," $value }}{{ end -}}
{{- if kindIs "float64" $value }}{{ if eq $value (floor $value) }}{{ $value = int64 $value }}{{ end }}{{ end -}}
- {name: {{ $prefix }}{{ upper $name }}, value: {{ $value | quote }}}
{{ end }}
{{- end }}

{{- /* Part of a policy's matchConstraints. */}}
{{- define "codesession.inSandboxes" -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ .Values.sandboxNamespace.name }}
{{- end }}

{{- /* A policy's matchConditions: nothing where nobody is exempt. */}}
{{- define "codesession.unlessExempt" -}}
{{- with .Values.admissionPolicy -}}
{{- if or .exemptUsers .exemptGroups -}}
matchConditions:
  - name: not-exempt
    expression: >-
      !(request.userInfo.username in {{ toJson .exemptUsers | replace "\"" "'" }}) &&
      !request.userInfo.groups.exists(g, g in {{ toJson .exemptGroups | replace "\"" "'" }})
{{- end }}
{{- end }}
{{- end }}

{{- /* JSON: what the environments that the API uses offer, of each the most; an environment itself holds its own limits. */}}
{{- define "codesession.offered" -}}
{{- $most := dict "runSeconds" 1 "outputBytes" 65536 "files" 1 -}}
{{- $languages := list -}}
{{- range $name := prepend (values .Values.api.tenantEnvironments | sortAlpha) .Values.api.environment | uniq -}}
{{- $spec := get $.Values.environments $name | required (printf "api.environment, api.tenantEnvironments: there is no environments.%s" $name) -}}
{{- range $limit, $default := dict "runSeconds" 120 "outputBytes" 1048576 "files" 1000 -}}
{{- $_ := set $most $limit (max (get $most $limit | int64) (dig "limits" $limit $default $spec | int64)) -}}
{{- end -}}
{{- $languages = concat $languages ($spec.languages | default (list "py" "bash")) | uniq -}}
{{- end -}}
{{- set $most "languages" $languages | toJson -}}
{{- end }}
