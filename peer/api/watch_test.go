package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shoal/peer/api"
	"shoal/peer/api/apitest"
)

// stream is a client that has read everything as soon as it is written.
type stream struct {
	mu     sync.Mutex
	header http.Header
	code   int
	body   bytes.Buffer
}

func (s *stream) Header() http.Header  { return s.header }
func (s *stream) WriteHeader(code int) { s.code = code }
func (s *stream) Flush()               {}
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.body.Write(p)
}

// take returns the events since the last call, one "TYPE name" each.
func (s *stream) take(t *testing.T) []string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var events []string
	for decoder := json.NewDecoder(&s.body); ; {
		var event struct {
			Type   string
			Object struct {
				Metadata struct {
					Name        string
					Annotations map[string]string
				}
				Rows []any
			}
		}
		if decoder.Decode(&event) != nil {
			s.body.Reset()
			return events
		}
		name := event.Object.Metadata.Name
		if event.Object.Rows != nil {
			name = fmt.Sprintf("%d rows", len(event.Object.Rows))
		}
		if event.Object.Metadata.Annotations["k8s.io/initial-events-end"] == "true" {
			name = "end of the beginning"
		}
		events = append(events, event.Type+" "+name)
	}
}

// watch opens a watch; it ends with the test.
func watch(t *testing.T, c *client, path string) *stream {
	ctx, cancel := context.WithCancel(t.Context())
	s := &stream{header: http.Header{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.server.ServeHTTP(s, httptest.NewRequest("GET", path, nil).WithContext(ctx))
	}()
	t.Cleanup(func() { cancel(); <-ended })
	synctest.Wait()
	return s
}

// settle lets a watch send what it has gathered.
func settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

func expect(t *testing.T, s *stream, want ...string) {
	t.Helper()
	if got := s.take(t); strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("events %q, want %q", got, want)
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, apitest.New("p1"), "p1")
		all := watch(t, c, deploymentsPath+"?watch=true&allowWatchBookmarks=true")
		selected := watch(t, c, deploymentsPath+"?watch=1&labelSelector=tier%3Dfront")
		expect(t, all)
		c.apply(webManifest)
		settle()
		expect(t, all, "ADDED web")
		expect(t, selected)
		c.must(200, "PATCH", deploymentsPath+"/web", "application/merge-patch+json", `{"metadata":{"labels":{"tier":"front"}}}`)
		settle()
		expect(t, all, "MODIFIED web")
		expect(t, selected, "ADDED web")
		c.must(200, "PATCH", deploymentsPath+"/web", "application/merge-patch+json", `{"metadata":{"labels":{"tier":"back"}}}`)
		settle()
		expect(t, selected, "DELETED web")
		all.take(t)
		c.must(200, "DELETE", deploymentsPath+"/web", "", "")
		c.must(201, "POST", deploymentsPath, "", webManifest)
		settle()
		expect(t, all, "DELETED web", "ADDED web") // another object of the same name
		time.Sleep(time.Minute)
		synctest.Wait()
		expect(t, all, "BOOKMARK ")
	})
}

func TestWatchFromAVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, apitest.New("p1"), "p1")
		c.apply(webManifest)
		version := dig(t, c.get(deploymentsPath), "metadata.resourceVersion").(string)
		from := deploymentsPath + "?watch=true&resourceVersion="
		quiet := watch(t, c, from+version)
		expect(t, quiet)
		c.must(201, "POST", deploymentsPath, "", strings.Replace(webManifest, "{name: web}", "{name: new}", 1))
		c.must(200, "PATCH", deploymentsPath+"/web", "application/merge-patch+json", `{"spec":{"replicas":1}}`)
		settle()
		expect(t, quiet, "ADDED new", "MODIFIED web")
		expect(t, watch(t, c, from+version), "ADDED new", "MODIFIED web")
		expect(t, watch(t, c, from+version+"&sendInitialEvents=true&allowWatchBookmarks=true"), "ADDED new", "ADDED web", "BOOKMARK end of the beginning")
		c.must(200, "DELETE", deploymentsPath+"/new", "", "")
		c.get(deploymentsPath)
		if s := watch(t, c, from+version); s.code != 410 {
			t.Errorf("a watch from before a deletion got %d", s.code)
		}
		number, _ := strconv.Atoi(version)
		if s := watch(t, c, from+strconv.Itoa(number-1<<32)); s.code != 410 {
			t.Errorf("a version of an earlier life got %d", s.code)
		}
	})
}

func TestWatchEndsAndIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, apitest.New("p1"), "p1")
		for range 256 {
			watch(t, c, deploymentsPath+"?watch=true&timeoutSeconds=60")
		}
		if s := watch(t, c, deploymentsPath+"?watch=true"); s.code != 429 {
			t.Errorf("one watch too many got %d", s.code)
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if s := watch(t, c, deploymentsPath+"?watch=true"); s.code != 200 {
			t.Errorf("after the others ended a watch got %d", s.code)
		}
	})
}

func TestWatchAsTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := apitest.New("p1")
		c := newClient(t, b, "p1")
		c.apply(webManifest)
		ctx, cancel := context.WithCancel(t.Context())
		s := &stream{header: http.Header{}}
		r := httptest.NewRequest("GET", "/api/v1/pods?watch=true", nil).WithContext(ctx)
		r.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
		go api.New(b, api.Info{Self: apitest.ID("p1")}).ServeHTTP(s, r)
		synctest.Wait()
		expect(t, s, "ADDED 1 rows", "ADDED 1 rows", "ADDED 1 rows")
		cancel()
		synctest.Wait()
	})
}
