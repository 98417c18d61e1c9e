package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/user"
	"strings"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/api"
	"shoal/peer/api/apitest"
	"shoal/peer/wire"
)

const deploymentsPath = "/apis/apps/v1/namespaces/default/deployments"

const webManifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: shoal.example/web:1
        env: [{name: GREETING, value: hello}]
        resources: {requests: {cpu: 100m, memory: 32Mi}}
        readinessProbe: {httpGet: {path: /, port: 80}}
`

// client calls a server in this process.
type client struct {
	t      *testing.T
	server http.Handler
	user   string
}

func newClient(t *testing.T, b *apitest.Backend, name string) *client {
	return &client{t: t, server: api.New(b, api.Info{Version: "test", Self: apitest.ID(name)}), user: "root"}
}

func (c *client) do(method, path, kind, body string) *httptest.ResponseRecorder {
	c.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	w := httptest.NewRecorder()
	c.server.ServeHTTP(w, r.WithContext(api.WithUser(r.Context(), c.user)))
	return w
}

// must calls, checks the code, and returns the answer as JSON.
func (c *client) must(code int, method, path, kind, body string) map[string]any {
	c.t.Helper()
	w := c.do(method, path, kind, body)
	if w.Code != code {
		c.t.Fatalf("%s %s: %d, want %d: %s", method, path, w.Code, code, w.Body)
	}
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		c.t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
	}
	return answer
}

func (c *client) get(path string) map[string]any {
	c.t.Helper()
	return c.must(200, "GET", path, "", "")
}

func (c *client) apply(text string) map[string]any {
	c.t.Helper()
	w := c.do("PATCH", deploymentsPath+"/web?fieldManager=shoal&force=true", "application/apply-patch+yaml", text)
	if w.Code != 200 && w.Code != 201 {
		c.t.Fatalf("apply: %d %s", w.Code, w.Body)
	}
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		c.t.Fatal(err)
	}
	return answer
}

// dig returns the value at a path like "spec.replicas" or "items.0.metadata.name".
func dig(t *testing.T, value any, path string) any {
	t.Helper()
	for _, part := range strings.Split(path, ".") {
		switch at := value.(type) {
		case map[string]any:
			value = at[part]
		case []any:
			i := int(part[0] - '0')
			if i >= len(at) {
				t.Fatalf("no %s in %v", path, value)
			}
			value = at[i]
		default:
			t.Fatalf("no %s: %v at %s", path, value, part)
		}
	}
	return value
}

func want(t *testing.T, o any, path string, expected any) {
	t.Helper()
	if got := dig(t, o, path); got != expected {
		t.Errorf("%s is %#v, want %#v", path, got, expected)
	}
}

func TestApplyRunsReplicas(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	made := c.apply(webManifest)
	want(t, made, "metadata.namespace", "default")
	d := c.get(deploymentsPath + "/web")
	want(t, d, "status.readyReplicas", 3.0)
	want(t, d, "status.conditions.0.type", "Available")
	want(t, d, "status.conditions.1.reason", "NewReplicaSetAvailable")
	pods := c.get("/api/v1/namespaces/default/pods?labelSelector=app%3Dweb")
	if n := len(pods["items"].([]any)); n != 3 {
		t.Fatalf("%d pods", n)
	}
	want(t, pods, "items.0.metadata.name", "web-0")
	want(t, pods, "items.0.spec.nodeName", "p1")
	want(t, pods, "items.0.status.phase", "Running")
	want(t, pods, "items.0.status.containerStatuses.0.ready", true)
	want(t, pods, "items.0.metadata.ownerReferences.0.uid", dig(t, d, "metadata.uid"))
	if again := c.apply(webManifest); dig(t, again, "metadata.resourceVersion") != dig(t, d, "metadata.resourceVersion") {
		t.Error("applying the same again changed the object")
	}
}

func TestApplyOwnsItsFields(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	c.apply(webManifest)
	c.must(200, "PATCH", deploymentsPath+"/web/scale", "application/merge-patch+json", `{"spec":{"replicas":5}}`)
	c.apply(strings.Replace(webManifest, "  replicas: 3\n", "", 1))
	want(t, c.get(deploymentsPath+"/web"), "spec.replicas", 5.0)
	w := c.must(409, "PATCH", deploymentsPath+"/web?fieldManager=shoal", "application/apply-patch+yaml", webManifest)
	want(t, w, "details.causes.0.reason", "FieldManagerConflict")
	c.apply(webManifest)
	want(t, c.get(deploymentsPath+"/web"), "spec.replicas", 3.0)
	c.apply(strings.Replace(webManifest, "        env: [{name: GREETING, value: hello}]\n", "", 1))
	if env := dig(t, c.get(deploymentsPath+"/web"), "spec.template.spec.containers.0.env"); env != nil {
		t.Errorf("env is still %v", env)
	}
}

func TestApplyOfAPart(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	const part = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","labels":{"tier":"front"}}}`
	path := deploymentsPath + "/web?fieldManager=other"
	w := c.must(422, "PATCH", path, "application/apply-patch+yaml", part)
	want(t, w, "details.causes.0.field", "spec")
	c.apply(webManifest)
	c.must(200, "PATCH", path, "application/apply-patch+yaml", part)
	want(t, c.apply(webManifest), "metadata.labels.tier", "front")
	c.must(200, "PATCH", path, "application/apply-patch+yaml", `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"}}`)
	if labels := dig(t, c.get(deploymentsPath+"/web"), "metadata.labels"); labels != nil {
		t.Errorf("labels are still %v", labels)
	}
}

func TestCreateReplacePatchDelete(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	made := c.must(201, "POST", deploymentsPath, "application/yaml", webManifest)
	want(t, c.must(409, "POST", deploymentsPath, "application/yaml", webManifest), "reason", "AlreadyExists")
	body := strings.Replace(webManifest, "{name: web}", `{name: web, resourceVersion: "1"}`, 1)
	want(t, c.must(409, "PUT", deploymentsPath+"/web", "application/yaml", body), "reason", "Conflict")
	version := dig(t, c.get(deploymentsPath+"/web"), "metadata.resourceVersion").(string)
	body = strings.Replace(webManifest, "{name: web}", `{name: web, resourceVersion: "`+version+`"}`, 1)
	c.must(200, "PUT", deploymentsPath+"/web", "application/yaml", strings.Replace(body, "replicas: 3", "replicas: 2", 1))
	for kind, patch := range map[string]string{
		"application/merge-patch+json":           `{"metadata":{"labels":{"a":"1"}}}`,
		"application/strategic-merge-patch+json": `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"shoal.example/web:2"}]}}}}`,
		"application/json-patch+json":            `[{"op":"replace","path":"/spec/replicas","value":4}]`,
	} {
		c.must(200, "PATCH", deploymentsPath+"/web", kind, patch)
	}
	d := c.get(deploymentsPath + "/web")
	want(t, d, "metadata.labels.a", "1")
	want(t, d, "spec.replicas", 4.0)
	want(t, d, "spec.template.spec.containers.0.image", "shoal.example/web:2")
	want(t, d, "spec.template.spec.containers.0.env.0.value", "hello")
	want(t, d, "metadata.uid", dig(t, made, "metadata.uid"))
	c.must(409, "DELETE", deploymentsPath+"/web", "", `{"preconditions":{"uid":"other"}}`)
	want(t, c.must(200, "DELETE", deploymentsPath+"/web", "", ""), "status", "Success")
	want(t, c.must(404, "GET", deploymentsPath+"/web", "", ""), "details.name", "web")
	c.must(404, "DELETE", deploymentsPath+"/web", "", "")
	if n := len(c.get("/api/v1/pods")["items"].([]any)); n != 0 {
		t.Errorf("%d pods are left", n)
	}
	again := c.must(201, "POST", deploymentsPath, "application/yaml", webManifest)
	if dig(t, again, "metadata.uid") == dig(t, made, "metadata.uid") {
		t.Error("the new object has the uid of the old one")
	}
}

func TestRefusals(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	c.apply(webManifest)
	for _, x := range []struct {
		code               int
		method, path, kind string
		body, text         string
	}{
		{422, "POST", deploymentsPath, "", strings.NewReplacer("image: s", "imagee: s", "replicas: 3", "replicas: -1").Replace(webManifest), `spec.replicas: must be at least 0, not -1; spec.template.spec.containers[0].imagee: unknown field "imagee": did you mean "image"?`},
		{400, "POST", deploymentsPath, "", strings.Replace(webManifest, "{name: web}", "{name: web, namespace: other}", 1), `the object's namespace is "other"`},
		{400, "PUT", deploymentsPath + "/other", "", webManifest, `the object's name is "web"`},
		{400, "PATCH", deploymentsPath + "/web", "application/apply-patch+yaml", webManifest, "needs a fieldManager"},
		{415, "PATCH", deploymentsPath + "/web", "application/xml", "{}", "is not a patch"},
		{415, "POST", deploymentsPath, "application/vnd.kubernetes.protobuf", "k8s", "not as protobuf"},
		{400, "PATCH", deploymentsPath + "/web", "application/merge-patch+json", "{", "not JSON"},
		{422, "PATCH", deploymentsPath + "/web", "application/merge-patch+json", `{"spec":{"replicas":"x"}}`, "must be a whole number"},
		{400, "PATCH", deploymentsPath + "/web", "application/json-patch+json", `[{"op":"remove","path":"/x"}]`, "there is no x"},
		{422, "PATCH", deploymentsPath + "/web/scale", "application/merge-patch+json", `{"spec":{"replicas":10001}}`, "from 0 to 10000"},
		{405, "POST", "/api/v1/namespaces/default/pods", "", "{}", "create a Deployment instead"},
		{403, "DELETE", "/api/v1/nodes/p1", "", "", "to remove the peer, run 'shoal leave' on it"},
		{403, "DELETE", "/api/v1/namespaces/default", "", "", "always exists"},
		{404, "DELETE", "/api/v1/namespaces/default/pods/web-9", "", "", "not found"},
		{400, "GET", "/api/v1/pods?fieldSelector=spec.x%3D1", "", "", "is not supported for pods"},
		{400, "GET", "/api/v1/pods?labelSelector=a%20b", "", "", "is not understood"},
		{404, "GET", "/api/v1/secrets", "", "", "does not have"},
		{404, "GET", "/apis/apps/v2/deployments", "", "", "nothing at"},
		{404, "GET", "/nowhere", "", "", "nothing at"},
		{410, "GET", deploymentsPath + "?resourceVersion=99999999999999", "", "", "list again"},
		{410, "GET", deploymentsPath + "?watch=true&resourceVersion=99999999999999", "", "", "list again"},
		{413, "POST", deploymentsPath, "", strings.Repeat(" ", 5<<20), "larger than 4 MiB"},
		{422, "POST", "/apis/apps/v1/namespaces/nowhere/deployments", "", webManifest, "does not exist"},
		{400, "POST", "/apis/shoal/v1/tickets", "", `{"uses":0}`, "uses must be"},
		{400, "POST", "/apis/shoal/v1/tickets", "", `{"expires":"soon"}`, "not a span"},
		{400, "POST", "/apis/shoal/v1/namespaces/default/pods/web-0/exec", "", `{}`, "a command is needed"},
		{400, "GET", "/api/v1/namespaces/default/pods/web-0/log?container=x", "", "", "has no container"},
		{404, "GET", "/apis/shoal/v1/why/default/web-9", "", "", "there is no replica"},
		{422, "POST", "/apis/shoal/v1/images", "", "", "the archive is empty"},
	} {
		w := c.do(x.method, x.path, x.kind, x.body)
		var status api.Status
		if err := json.Unmarshal(w.Body.Bytes(), &status); err != nil {
			t.Errorf("%s %s: no Status: %s", x.method, x.path, w.Body)
			continue
		}
		if w.Code != x.code || status.Code != x.code || status.Status != "Failure" || !strings.Contains(status.Message, x.text) {
			t.Errorf("%s %s: %d %q, want %d %q", x.method, x.path, w.Code, status.Message, x.code, x.text)
		}
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	want(t, c.must(201, "POST", deploymentsPath+"?dryRun=All", "", webManifest), "spec.replicas", 3.0)
	c.must(404, "GET", deploymentsPath+"/web", "", "")
	c.apply(webManifest)
	c.must(200, "PATCH", deploymentsPath+"/web?dryRun=All", "application/merge-patch+json", `{"spec":{"replicas":7}}`)
	c.must(200, "DELETE", deploymentsPath+"/web?dryRun=All", "", "")
	want(t, c.get(deploymentsPath+"/web"), "spec.replicas", 3.0)
}

func TestDeletingAPodReplacesItsReplica(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	c.apply(webManifest)
	before := c.get("/api/v1/namespaces/default/pods/web-1")
	other := c.get("/api/v1/namespaces/default/pods/web-2")
	c.must(200, "DELETE", "/api/v1/namespaces/default/pods/web-1", "", "")
	after := c.get("/api/v1/namespaces/default/pods/web-1")
	if dig(t, before, "metadata.uid") == dig(t, after, "metadata.uid") {
		t.Error("web-1 was not replaced")
	}
	want(t, after, "status.containerStatuses.0.ready", true)
	want(t, c.get("/api/v1/namespaces/default/pods/web-2"), "metadata.uid", dig(t, other, "metadata.uid"))
}

func TestPodsSayWhatIsWrong(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	for image, word := range map[string]string{"missing": "Pending", "crash": "CrashLoopBackOff", "slow": "Running"} {
		text := strings.NewReplacer("web:1", image+":1", "{name: web}", "{name: "+image+"}", "replicas: 3", "replicas: 1").Replace(webManifest)
		c.must(201, "POST", deploymentsPath, "", text)
		r := httptest.NewRequest("GET", "/api/v1/namespaces/default/pods/"+image+"-0", nil)
		r.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")
		w := httptest.NewRecorder()
		c.server.ServeHTTP(w, r)
		var table any
		if err := json.Unmarshal(w.Body.Bytes(), &table); err != nil {
			t.Fatal(err)
		}
		want(t, table, "kind", "Table")
		want(t, table, "rows.0.cells.2", word)
		if message := dig(t, table, "rows.0.cells.8"); message == "" {
			t.Errorf("%s: nothing says why it is not ready", image)
		}
	}
}

func TestNamespaces(t *testing.T) {
	c := newClient(t, apitest.New("p1"), "p1")
	c.must(201, "POST", "/api/v1/namespaces", "", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}`)
	c.must(201, "POST", "/apis/apps/v1/namespaces/shop/deployments", "", webManifest)
	list := c.get("/api/v1/namespaces")
	want(t, list, "items.0.metadata.name", "default")
	want(t, list, "items.1.metadata.name", "shop")
	c.must(200, "DELETE", "/api/v1/namespaces/shop", "", "")
	c.must(404, "GET", "/apis/apps/v1/namespaces/shop/deployments/web", "", "")
	c.must(404, "GET", "/api/v1/namespaces/shop", "", "")
}

func TestNodesAndWhoseViewItIs(t *testing.T) {
	b := apitest.New("p1")
	c := newClient(t, b, "p1")
	b.AddPeer("p2", gossip.Alive, nil)
	b.AddPeer("p3", gossip.Failed, nil)
	w := c.do("GET", "/api/v1/nodes", "", "")
	if w.Header().Get(api.HeaderPeer) != "p1" || w.Header().Get(api.HeaderMembers) != "2/3" {
		t.Errorf("signed %v", w.Header())
	}
	var list any
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	want(t, list, "items.1.metadata.name", "p2")
	want(t, list, "items.1.status.conditions.0.status", "True")
	want(t, list, "items.2.status.conditions.0.status", "Unknown")
	want(t, list, "items.1.status.conditions.1.reason", "Good")
	want(t, list, "items.1.status.allocatable.cpu", "4000m")
}

func TestOwnGroup(t *testing.T) {
	b := apitest.New("p1")
	c := newClient(t, b, "p1")
	b.AddPeer("p2", gossip.Alive, nil)
	c.apply(webManifest)
	members := c.get("/apis/shoal/v1/members")
	want(t, members, "items.0.name", "p1")
	want(t, members, "items.0.self", true)
	want(t, members, "items.1.state", "alive")
	why := c.get("/apis/shoal/v1/why/default/web-0")
	want(t, why, "replica", "default/web-0")
	if len(why["verdicts"].([]any)) != 2 {
		t.Errorf("verdicts %v", why["verdicts"])
	}
	view := c.get("/apis/shoal/v1/view")
	want(t, view, "peer", "p1")
	if digest := view["intentDigest"].(string); len(digest) != 64 || len(view["replicas"].([]any)) != 3 {
		t.Errorf("view %v", view)
	}
	if len(c.get("/apis/shoal/v1/events")["items"].([]any)) == 0 || len(c.get("/api/v1/events")["items"].([]any)) == 0 {
		t.Error("no events")
	}
	c.must(201, "POST", "/apis/shoal/v1/images?name=a%3A1", "", "archive")
	want(t, c.get("/apis/shoal/v1/images"), "items.0.reference", "a:1")
	ticket := c.must(201, "POST", "/apis/shoal/v1/tickets", "", `{"uses":2,"expires":"10m"}`)
	want(t, ticket, "uses", 2.0)
	c.must(200, "POST", "/apis/shoal/v1/leave", "", `{"within":"1s"}`)
	c.must(503, "GET", "/readyz", "", "")
}

func TestConflictsAreListedAndSettled(t *testing.T) {
	b := apitest.New("p1")
	c := newClient(t, b, "p1")
	b.AddPeer("p2", gossip.Alive, nil)
	c.apply(webManifest)
	key := crdt.Key{Kind: "Deployment", Namespace: "default", Name: "web"}
	before := b.Seen(key)
	c.must(200, "PATCH", deploymentsPath+"/web/scale", "application/merge-patch+json", `{"spec":{"replicas":1}}`)
	b.Rival("p2", key, before, crdt.Change{Path: "spec/replicas", Value: []byte("2")})
	list := c.get("/apis/shoal/v1/conflicts")
	want(t, list, "items.0.object", "Deployment/default/web")
	want(t, list, "items.0.path", "spec/replicas")
	values := map[any]string{}
	for _, claim := range []string{"items.0.winner", "items.0.rivals.0"} {
		values[dig(t, list, claim+".value")] = dig(t, list, claim+".writer").(string) + " " + dig(t, list, claim+".user").(string)
	}
	if values[1.0] != "p1 root" || values[2.0] != "p2 alice" {
		t.Errorf("claims %v", values)
	}
	conditions := dig(t, c.get(deploymentsPath+"/web"), "status.conditions").([]any)
	want(t, conditions[2], "type", "Conflicted")
	c.must(200, "PATCH", deploymentsPath+"/web/scale", "application/merge-patch+json", `{"spec":{"replicas":2}}`)
	if left := c.get("/apis/shoal/v1/conflicts")["items"].([]any); len(left) != 0 {
		t.Errorf("still in conflict: %v", left)
	}
}

func TestLogsAndExec(t *testing.T) {
	b := apitest.New("p1")
	c := newClient(t, b, "p1")
	c.apply(webManifest)
	log := "/api/v1/namespaces/default/pods/web-0/log"
	if got := c.do("GET", log+"?tailLines=2", "", "").Body.String(); !strings.HasPrefix(got, "two\ndefault.web-0.") {
		t.Errorf("log %q", got)
	}
	if got := c.do("GET", log+"?previous=true", "", "").Body.String(); got != "before\n" {
		t.Errorf("previous log %q", got)
	}
	answer := c.must(200, "POST", "/apis/shoal/v1/namespaces/default/pods/web-0/exec", "", `{"command":["echo","hi"]}`)
	want(t, answer, "output", "aGkK")
}

// TestLogsFromAnotherPeer reads, at p1, what a container on p2 said.
func TestLogsFromAnotherPeer(t *testing.T) {
	far := apitest.New("p2")
	remote := httptest.NewServer(api.Remote(far, api.Info{Self: apitest.ID("p2")}))
	defer remote.Close()
	newClient(t, far, "p2").apply(webManifest)
	instance := newClient(t, far, "p2").get("/apis/shoal/v1/replicas")
	id := dig(t, instance, "items.0.instances.0.id").(string)

	near := apitest.New("p1")
	c := newClient(t, near, "p1")
	near.AddPeer("p2", gossip.Alive, func() (net.Conn, error) { return net.Dial("tcp", remote.Listener.Addr().String()) })
	near.Observe("p2", wire.Observation{CPUMillis: 4000, Memory: 4 << 30, Instances: []wire.Instance{{
		ID: id, Replica: "default/web-0", Workload: "Deployment/default/web", Revision: strings.Split(id, ".")[2], State: "Running", Ready: true,
		Since: time.Now().UnixMilli(), Containers: []wire.Container{{Name: "web", Ready: true}}}}})
	got := c.do("GET", "/api/v1/namespaces/default/pods/web-0/log?tailLines=1", "", "")
	if got.Code != 200 || got.Body.String() != id+"/web on p2\n" {
		t.Errorf("%d %q", got.Code, got.Body)
	}
	answer := c.must(200, "POST", "/apis/shoal/v1/namespaces/default/pods/web-0/exec", "", `{"command":["echo","hi"]}`)
	want(t, answer, "output", "aGkK")
	remote.Close()
	want(t, c.must(502, "GET", "/api/v1/namespaces/default/pods/web-0/log", "", ""), "reason", "PeerUnreachable")
}

func TestRemoteServesNothingElse(t *testing.T) {
	w := httptest.NewRecorder()
	api.Remote(apitest.New("p1"), api.Info{}).ServeHTTP(w, httptest.NewRequest("GET", deploymentsPath, nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("got %d", w.Code)
	}
}

func TestUserOfAUnixSocket(t *testing.T) {
	users := make(chan string, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { users <- api.User(r.Context()) }))
	path := t.TempDir() + "/s"
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server.Listener = listener
	server.Config.ConnContext = api.ConnContext
	server.Start()
	defer server.Close()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	r, err := transport.RoundTrip(httptest.NewRequest("GET", "http://x/", nil))
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if got := <-users; got != me.Username {
		t.Errorf("user %q, want %q", got, me.Username)
	}
}
