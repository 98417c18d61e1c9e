package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/api"
	"shoal/peer/api/apitest"
	"shoal/peer/control"
)

const (
	historyPath  = "/apis/shoal/v1/history/Deployment/default/web"
	rollbackPath = "/apis/shoal/v1/rollback/Deployment/default/web?fieldManager=shoal-rollback"
	resolvePath  = "/apis/shoal/v1/conflicts/resolve?fieldManager=shoal-resolve"
	scalePath    = deploymentsPath + "/web/scale?fieldManager=shoal-scale"
)

var webKey = crdt.Key{Kind: "Deployment", Namespace: "default", Name: "web"}

func (c *client) scale(n int) {
	c.t.Helper()
	c.must(200, "PATCH", scalePath, "application/merge-patch+json", fmt.Sprintf(`{"spec":{"replicas":%d}}`, n))
}

// into calls and decodes the answer.
func into[T any](c *client, code int, method, path, body string) (answer T, header http.Header) {
	c.t.Helper()
	w := c.do(method, path, "application/json", body)
	if w.Code != code {
		c.t.Fatalf("%s %s: %d, want %d: %s", method, path, w.Code, code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		c.t.Fatal(err)
	}
	return answer, w.Header()
}

func history(c *client) []api.Past {
	list, _ := into[api.List[api.Past]](c, 200, "GET", historyPath, "")
	return list.Items
}

func TestHistorySaysWhoChangedWhat(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	c.must(404, "GET", historyPath, "", "")
	c.apply(webManifest)
	c.user = "alice"
	c.scale(5)
	past := history(c)
	if len(past) != 2 || past[1].Verb != "create" || len(past[1].Changes) < 8 || past[1].User != "root" {
		t.Fatalf("history %+v", past)
	}
	newest := past[0]
	if newest.Number != 1 || newest.Verb != "update" || newest.User != "alice" || newest.Manager != "shoal-scale" || newest.Writer != "p1" || newest.At.IsZero() || newest.Taken.IsZero() {
		t.Errorf("the newest is %+v", newest)
	}
	want := []api.FieldChange{{Path: "spec/replicas", Old: json.RawMessage("3"), New: json.RawMessage("5")}}
	if diff := cmp.Diff(want, newest.Changes); diff != "" {
		t.Error(diff)
	}
	c.must(400, "GET", "/apis/shoal/v1/history/Floor/cluster", "", "")
	c.must(400, "GET", "/apis/shoal/v1/history/Pod/default/web-0", "", "")
	c.must(404, "GET", "/apis/shoal/v1/history/Namespace/nothing", "", "")
}

func TestRollbackWalksTheHistoryBack(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	c.apply(webManifest)
	second := strings.NewReplacer("replicas: 3", "replicas: 4", "web:1", "web:2", "env: [{name: GREETING, value: hello}]", "workingDir: /x").Replace(webManifest)
	c.apply(second)
	c.scale(9)
	first := c.get(deploymentsPath + "/web")

	dry, _ := into[api.Rollback](c, 200, "POST", rollbackPath+"&dryRun=All", `{"to":"3"}`)
	if diff := cmp.Diff(c.get(deploymentsPath+"/web"), first); diff != "" {
		t.Errorf("a dry run changed it: %s", diff)
	}
	done, _ := into[api.Rollback](c, 200, "POST", rollbackPath, `{"to":"3"}`)
	if diff := cmp.Diff(dry, done); diff != "" {
		t.Errorf("the dry run said something else: %s", diff)
	}
	var paths []string
	const web = "spec/template/spec/containers/name=web"
	for _, change := range done.Changes {
		paths = append(paths, change.Path)
	}
	want := []string{"spec/replicas", web + "/env/name=GREETING/name", web + "/env/name=GREETING/value", web + "/image", web + "/workingDir"}
	if diff := cmp.Diff(want, paths); diff != "" || done.Result != "rolled back" || done.To.Verb != "create" {
		t.Errorf("%+v %s", done, diff)
	}
	d := c.get(deploymentsPath + "/web")
	if dig(t, d, "spec.replicas") != 3.0 || dig(t, d, "spec.template.spec.containers.0.image") != "shoal.example/web:1" ||
		dig(t, d, "spec.template.spec.containers.0.env.0.value") != "hello" || dig(t, d, "spec.template.spec.containers.0.workingDir") != nil {
		t.Errorf("it is %v now", d)
	}
	if past := history(c); len(past) != 4 || past[0].Manager != "shoal-rollback" {
		t.Errorf("history %+v", past)
	}
	// What came back belongs to who had set it: applying the first manifest finds nothing to do, the second takes nothing over.
	again := c.do("PATCH", deploymentsPath+"/web?fieldManager=shoal", "application/apply-patch+yaml", webManifest)
	if again.Code != 200 || again.Header().Get(api.HeaderResult) != "unchanged" {
		t.Errorf("applying again: %d %s %s", again.Code, again.Header().Get(api.HeaderResult), again.Body)
	}
	c.must(200, "PATCH", deploymentsPath+"/web?fieldManager=shoal", "application/apply-patch+yaml", second)
}

func TestRollbackTakesBackTheNewestOrAStamp(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	c.must(404, "POST", rollbackPath, "", "")
	c.apply(webManifest)
	c.scale(4)
	c.scale(5)
	into[api.Rollback](c, 200, "POST", rollbackPath, "")
	want(t, c.get(deploymentsPath+"/web"), "spec.replicas", 4.0)
	stamp := history(c)[1].Stamp
	done, _ := into[api.Rollback](c, 200, "POST", rollbackPath, fmt.Sprintf(`{"to":%q}`, stamp))
	want(t, c.get(deploymentsPath+"/web"), "spec.replicas", 5.0)
	if done.To.Stamp != stamp {
		t.Errorf("went to %s, not %s", done.To.Stamp, stamp)
	}
	same, _ := into[api.Rollback](c, 200, "POST", rollbackPath, `{"to":"1"}`)
	if same.Result != "unchanged" || len(same.Changes) != 0 {
		t.Errorf("to what it is: %+v", same)
	}
	for to, code := range map[string]int{"99": 404, "0": 404, "yesterday": 404, stamp[:8]: 400, "00": 404} {
		if w := c.do("POST", rollbackPath, "application/json", fmt.Sprintf(`{"to":%q}`, to)); w.Code != code {
			t.Errorf("to %q: %d, want %d: %s", to, w.Code, code, w.Body)
		}
	}
}

func TestRollbackBringsADeletedObjectBack(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	c.apply(webManifest)
	c.scale(5)
	c.must(200, "DELETE", deploymentsPath+"/web", "", "")
	want(t, c.must(409, "POST", rollbackPath, "", `{"to":"1"}`), "reason", "Conflict")
	done, _ := into[api.Rollback](c, 200, "POST", rollbackPath, "")
	if done.Result != "created" {
		t.Errorf("%+v", done)
	}
	want(t, c.get(deploymentsPath+"/web"), "spec.replicas", 5.0)
	want(t, c.get(deploymentsPath+"/web"), "status.readyReplicas", 5.0)
}

// disagreement makes a conflict about replicas: 1 by root on p1, 2 by alice on p2, the latter later.
func disagreement(t *testing.T) (*client, *apitest.Backend) {
	b := apitest.New("p1")
	c := newClient(t, b, "p1")
	b.AddPeer("p2", gossip.Alive, nil)
	c.apply(webManifest)
	before := b.Seen(webKey)
	c.scale(1)
	b.Rival("p2", webKey, before, crdt.Change{Path: "spec/replicas", Value: []byte("2")})
	return c, b
}

func conflictsOf(c *client) []api.Conflict {
	list, _ := into[api.List[api.Conflict]](c, 200, "GET", "/apis/shoal/v1/conflicts?object=Deployment/default/web", "")
	return list.Items
}

func TestResolveTakesAnyOfTheValues(t *testing.T) {
	for name, request := range map[string]string{
		"winner":  `"take":"winner"`,
		"rival 1": `"take":"1","path":"spec/replicas"`,
		"value":   `"value":7,"path":"spec/replicas"`,
		"nothing": `"value":null`,
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := disagreement(t)
			x := conflictsOf(c)[0]
			expected := map[string]any{"value": 7.0, "nothing": nil}
			for take, claim := range map[string]api.Claim{"winner": x.Winner, "rival 1": x.Rivals[0]} {
				var value any
				if err := json.Unmarshal(claim.Value, &value); err != nil {
					t.Fatal(err)
				}
				expected[take] = value
			}
			c.must(200, "POST", resolvePath, "application/json", `{"object":"Deployment/default/web",`+request+`}`)
			if left := conflictsOf(c); len(left) != 0 {
				t.Errorf("still in conflict: %+v", left)
			}
			d := c.get(deploymentsPath + "/web")
			if got := dig(t, d, "spec.replicas"); got != expected[name] {
				t.Errorf("replicas is %v, want %v", got, expected[name])
			}
			if conditions := dig(t, d, "status.conditions").([]any); len(conditions) != 2 {
				t.Errorf("conditions %v", conditions)
			}
		})
	}
}

func TestAResolvedFieldBelongsToWhoWroteTheValue(t *testing.T) {
	c, _ := disagreement(t)
	number := "winner"
	if x := conflictsOf(c)[0]; x.Winner.User != "alice" {
		number = "1"
	}
	c.must(200, "POST", resolvePath, "", `{"object":"Deployment/default/web","take":"`+number+`"}`)
	part := `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":4}}`
	w := c.must(409, "PATCH", deploymentsPath+"/web?fieldManager=other", "application/apply-patch+yaml", part)
	want(t, w, "details.causes.0.message", `conflict with "shoal" of alice`)
	want(t, w, "details.causes.0.field", ".spec.replicas")
	c.user = "alice"
	c.must(200, "PATCH", deploymentsPath+"/web?fieldManager=shoal", "application/apply-patch+yaml", part)
}

func TestResolveRefusesWhatItsCallerCannotMean(t *testing.T) {
	c, b := disagreement(t)
	seen := []string{}
	for _, claim := range append(conflictsOf(c)[0].Rivals, conflictsOf(c)[0].Winner) {
		seen = append(seen, claim.Stamp)
	}
	before := b.Seen(webKey)
	delete(before, apitest.ID("p2"))
	b.AddPeer("p3", gossip.Alive, nil)
	b.Rival("p3", webKey, before, crdt.Change{Path: "spec/replicas", Value: []byte("6")})
	known, err := json.Marshal(seen)
	if err != nil {
		t.Fatal(err)
	}
	for request, code := range map[string]int{
		`{"object":"Deployment/default/web","take":"winner","seen":` + string(known) + `}`: 409,
		`{"object":"Deployment/default/web","take":"9"}`:                                   400,
		`{"object":"Deployment/default/web","take":"0"}`:                                   400,
		`{"object":"Deployment/default/web","take":"1","value":1}`:                         400,
		`{"object":"Deployment/default/web"}`:                                              400,
		`{"object":"Deployment/default/web","path":"spec/other","take":"winner"}`:          404,
		`{"object":"Deployment/default/other","take":"winner"}`:                            404,
		`{"object":"Floor/cluster","take":"winner"}`:                                       400,
		`{"object":"Deployment/default/web","value":"many"}`:                               422,
	} {
		if w := c.do("POST", resolvePath, "application/json", request); w.Code != code {
			t.Errorf("%s: %d, want %d: %s", request, w.Code, code, w.Body)
		}
	}
	if len(conflictsOf(c)) != 1 {
		t.Error("a refused request settled the conflict")
	}
}

// orphaned deletes web on p1 while alice changes it on p2.
func orphaned(t *testing.T) *client {
	b := apitest.New("p1")
	c := newClient(t, b, "p1")
	b.AddPeer("p2", gossip.Alive, nil)
	c.apply(webManifest)
	before := b.Seen(webKey)
	c.must(200, "DELETE", deploymentsPath+"/web", "", "")
	b.Rival("p2", webKey, before, crdt.Change{Path: "spec/replicas", Value: []byte("2")})
	return c
}

func TestAChangeOfADeletedObjectIsAConflict(t *testing.T) {
	c := orphaned(t)
	list := conflictsOf(c)
	if len(list) != 1 || list[0].Live || list[0].Path != "spec/replicas" || string(list[0].Winner.Value) != "null" || list[0].Winner.User != "root" ||
		list[0].Winner.Writer != "p1" || list[0].Rivals[0].User != "alice" || string(list[0].Rivals[0].Value) != "2" {
		t.Fatalf("conflicts %+v", list)
	}
	c.must(200, "POST", resolvePath, "", `{"object":"Deployment/default/web","take":"winner"}`)
	if left := conflictsOf(c); len(left) != 0 {
		t.Errorf("still in conflict: %+v", left)
	}
	c.must(404, "GET", deploymentsPath+"/web", "", "")

	c = orphaned(t)
	c.must(200, "POST", resolvePath, "", `{"object":"Deployment/default/web","take":"1"}`)
	if left := conflictsOf(c); len(left) != 0 {
		t.Errorf("still in conflict: %+v", left)
	}
	d := c.get(deploymentsPath + "/web")
	want(t, d, "spec.replicas", 2.0)
	want(t, d, "spec.template.spec.containers.0.image", "shoal.example/web:1")
}

func TestAcksAreWaitedForOnEveryWrite(t *testing.T) {
	b := apitest.New("p1")
	c := newClient(t, b, "p1")
	b.AddPeer("p2", gossip.Alive, nil)
	b.AddPeer("p3", gossip.Failed, nil)
	for _, x := range []struct{ method, path, kind, body string }{
		{"PATCH", deploymentsPath + "/web?fieldManager=shoal", "application/apply-patch+yaml", webManifest},
		{"PATCH", deploymentsPath + "/web?fieldManager=shoal", "application/apply-patch+yaml", webManifest}, // unchanged
		{"PATCH", deploymentsPath + "/web?", "application/merge-patch+json", `{"metadata":{"labels":{"a":"1"}}}`},
		{"PATCH", scalePath, "application/merge-patch+json", `{"spec":{"replicas":2}}`},
		{"POST", rollbackPath, "application/json", ""},
		{"DELETE", "/api/v1/namespaces/default/pods/web-0?", "", ""},
		{"DELETE", deploymentsPath + "/web?", "", ""},
	} {
		for n, held := range map[string]string{"1": "1/1", "2": "1/2"} {
			if n == "2" && x.method == "DELETE" && strings.HasSuffix(x.path, "/web?") {
				continue // it is gone
			}
			w := c.do(x.method, x.path+"&acks="+n+"&timeout=5ms", x.kind, x.body)
			if w.Code >= 300 || w.Header().Get(api.HeaderAcks) != held || w.Header().Get(api.HeaderAckedBy) != "p2" {
				t.Errorf("%s %s acks=%s: %d, %q by %q, want %q by p2: %s", x.method, x.path, n, w.Code,
					w.Header().Get(api.HeaderAcks), w.Header().Get(api.HeaderAckedBy), held, w.Body)
			}
			if x.method == "DELETE" {
				break
			}
		}
	}
	for _, query := range []string{"acks=x", "acks=-1", "acks=1&timeout=soon", "acks=1&timeout=48h"} {
		c.must(400, "POST", deploymentsPath+"?"+query, "", webManifest)
	}
	c.must(404, "GET", deploymentsPath+"/web", "", "")
}

func TestAuditAndFloor(t *testing.T) {
	b := apitest.New("p1")
	c := newClient(t, b, "p1")
	b.AddPeer("p2", gossip.Alive, nil)
	b.Blame(control.AuditEntry{Reason: "forged", Subject: "operation", Key: webKey, Writer: apitest.ID("p3"), From: apitest.ID("p2"), Text: "its signature does not hold"})
	audit := c.get("/apis/shoal/v1/audit")
	want(t, audit, "counts.0.reason", "forged")
	want(t, audit, "counts.0.peer", "p2")
	want(t, audit, "counts.0.count", 1.0)
	want(t, audit, "entries.0.object", "Deployment/default/web")
	want(t, audit, "entries.0.from", "p2")
	want(t, audit, "sync.livePeers", 1.0)
	floor := c.get("/apis/shoal/v1/floor")
	if registered := dig(t, floor, "registered").([]any); len(registered) == 0 {
		t.Errorf("nobody is registered: %v", floor)
	}
	if dig(t, floor, "closed") != nil {
		t.Errorf("floor %v", floor)
	}
}

func TestApplyOfTwoUsers(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	c.apply(webManifest)
	c.user = "alice"
	apply := func(code int, force, text string) map[string]any {
		t.Helper()
		return c.must(code, "PATCH", deploymentsPath+"/web?fieldManager=shoal"+force, "application/apply-patch+yaml", text)
	}
	apply(200, "", webManifest) // the same values: both own them
	c.user = "root"
	apply(200, "", strings.Replace(webManifest, "        env: [{name: GREETING, value: hello}]\n", "", 1))
	want(t, c.get(deploymentsPath+"/web"), "spec.template.spec.containers.0.env.0.value", "hello")
	refused := apply(409, "", strings.Replace(webManifest, "web:1", "web:2", 1))
	want(t, refused, "details.causes.0.message", `conflict with "shoal" of alice`)
	want(t, refused, "details.causes.0.field", `.spec.template.spec.containers[name="web"].image`)
	want(t, refused, "message", `Apply failed with 1 conflict: conflict with "shoal" of alice: .spec.template.spec.containers[name="web"].image`)
	apply(200, "&force=true", strings.Replace(webManifest, "web:1", "web:2", 1))
	c.user = "alice"
	apply(200, "", `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"}}`)
	d := c.get(deploymentsPath + "/web")
	want(t, d, "spec.template.spec.containers.0.image", "shoal.example/web:2")
	want(t, d, "spec.template.spec.containers.0.env.0.value", "hello") // root applied it again with the forced manifest
}

func TestADryRunShowsTheObjectAsItWouldBe(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	c.apply(webManifest)
	before := c.get(deploymentsPath + "/web")
	after := c.must(200, "PATCH", deploymentsPath+"/web?fieldManager=shoal&dryRun=All", "application/apply-patch+yaml", strings.Replace(webManifest, "replicas: 3", "replicas: 4", 1))
	want(t, after, "spec.replicas", 4.0)
	before["spec"], after["spec"] = nil, nil
	delete(before["metadata"].(map[string]any), "managedFields") // of what was read alone
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("more than what was asked for would change: %s", diff)
	}
	w := c.must(422, "POST", "/apis/apps/v1/namespaces/nowhere/deployments?dryRun=All", "", webManifest)
	if !strings.Contains(w["message"].(string), `namespace "nowhere" does not exist`) {
		t.Errorf("got %v", w["message"])
	}
}
