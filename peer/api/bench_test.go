package api_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"shoal/peer/api"
	"shoal/peer/api/apitest"
)

// BenchmarkPatch is the CPU that one small write costs, without the disk and the socket.
func BenchmarkPatch(b *testing.B) {
	manifest, err := os.ReadFile("../../examples/web.yaml")
	if err != nil {
		b.Fatal(err)
	}
	server := api.New(apitest.New("p1"), api.Info{Self: apitest.ID("p1")})
	patch := func(contentType, body string) {
		r := httptest.NewRequest("PATCH", "/apis/apps/v1/namespaces/default/deployments/web?fieldManager=bench", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		if server.ServeHTTP(w, r); w.Code >= 300 {
			b.Fatal(w.Code, w.Body)
		}
	}
	patch("application/apply-patch+yaml", string(manifest))
	b.ResetTimer()
	for i := range b.N {
		patch("application/merge-patch+json", fmt.Sprintf(`{"metadata":{"annotations":{"example.com/mark":"%d"}}}`, i))
	}
}
