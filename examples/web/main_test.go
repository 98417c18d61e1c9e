package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func get(s *site, path string) (status int, body string) {
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	return answer.Code, answer.Body.String()
}

func TestAnswers(t *testing.T) {
	s := newSite("h", "green")
	for _, step := range []struct {
		path   string
		status int
		body   string
	}{
		{"/", 200, "host=h color=green request=1\n"},
		{"/", 200, "host=h color=green request=2\n"},
		{"/healthz", 200, "ok\n"},
		{"/nothing", 404, ""},
		{"/exit?code=256", 400, ""},
		{"/exit?code=-1", 400, ""},
		{"/exit?code=x", 400, ""},
		{"/slow?for=x", 400, ""},
		{"/slow?for=2m", 400, ""},
		{"/slow?for=0s", 200, "host=h color=green request=3\n"},
	} {
		status, body := get(s, step.path)
		if status != step.status || step.body != "" && body != step.body {
			t.Errorf("%s: %d %q, want %d %q", step.path, status, body, step.status, step.body)
		}
	}
	s.draining.Store(true)
	if status, _ := get(s, "/healthz"); status != 503 {
		t.Errorf("/healthz while draining: %d, want 503", status)
	}
}

func TestSickStaysSick(t *testing.T) {
	s := newSite("h", "")
	get(s, "/sick")
	for range 2 {
		if status, _ := get(s, "/healthz"); status != 500 {
			t.Errorf("/healthz: %d, want 500", status)
		}
	}
}

func TestCheck(t *testing.T) {
	server := httptest.NewServer(newSite("h", ""))
	defer server.Close()
	for path, want := range map[string]int{"/healthz": 0, "/nothing": 1} {
		if got := check(server.URL + path); got != want {
			t.Errorf("check of %s ended with %d, want %d", path, got, want)
		}
	}
	server.Close()
	if got := check(server.URL + "/healthz"); got != 1 {
		t.Errorf("check of a closed server ended with %d, want 1", got)
	}
}

func TestSlowWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := time.Now()
		if status, _ := get(newSite("h", ""), "/slow"); status != 200 || time.Since(before) != 2*time.Second {
			t.Errorf("%d after %s, want 200 after 2s", status, time.Since(before))
		}
	})
}

// start runs the server on a free port and waits until it answers.
func start(t *testing.T, ctx context.Context) (address string, code chan int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = listener.Addr().String()
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	code = make(chan int, 1)
	go func() { code <- run(ctx, strconv.Itoa(port), "red") }()
	for range 1000 {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return address, code
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the server does not listen")
	return
}

func TestExitEndsWithTheCodeAskedFor(t *testing.T) {
	address, code := start(t, t.Context())
	answer, err := http.Get("http://" + address + "/exit?code=7")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if got := <-code; got != 7 {
		t.Errorf("ended with %d, want 7", got)
	}
}

func TestTheToldEndLetsRequestsFinish(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	address, code := start(t, ctx)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("GET /slow?for=300ms HTTP/1.0\r\n\r\nx")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // the request is under way: nothing outside shows it
	cancel()
	if got := <-code; got != 0 {
		t.Errorf("ended with %d, want 0", got)
	}
	answer := make([]byte, 1024)
	n, err := conn.Read(answer)
	if err != nil || !strings.Contains(string(answer[:n]), "200 OK") {
		t.Errorf("the request under way got %q, %v", answer[:n], err)
	}
}
