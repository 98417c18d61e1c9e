// Web is the small server that the examples, the demo and the tests run in containers.
//
// It listens on $PORT (8080 when unset) and answers
//
//	/             one line: which host, which COLOR, the how manieth request
//	/healthz      200 while it takes requests, 503 once it was told to end
//	/exit?code=N  "bye", and then it ends with that exit code
//	/slow?for=D   like /, after a while (2s when unset, at most 1m)
//	/sick         "sick", and from then on /healthz answers 500
//
// Each request is one line on standard output. SIGTERM makes it unready, lets requests under way finish
// for at most 10 seconds, and ends it with 0.
//
// "web -check URL" is not a server: it asks URL once and ends with 0 when the answer is 200 to 399. It is for
// probes in an image that has no other program.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// drainFor bounds how long requests under way may take once the server was told to end.
const drainFor = 10 * time.Second

func main() {
	if len(os.Args) == 3 && os.Args[1] == "-check" {
		os.Exit(check(os.Args[2]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(run(ctx, os.Getenv("PORT"), os.Getenv("COLOR")))
}

// run serves until ctx ends or someone asks for /exit, and returns the exit code.
func run(ctx context.Context, port, color string) int {
	if port == "" {
		port = "8080"
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	site := newSite(host, color)
	server := &http.Server{Addr: ":" + port, Handler: site, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	fmt.Printf("listening on %s as %s, color %q\n", server.Addr, host, color)

	code := 0
	select {
	case err := <-failed:
		fmt.Fprintln(os.Stderr, err)
		return 1
	case code = <-site.exit:
		fmt.Printf("asked to end with %d\n", code)
	case <-ctx.Done():
		fmt.Println("told to end: draining")
	}
	site.draining.Store(true)
	within, cancel := context.WithTimeout(context.Background(), drainFor)
	defer cancel()
	if err := server.Shutdown(within); err != nil {
		fmt.Fprintln(os.Stderr, "requests were cut off:", err)
	}
	return code
}

// check asks a URL once.
func check(url string) int {
	client := &http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 399 {
		fmt.Fprintln(os.Stderr, answer.Status)
		return 1
	}
	return 0
}

// site answers requests.
type site struct {
	http.ServeMux
	host, color string
	served      atomic.Int64
	draining    atomic.Bool
	sick        atomic.Bool
	exit        chan int
}

func newSite(host, color string) *site {
	s := &site{host: host, color: color, exit: make(chan int, 1)}
	s.HandleFunc("/{$}", s.hello)
	s.HandleFunc("/healthz", s.health)
	s.HandleFunc("/exit", s.end)
	s.HandleFunc("/slow", s.slow)
	s.HandleFunc("/sick", s.fall)
	return s
}

// ServeHTTP notes each request and how it was answered.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	noted := &noting{ResponseWriter: w, status: http.StatusOK}
	s.ServeMux.ServeHTTP(noted, r)
	fmt.Printf("%s %s %d %s\n", r.Method, strconv.Quote(r.URL.RequestURI()), noted.status, r.RemoteAddr)
}

func (s *site) hello(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, "host=%s color=%s request=%d\n", s.host, s.color, s.served.Add(1))
}

func (s *site) health(w http.ResponseWriter, _ *http.Request) {
	if s.sick.Load() {
		http.Error(w, "sick", http.StatusInternalServerError)
		return
	}
	if s.draining.Load() {
		http.Error(w, "draining", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *site) fall(w http.ResponseWriter, _ *http.Request) {
	s.sick.Store(true)
	fmt.Fprintln(w, "sick")
}

func (s *site) end(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(r.FormValue("code"))
	if r.FormValue("code") == "" {
		code, err = 0, nil
	}
	if err != nil || code < 0 || code > 255 {
		http.Error(w, "want code=N with N from 0 to 255", http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, "bye")
	select {
	case s.exit <- code:
	default: // someone asked before
	}
}

func (s *site) slow(w http.ResponseWriter, r *http.Request) {
	wait, err := time.ParseDuration(r.FormValue("for"))
	if r.FormValue("for") == "" {
		wait, err = 2*time.Second, nil
	}
	if err == nil && (wait < 0 || wait > time.Minute) {
		err = errors.New("out of range")
	}
	if err != nil {
		http.Error(w, "want for=D with D from 0s to 1m", http.StatusBadRequest)
		return
	}
	select {
	case <-time.After(wait):
		s.hello(w, r)
	case <-r.Context().Done():
	}
}

// noting remembers the status that was sent.
type noting struct {
	http.ResponseWriter
	status int
}

func (n *noting) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}
