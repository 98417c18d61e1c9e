package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/api"
	"shoal/peer/api/apitest"
)

// conditionOf returns a condition of an object; nil if it does not have it.
func conditionOf(t *testing.T, o map[string]any, kind string) map[string]any {
	t.Helper()
	for _, item := range dig(t, o, "status.conditions").([]any) {
		if c := item.(map[string]any); c["type"] == kind {
			return c
		}
	}
	return nil
}

// TestAnObjectInvalidAfterAMergeSaysSo merges two writes that are valid each: a request is raised here, a limit lowered there.
func TestAnObjectInvalidAfterAMergeSaysSo(t *testing.T) {
	b := apitest.New("p1")
	c := newClient(t, b, "p1")
	b.AddPeer("p2", gossip.Failed, nil) // writes, and runs nothing
	b.Advance(time.Minute)
	c.apply(webManifest)
	before := b.Seen(webKey)
	raised := strings.Replace(webManifest, "cpu: 100m", "cpu: 300m", 1)
	c.apply(raised)
	const limit = "spec/template/spec/containers/name=web/resources/limits/cpu"
	b.Rival("p2", webKey, before, crdt.Change{Path: limit, Value: []byte(`"200m"`)})

	d := c.get(deploymentsPath + "/web")
	invalid := conditionOf(t, d, "Invalid")
	const why = "it stays as it last was when it was valid: spec.template.spec.containers[0].resources.limits.cpu: 200m is below the request of 300m"
	if invalid == nil || invalid["status"] != "True" || invalid["reason"] != "HeldAtLastValidForm" || invalid["message"] != why {
		t.Errorf("the condition is %v", invalid)
	}
	want(t, d, "spec.template.spec.containers.0.resources.limits.cpu", "200m") // what was written is shown, what runs is the form before
	want(t, d, "status.readyReplicas", 3.0)
	if conflicts := conflictsOf(c); len(conflicts) != 0 {
		t.Errorf("nobody wrote one field twice, and yet: %+v", conflicts)
	}
	w := c.must(422, "PATCH", scalePath, "application/merge-patch+json", `{"spec":{"replicas":5}}`)
	if text := w["message"].(string); !strings.Contains(text, "200m is below the request of 300m") {
		t.Errorf("a write that leaves it invalid is refused by %q", text)
	}

	c.must(200, "PATCH", deploymentsPath+"/web", "application/strategic-merge-patch+json",
		`{"spec":{"template":{"spec":{"containers":[{"name":"web","resources":{"limits":{"cpu":"400m"}}}]}}}}`)
	b.Advance(time.Minute)
	d = c.get(deploymentsPath + "/web")
	if still := conditionOf(t, d, "Invalid"); still != nil {
		t.Errorf("corrected, and still %v", still)
	}
	want(t, d, "status.updatedReplicas", 3.0)
	c.scale(5)
	want(t, c.get(deploymentsPath+"/web"), "status.readyReplicas", 5.0)
}

// TestANamespaceInvalidAfterAMergeSaysSo checks the condition on a kind that runs nothing.
func TestANamespaceInvalidAfterAMergeSaysSo(t *testing.T) {
	b := apitest.New("p1")
	c := newClient(t, b, "p1")
	b.AddPeer("p2", gossip.Failed, nil) // writes, and runs nothing
	b.Advance(time.Minute)
	c.must(201, "POST", "/api/v1/namespaces", "", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}`)
	key := crdt.Key{Kind: "Namespace", Name: "shop"}
	b.Rival("p2", key, b.Seen(key), crdt.Change{Path: "metadata/labels/team", Value: []byte(`"not a label"`)})
	shop := c.get("/api/v1/namespaces/shop")
	want(t, shop, "status.phase", "Active")
	if invalid := conditionOf(t, shop, "Invalid"); invalid == nil {
		t.Errorf("it says nothing: %v", shop)
	}
}

func TestAFullDiskRefusesWritesAndGoesOnReading(t *testing.T) {
	b := apitest.New("p1")
	c := newClient(t, b, "p1")
	c.apply(webManifest)
	c.scale(4)
	c.scale(3)
	b.Full(true)
	for _, x := range []struct{ method, path, kind, body string }{
		{"POST", deploymentsPath, "", strings.Replace(webManifest, "{name: web}", "{name: other}", 1)},
		{"PUT", deploymentsPath + "/web", "application/yaml", strings.Replace(webManifest, "replicas: 3", "replicas: 2", 1)},
		{"PATCH", deploymentsPath + "/web?fieldManager=shoal&force=true", "application/apply-patch+yaml", strings.Replace(webManifest, "replicas: 3", "replicas: 2", 1)},
		{"PATCH", scalePath, "application/merge-patch+json", `{"spec":{"replicas":2}}`},
		{"POST", rollbackPath, "", ""},
		{"DELETE", "/api/v1/namespaces/default/pods/web-0", "", ""},
		{"DELETE", deploymentsPath + "/web", "", ""},
		{"POST", "/apis/shoal/v1/tickets", "", `{"uses":1}`},
	} {
		w := c.do(x.method, x.path, x.kind, x.body)
		var status api.Status
		if err := json.Unmarshal(w.Body.Bytes(), &status); err != nil {
			t.Errorf("%s %s: no Status: %s", x.method, x.path, w.Body)
			continue
		}
		if w.Code != http.StatusInsufficientStorage || status.Reason != "InsufficientStorage" || !strings.Contains(status.Message, "the disk of this peer is full") {
			t.Errorf("%s %s: %d %+v", x.method, x.path, w.Code, status)
		}
	}
	d := c.get(deploymentsPath + "/web")
	want(t, d, "spec.replicas", 3.0)
	want(t, d, "status.readyReplicas", 3.0)
	for _, path := range []string{"/api/v1/pods", historyPath, "/apis/shoal/v1/conflicts", "/apis/shoal/v1/members", "/apis/shoal/v1/audit"} {
		c.get(path)
	}
	c.must(200, "PATCH", scalePath, "application/merge-patch+json", `{"spec":{"replicas":3}}`) // nothing to write
	c.must(200, "PATCH", scalePath+"&dryRun=All", "application/merge-patch+json", `{"spec":{"replicas":2}}`)
	b.Full(false)
	c.scale(2)
}

// TestWhatWasSetAsideIsNamed makes the code fail on one object and on one replica (P13).
func TestWhatWasSetAsideIsNamed(t *testing.T) {
	b := apitest.New("p1")
	c := newClient(t, b, "p1")
	c.apply(webManifest)
	b.Trip("read", webKey.String())
	w := c.must(422, "PATCH", scalePath, "application/merge-patch+json", `{"spec":{"replicas":5}}`)
	if text := w["message"].(string); !strings.Contains(text, "set aside, because reading it failed: index out of range") {
		t.Errorf("a write that makes the code fail is refused by %q", text)
	}
	b.AddPeer("p2", gossip.Failed, nil) // writes, and runs nothing
	b.Advance(time.Minute)
	b.Rival("p2", webKey, b.Seen(webKey), crdt.Change{Path: "spec/replicas", Value: []byte("4")})
	d := c.get(deploymentsPath + "/web")
	invalid := conditionOf(t, d, "Invalid")
	if invalid == nil || !strings.Contains(invalid["message"].(string), "index out of range") {
		t.Errorf("the condition is %v", invalid)
	}
	want(t, d, "status.readyReplicas", 3.0)
	audit := c.get("/apis/shoal/v1/audit")
	want(t, audit, "aside.0.object", "Deployment/default/web")
	want(t, audit, "aside.0.site", "read")
	want(t, audit, "counts.0.reason", "panic")

	other := strings.ReplaceAll(webManifest, "name: web", "name: other")
	b.Trip("act", "default/other-1")
	c.must(201, "POST", deploymentsPath, "", other)
	b.Advance(time.Minute)
	want(t, c.get(deploymentsPath+"/other"), "status.readyReplicas", 2.0)
	audit = c.get("/apis/shoal/v1/audit")
	want(t, audit, "aside.1.subject", "Deployment/default/web")
	want(t, audit, "aside.0.subject", "replica default/other-1")
}
