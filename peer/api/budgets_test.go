package api_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shoal/peer/api"
	"shoal/peer/api/apitest"
	"shoal/peer/control"
)

const (
	budgetsPath = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
	evictPath   = "/api/v1/namespaces/default/pods/web-0/eviction"
	eviction    = `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"web-0","namespace":"default"}}`
)

func budget(c *client, spec string) {
	c.must(201, "POST", budgetsPath, "application/yaml", "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web}\nspec: "+spec+"\n")
}

func TestEvictionRespectsBudgets(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	c.apply(webManifest)
	budget(c, "{maxUnavailable: 1, selector: {matchLabels: {app: web}}}")
	b := c.get(budgetsPath + "/web")
	want(t, b, "status.expectedPods", 3.0)
	want(t, b, "status.currentHealthy", 3.0)
	want(t, b, "status.disruptionsAllowed", 1.0)
	before := dig(t, c.get("/api/v1/namespaces/default/pods/web-0"), "metadata.uid")
	c.must(201, "POST", evictPath, "application/json", strings.Replace(eviction, `"metadata"`, `"deleteOptions":{"dryRun":["All"]},"metadata"`, 1))
	want(t, c.get("/api/v1/namespaces/default/pods/web-0"), "metadata.uid", before)
	c.must(201, "POST", evictPath, "application/json", eviction)
	if after := dig(t, c.get("/api/v1/namespaces/default/pods/web-0"), "metadata.uid"); after == before {
		t.Error("the replica is the same as before")
	}
	c.must(200, "DELETE", budgetsPath+"/web", "", "")
	budget(c, "{maxUnavailable: 0, selector: {}}")
	w := c.must(429, "POST", evictPath, "application/json", eviction)
	want(t, w, "details.causes.0.reason", "DisruptionBudget")
	want(t, w, "details.causes.0.message", "the disruption budget web allows none now: 3 of 3 replicas are ready, and 3 must stay so")
	c.must(404, "POST", strings.Replace(evictPath, "web-0", "web-7", 1), "application/json", eviction)
	c.must(400, "POST", evictPath, "application/json", `{"kind":"Pod"}`)
}

// TestEvictedCountsAsAway until its replacement is ready, whatever of it still runs.
func TestEvictedCountsAsAway(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	c.apply(strings.Replace(webManifest, "web:1", "web:1", 1))
	budget(c, "{minAvailable: 2, selector: {matchLabels: {app: web}}}")
	c.apply(strings.Replace(webManifest, "web:1", "slow:2", 1)) // from here on no new instance gets ready
	want(t, c.get(budgetsPath+"/web"), "status.disruptionsAllowed", 1.0)
	c.must(201, "POST", evictPath, "application/json", eviction)
	want(t, c.get(budgetsPath+"/web"), "status.disruptionsAllowed", 0.0)
	c.must(201, "POST", evictPath, "application/json", eviction) // it is on its way already
	c.must(429, "POST", strings.Replace(evictPath, "web-0", "web-1", 1), "application/json", eviction)
}

func TestPriorityClasses(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	const path = "/apis/scheduling.k8s.io/v1/priorityclasses"
	c.must(201, "POST", path, "application/yaml", "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: high}\nvalue: 1000\n")
	want(t, c.get(path+"/high"), "value", 1000.0)
	want(t, c.get(path+"/system-node-critical"), "value", 2000001000.0)
	c.must(403, "DELETE", path+"/system-node-critical", "", "")
	c.must(422, "PATCH", path+"/high", mergePatch, `{"value":2000000000}`)
}

func TestGroupsAreFound(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	for path, text := range map[string]string{
		"/apis": `"scheduling.k8s.io/v1"`, "/apis/policy/v1": `"poddisruptionbudgets"`, "/apis/policy": `"poddisruptionbudgets"`, "/apis/apps/v1": `"daemonsets"`,
		"/api/v1": `"pods/eviction"`, "/openapi/v3": `apis/policy/v1`, "/openapi/v3/apis/policy/v1": `"PodDisruptionBudget"`, "/openapi/v3/api/v1": `"Node"`,
	} {
		if w := c.do("GET", path, "", ""); w.Code != 200 || !strings.Contains(w.Body.String(), text) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for _, path := range []string{"/apis/policy/v2/x", "/apis/policy/v1/pods", "/apis/apps/v1/nodes", "/openapi/v3/apis/other/v1"} {
		if w := c.do("GET", path, "", ""); w.Code != 404 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	r := httptest.NewRequest("GET", budgetsPath, nil)
	r.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	budget(c, "{maxUnavailable: 0, selector: {}}")
	w := httptest.NewRecorder()
	c.server.ServeHTTP(w, r)
	if !strings.Contains(w.Body.String(), `"cells":["web","N/A","0",0,`) {
		t.Error(w.Body)
	}
}

// slowWriter is a backend whose writes wait until all else in the bubble waits too.
type slowWriter struct {
	*apitest.Backend
	slow atomic.Bool
}

func (b *slowWriter) Write(ctx context.Context, w control.Write) (control.Reply, error) {
	if b.slow.Load() {
		time.Sleep(time.Millisecond)
	}
	return b.Backend.Write(ctx, w)
}

// TestEvictionsAtOnce: of several at the same moment each counts those before it, also where it has looked long before these are written.
func TestEvictionsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := &slowWriter{Backend: apitest.New("p1")}
		c := &client{t: t, server: api.New(backend, api.Info{Version: "test", Self: apitest.ID("p1")}), user: "root"}
		c.apply(webManifest)
		budget(c, "{maxUnavailable: 1, selector: {matchLabels: {app: web}}}")
		c.apply(strings.Replace(webManifest, "web:1", "slow:2", 1)) // from here on no new instance gets ready
		time.Sleep(time.Second)                                     // what is asked for is newer than what runs
		backend.slow.Store(true)
		codes := make(chan int)
		for _, name := range []string{"web-0", "web-1", "web-2"} {
			go func() {
				codes <- c.do("POST", strings.Replace(evictPath, "web-0", name, 1), "application/json", eviction).Code
			}()
		}
		count := map[int]int{}
		for range 3 {
			count[<-codes]++
		}
		if count[201] != 1 || count[429] != 2 {
			t.Errorf("answers %v", count)
		}
	})
}

// TestEvictionWaitsForThePlan: where planning again waits its turn, as in every large cluster, an eviction is answered when it is planned, so that
// the next one counts it; and after a second anyway.
func TestEvictionWaitsForThePlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := apitest.New("p1")
		c := &client{t: t, server: api.New(backend, api.Info{Version: "test", Self: apitest.ID("p1")}), user: "root"}
		many := strings.NewReplacer("replicas: 3", "replicas: 150", "100m", "1m", "32Mi", "1Mi").Replace(webManifest)
		c.apply(many)
		budget(c, "{maxUnavailable: 1, selector: {matchLabels: {app: web}}}")
		backend.Advance(time.Second)
		c.apply(strings.Replace(many, "web:1", "slow:2", 1)) // from here on no new instance gets ready
		backend.Advance(time.Second)
		time.Sleep(time.Second) // what is asked for is newer than what runs
		began, codes := time.Now(), make(chan int, 1)
		evict := func(name string) {
			codes <- c.do("POST", strings.Replace(evictPath, "web-0", name, 1), "application/json", eviction).Code
		}
		c.apply(strings.Replace(many, "web:1", "slow:3", 1)) // planned at once, so that the next plan is not
		go evict("web-0")
		synctest.Wait()
		if len(codes) > 0 {
			t.Fatalf("answered %d before it was planned", <-codes)
		}
		backend.Advance(time.Second)
		if code := <-codes; code != 201 || time.Since(began) > 0 {
			t.Fatalf("answered %d after %v", code, time.Since(began))
		}
		if evict("web-1"); <-codes != 429 {
			t.Error("the next eviction does not count the one before")
		}
		c.must(200, "DELETE", budgetsPath+"/web", "", "")
		if evict("web-2"); <-codes != 201 || time.Since(began) != time.Second {
			t.Errorf("without a plan answered after %v", time.Since(began))
		}
	})
}
