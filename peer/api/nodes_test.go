package api_test

import (
	"strings"
	"testing"

	"shoal/gossip"
	"shoal/peer/api/apitest"
	"shoal/peer/wire"
)

const (
	nodePath   = "/api/v1/nodes/p2"
	mergePatch = "application/merge-patch+json"
	strategic  = "application/strategic-merge-patch+json"
	applyPatch = "application/apply-patch+yaml"
)

// newNodes has a peer p2 that says of itself that it is in zone a.
func newNodes(t *testing.T) (*client, *apitest.Backend) {
	b := apitest.New("p1")
	b.AddPeer("p2", gossip.Alive, nil)
	b.Observe("p2", wire.Observation{CPUMillis: 4000, Memory: 4 << 30, Labels: map[string]string{"zone": "a", "kubernetes.io/arch": "arm64"}})
	return newClient(t, b, "p1"), b
}

// TestNodesAreLabelledAndTainted does what kubectl label and kubectl taint send.
func TestNodesAreLabelledAndTainted(t *testing.T) {
	c, _ := newNodes(t)
	want(t, c.get(nodePath), "status.nodeInfo.architecture", "arm64")
	o := c.must(201, "PATCH", nodePath, mergePatch, `{"metadata":{"labels":{"disk":"ssd"}}}`)
	want(t, o, "metadata.labels.disk", "ssd")
	want(t, o, "metadata.labels.zone", "a")
	c.must(200, "PATCH", nodePath, strategic, `{"spec":{"taints":[{"key":"a","effect":"NoSchedule"},{"key":"b","value":"x","effect":"NoExecute"}]}}`)
	c.must(200, "PATCH", nodePath, strategic, `{"spec":{"taints":[{"key":"b","value":"x","effect":"NoExecute"}]}}`)
	o = c.get(nodePath)
	if taints := dig(t, o, "spec.taints").([]any); len(taints) != 1 {
		t.Errorf("taints %v", taints)
	}
	want(t, o, "spec.taints.0.value", "x")
	want(t, c.must(200, "PATCH", nodePath, mergePatch, `{"metadata":{"labels":{"zone":"b"}}}`), "metadata.labels.zone", "b")
	want(t, c.must(200, "PATCH", nodePath, mergePatch, `{"metadata":{"labels":{"zone":"a","disk":null}}}`), "metadata.labels.disk", nil)
	w := c.must(400, "PATCH", nodePath, mergePatch, `{"metadata":{"labels":{"kubernetes.io/arch":null}}}`)
	if text := dig(t, w, "message").(string); !strings.Contains(text, "the label kubernetes.io/arch is the peer's own") {
		t.Error(text)
	}
	w = c.must(422, "PATCH", nodePath, strategic, `{"spec":{"taints":[{"key":"a","effect":"Never"}]}}`)
	want(t, w, "details.causes.0.field", "spec.taints[0].effect")
}

// TestNodesKeepWhatIsThePeersOwn: what is sent back unchanged is not taken for something that a user wants.
func TestNodesKeepWhatIsThePeersOwn(t *testing.T) {
	c, b := newNodes(t)
	c.must(201, "PATCH", nodePath, mergePatch, `{"metadata":{"labels":{"disk":"ssd"}}}`)
	b.Observe("p2", wire.Observation{CPUMillis: 4000, Memory: 4 << 30, Labels: map[string]string{"zone": "c"}})
	o := c.get(nodePath)
	want(t, o, "metadata.labels.zone", "c")
	want(t, o, "metadata.labels.disk", "ssd")
	c.must(200, "DELETE", nodePath, "", "")
	o = c.get(nodePath)
	want(t, o, "metadata.labels.zone", "c")
	want(t, o, "metadata.labels.disk", nil)
	c.must(403, "DELETE", nodePath, "", "")
	c.must(409, "POST", "/api/v1/nodes", "application/yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: p2}\n")
	const put = "apiVersion: v1\nkind: Node\nmetadata: {name: p2, labels: {zone: c, kubernetes.io/hostname: p2}}\nspec: {unschedulable: true}\n"
	c.must(201, "PUT", nodePath, "application/yaml", put)
	b.Observe("p2", wire.Observation{CPUMillis: 4000, Memory: 4 << 30, Labels: map[string]string{"zone": "d"}})
	o = c.get(nodePath)
	want(t, o, "metadata.labels.zone", "d")
	want(t, o, "spec.unschedulable", true)
}

// TestUncordonEndsADrain: kubectl knows nothing of the annotation.
func TestUncordonEndsADrain(t *testing.T) {
	c, _ := newNodes(t)
	c.must(201, "PATCH", nodePath, mergePatch, `{"metadata":{"annotations":{"shoal/drain":"true"}},"spec":{"unschedulable":true}}`)
	o := c.get(nodePath)
	want(t, o, "spec.unschedulable", true)
	want(t, o, "metadata.annotations.shoal/drain", "true")
	c.must(200, "PATCH", nodePath, strategic, `{"spec":{"unschedulable":null}}`)
	o = c.get(nodePath)
	want(t, o, "spec.unschedulable", nil)
	want(t, o, "metadata.annotations.shoal/drain", nil)
}

// TestNodeOfNoPeer: what is said of a peer that has not joined yet is kept for it, and can be seen and taken back.
func TestNodeOfNoPeer(t *testing.T) {
	c, b := newNodes(t)
	const path = "/api/v1/nodes/p9"
	c.must(201, "PATCH", path+"?fieldManager=shoal", applyPatch, "apiVersion: v1\nkind: Node\nmetadata: {name: p9, labels: {zone: x}}\n")
	want(t, c.get(path), "status.conditions.0.reason", "NoSuchPeer")
	b.AddPeer("p9", gossip.Alive, nil)
	o := c.get(path)
	want(t, o, "status.conditions.0.reason", "Alive")
	want(t, o, "metadata.labels.zone", "x")
	w := c.do("GET", "/api/v1/nodes", "", "")
	if strings.Count(w.Body.String(), `"kind":"Node"`) != 3 {
		t.Errorf("nodes: %s", w.Body)
	}
}
