package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"shoal/peer/api"
	"shoal/peer/api/apitest"
)

const watched = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":1,
	"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},
	"spec":{"containers":[{"name":"web","image":"web:1"}]}}}}`

// TestGetWatch follows a list until the peer goes away.
func TestGetWatch(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: api.New(apitest.New("p1"), api.Info{Self: apitest.ID("p1")})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	shoal := func(stdin string, stdout, stderr io.Writer, args ...string) int {
		return run(args, strings.NewReader(stdin), stdout, stderr, func(name string) string {
			return map[string]string{"SHOAL_SOCKET": socket}[name]
		})
	}
	apply := func(text string) {
		t.Helper()
		var out bytes.Buffer
		if code := shoal(text, &out, &out, "apply", "-f", "-"); code != exitOK {
			t.Fatalf("apply: %d %s", code, &out)
		}
	}
	apply(watched)

	reader, writer := io.Pipe()
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		code := shoal("", writer, &stderr, "get", "deployments", "-w")
		writer.Close()
		ended <- code
	}()
	lines := bufio.NewScanner(reader)
	line := func(want string) {
		t.Helper()
		if !lines.Scan() || strings.Join(strings.Fields(lines.Text()), " ") != want {
			t.Errorf("line %q, want %q", lines.Text(), want)
		}
	}
	line("NAME READY UP-TO-DATE AVAILABLE AGE")
	lines.Scan()
	apply(strings.Replace(watched, `"replicas":1`, `"replicas":2`, 1))
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "web    2/2     2") {
		t.Errorf("line %q", lines.Text())
	}
	server.Close()
	<-served
	if code := <-ended; code != exitUnreachable || !strings.Contains(stderr.String(), "is it still running?") {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
}
