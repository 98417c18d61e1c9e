package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/api"
	"shoal/peer/api/apitest"
)

// FuzzRequest sends a request of any kind to a peer with one object that is in conflict: it is answered, never with a failure of
// the server's own, and the object can be read afterwards.
func FuzzRequest(f *testing.F) {
	methods := []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	kinds := []string{"", "application/json", "application/yaml", "application/merge-patch+json", "application/strategic-merge-patch+json",
		"application/json-patch+json", "application/apply-patch+yaml"}
	for _, x := range []struct {
		method, kind uint8
		path, body   string
	}{
		{0, 0, "/apis/apps/v1/namespaces/default/deployments?labelSelector=a%20in%20(b)&fieldSelector=metadata.name%3Dweb", ""},
		{0, 0, "/api/v1/pods?watch=true&resourceVersion=1&allowWatchBookmarks=true", ""},
		{1, 2, deploymentsPath + "?dryRun=All", webManifest},
		{2, 1, deploymentsPath + "/web", `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"}}`},
		{3, 3, deploymentsPath + "/web", `{"spec":{"replicas":2}}`},
		{3, 5, deploymentsPath + "/web", `[{"op":"remove","path":"/metadata/managedFields"}]`},
		{3, 6, deploymentsPath + "/web?fieldManager=x&force=true", webManifest},
		{3, 3, deploymentsPath + "/web/scale?acks=1&timeout=1ms", `{"spec":{"replicas":0}}`},
		{4, 1, deploymentsPath + "/web", `{"preconditions":{"uid":"x"}}`},
		{1, 1, "/apis/shoal/v1/conflicts/resolve", `{"object":"Deployment/default/web","take":"1","seen":["1"]}`},
		{1, 1, "/apis/shoal/v1/rollback/Deployment/default/web", `{"to":"1"}`},
		{1, 1, "/apis/shoal/v1/tickets", `{"uses":1,"expires":"1h"}`},
		{1, 1, "/apis/shoal/v1/namespaces/default/pods/web-0/exec", `{"command":["echo"]}`},
		{0, 0, "/api/v1/namespaces/default/pods/web-0/log?tailLines=1&previous=true", ""},
	} {
		f.Add(x.method, x.kind, x.path, x.body)
	}
	f.Fuzz(func(t *testing.T, method, kind uint8, path, body string) {
		if _, err := url.ParseRequestURI(path); err != nil || !strings.HasPrefix(path, "/") {
			return
		}
		b := apitest.New("p1")
		c := &client{t: t, server: api.New(b, api.Info{Self: apitest.ID("p1")}), user: "root"}
		b.AddPeer("p2", gossip.Failed, nil)
		c.apply(webManifest)
		before := b.Seen(webKey)
		c.scale(1)
		b.Rival("p2", webKey, before, crdt.Change{Path: "spec/replicas", Value: []byte("2")})

		ctx, cancel := context.WithTimeout(api.WithUser(context.Background(), "root"), 2*time.Millisecond)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, methods[int(method)%len(methods)], path, strings.NewReader(body))
		if err != nil {
			return
		}
		r.RequestURI, r.Host = path, "peer"
		r.Header.Set("Content-Type", kinds[int(kind)%len(kinds)])
		w := httptest.NewRecorder()
		c.server.ServeHTTP(w, r)
		if w.Code == http.StatusInternalServerError {
			t.Fatalf("%s %s: %s", r.Method, path, w.Body)
		}
		if w.Header().Get("Content-Type") == "application/json" && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%s %s: %d, and no JSON: %s", r.Method, path, w.Code, w.Body)
		}
		if strings.HasPrefix(r.URL.Path, "/apis/shoal/v1/leave") {
			return
		}
		c.get(deploymentsPath)
		c.get("/apis/shoal/v1/conflicts")
	})
}
