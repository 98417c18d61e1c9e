package api_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"shoal/peer/api"
	"shoal/peer/api/apitest"
)

// written starts a server that holds the example, and returns it with the path at which to write.
func written(b *testing.B) (http.Handler, string) {
	b.Helper()
	manifest, err := os.ReadFile("../../examples/web.yaml")
	if err != nil {
		b.Fatal(err)
	}
	server := api.New(apitest.New("p1"), api.Info{Self: apitest.ID("p1")})
	path := "/apis/apps/v1/namespaces/default/deployments/web?fieldManager=bench"
	r := httptest.NewRequest("PATCH", path, strings.NewReader(string(manifest)))
	r.Header.Set("Content-Type", "application/apply-patch+yaml")
	w := httptest.NewRecorder()
	if server.ServeHTTP(w, r); w.Code >= 300 {
		b.Fatal(w.Code, w.Body)
	}
	return server, path
}

func markPatch(i int) io.Reader {
	return strings.NewReader(fmt.Sprintf(`{"metadata":{"annotations":{"example.com/mark":"%d"}}}`, i))
}

// BenchmarkPatch is the CPU that one small write costs, without the disk and the socket.
func BenchmarkPatch(b *testing.B) {
	server, path := written(b)
	b.ResetTimer()
	for i := range b.N {
		r := httptest.NewRequest("PATCH", path, markPatch(i))
		r.Header.Set("Content-Type", "application/merge-patch+json")
		w := httptest.NewRecorder()
		if server.ServeHTTP(w, r); w.Code >= 300 {
			b.Fatal(w.Code, w.Body)
		}
	}
}

// BenchmarkPatchOverSocket is the same as a whole request over a unix socket, on a connection that is kept, and on a new one each time.
func BenchmarkPatchOverSocket(b *testing.B) {
	server, path := written(b)
	socket := b.TempDir() + "/s"
	listener, err := net.Listen("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	over := httptest.NewUnstartedServer(server)
	over.Listener, over.Config.ConnContext = listener, api.ConnContext
	over.Start()
	defer over.Close()
	for name, each := range map[string]bool{"kept": false, "new": true} {
		b.Run(name, func(b *testing.B) {
			transport := &http.Transport{DisableKeepAlives: each, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", socket)
			}}
			defer transport.CloseIdleConnections()
			for i := range b.N {
				r, err := http.NewRequest("PATCH", "http://p1"+path, markPatch(b.N+i))
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/merge-patch+json")
				answer, err := transport.RoundTrip(r)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					b.Fatal(answer.Status)
				}
			}
		})
	}
}
