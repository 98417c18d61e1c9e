package heap

import (
	"fmt"
	"strings"

	"shoal/gossip"
)

// Mixed are the sizes of the machines of a mixed fleet, one after the other: small ones at the edge, and some large ones.
var Mixed = []gossip.Room{
	{CPUMillis: 4000, MemoryBytes: 8 << 30},
	{CPUMillis: 2000, MemoryBytes: 4 << 30},
	{CPUMillis: 8000, MemoryBytes: 32 << 30},
	{CPUMillis: 4000, MemoryBytes: 16 << 30},
}

// Size is what one replica of a workload asks for.
type Size struct{ CPUMillis, MemoryMiB int }

// sizes of the workloads of a mixed fleet; on average 145m and 270 MiB.
var sizes = []Size{{100, 64}, {50, 128}, {250, 256}, {100, 512}, {300, 128}, {50, 64}, {200, 1024}, {100, 128}, {100, 256}, {200, 140}}

// plainContainer is a line of a pod's spec.
const plainContainer = `containers: [{name: web, image: "shoal.example/web:1", resources: {requests: {cpu: 100m, memory: 32Mi}}}]`

// Sized is a Deployment of replicas of a size.
func Sized(name string, replicas int, size Size) string {
	return Shaped(name, replicas, nil, fmt.Sprintf(
		`containers: [{name: web, image: "shoal.example/web:1", resources: {requests: {cpu: %dm, memory: %dMi}}}]`, size.CPUMillis, size.MemoryMiB))
}

// Shaped is a Deployment with annotations, KEY=VALUE each, and with these lines as the spec of its pods.
func Shaped(name string, replicas int, annotations []string, spec ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: %s\n", name)
	if len(annotations) > 0 {
		b.WriteString("  annotations:\n")
	}
	for _, annotation := range annotations {
		key, value, _ := strings.Cut(annotation, "=")
		fmt.Fprintf(&b, "    %s: %q\n", key, value)
	}
	fmt.Fprintf(&b, "spec:\n  replicas: %d\n  selector: {matchLabels: {app: %[2]s}}\n  template:\n    metadata: {labels: {app: %[2]s}}\n    spec:\n", replicas, name)
	for _, line := range spec {
		fmt.Fprintf(&b, "      %s\n", line)
	}
	return b.String()
}
