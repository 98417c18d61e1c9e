package probe

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"shoal/runtime"
)

// addressOf splits a server's address.
func addressOf(t *testing.T, address net.Addr) (netip.Addr, uint16) {
	t.Helper()
	at, err := netip.ParseAddrPort(address.String())
	if err != nil {
		t.Fatal(err)
	}
	return at.Addr(), at.Port()
}

func handler() http.Handler {
	mux := http.NewServeMux()
	for _, code := range []int{200, 204, 302, 399, 400, 404, 500, 503} {
		mux.HandleFunc(fmt.Sprintf("/%d", code), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	redirect := func(path, to string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		})
	}
	redirect("/near", "/503")
	redirect("/far", "http://192.0.2.1:1/") // nothing may be sent there
	redirect("/loop", "/loop")
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 1<<20)) })
	mux.HandleFunc("/header", func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "shop.example" || r.Header.Get("X-Key") != "a" || !strings.HasPrefix(r.UserAgent(), "shoal-probe/") || r.FormValue("q") != "1" {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	return mux
}

func TestHTTP(t *testing.T) {
	for _, scheme := range []string{"", "HTTPS"} {
		server := httptest.NewUnstartedServer(handler())
		if scheme == "" {
			server.Start()
		} else {
			server.StartTLS()
		}
		address, port := addressOf(t, server.Listener.Addr())
		for path, want := range map[string]string{
			"/200": "", "204": "", "/302": "", "/399": "", "/big": "", "/far": "",
			"/400": "HTTP 400", "/404": "HTTP 404", "/500": "HTTP 500", "/503": "HTTP 503", "/nothing": "HTTP 404",
			"/near": "HTTP 503", "/loop": "more than 10 redirects",
			"/hang": "no answer within 200ms", "/cut": "connection closed without an answer",
			"/header?q=1": "",
		} {
			timeout := 10 * time.Second
			if path == "/hang" {
				timeout = 200 * time.Millisecond
			}
			w := &watch{prober: New(nil, nil), target: Target{Address: address}, probe: withDefaults(runtime.Probe{
				Timeout: timeout,
				HTTP: &runtime.HTTPProbe{Path: path, Port: port, Scheme: scheme, Header: []runtime.Env{
					{Name: "host", Value: "shop.example"}, {Name: "X-Key", Value: "a"},
				}},
			})}
			v, ok := w.ask(t.Context())
			if !ok || v.detail != want || v.ok != (want == "") || v.here {
				t.Errorf("%s %s: %+v, want %q", scheme, path, v, want)
			}
		}
		server.Close()
	}
}

func TestTCP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, port := addressOf(t, listener.Addr())
	w := &watch{prober: New(nil, nil), target: Target{Address: address}, probe: withDefaults(runtime.Probe{TCP: &runtime.TCPProbe{Port: port}})}
	if v, _ := w.ask(t.Context()); !v.ok {
		t.Errorf("open port: %+v", v)
	}
	listener.Close()
	if v, _ := w.ask(t.Context()); v.ok || v.detail != "connection refused" || v.here {
		t.Errorf("closed port: %+v", v)
	}
}

func TestReadyWithinAFractionOfASecond(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, port := addressOf(t, listener.Addr())
	listener.Close()
	results := make(chan Result, 10)
	p := New(nil, func(r Result) { results <- r })
	defer p.Close()
	p.Watch(Target{Instance: "a", Generation: 9, Address: address, Readiness: &runtime.Probe{HTTP: &runtime.HTTPProbe{Path: "/200", Port: port}}})
	server := httptest.NewUnstartedServer(handler())
	if server.Listener, err = net.Listen("tcp", netip.AddrPortFrom(address, port).String()); err != nil {
		t.Fatal(err)
	}
	server.Start()
	defer server.Close()
	want := Result{Instance: "a", Generation: 9, OK: true}
	select {
	case got := <-results:
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	case <-time.After(5 * time.Second): // half of the period
		t.Error("not ready")
	}
}

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"exit 1: ":               "exit 1",
		" a\n\tb \x1b[31m c\x00": "a b [31m c",
		"bad \xff utf":           "bad ? utf",
		strings.Repeat("é", 200): strings.Repeat("é", 80) + "…",
	} {
		if got := clean(text); got != want {
			t.Errorf("clean(%q) = %q, want %q", text, got, want)
		}
	}
}
