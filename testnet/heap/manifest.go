package heap

import "fmt"

// Manifest is a Deployment with a readiness probe, as a user would write it.
func Manifest(name string, replicas int, color string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers:
        - name: web
          image: shoal.example/web:1
          env: [{name: COLOR, value: %[3]s}]
          readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
          resources: {requests: {cpu: 100m, memory: 32Mi}}
`, name, replicas, color)
}

// colorPath is the field that the color is in.
const colorPath = "spec/template/spec/containers/name=web/env/name=COLOR/value"
