package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
	"shoal/runtime"
)

const instancePath = "/apis/shoal/v1/instances/"

// ExecRequest asks for a command to be run in a container of a pod.
type ExecRequest struct {
	Container string   `json:"container,omitempty"`
	Command   []string `json:"command"`
}

// ExecAnswer is how the command ended.
type ExecAnswer struct {
	ExitCode int    `json:"exitCode"`
	Output   []byte `json:"output"` // stdout and stderr together, the first 64 KiB
}

// instances registers what peers ask of each other: the output and commands of one instance held here.
func (s *Server) instances(routes *http.ServeMux) {
	routes.HandleFunc("GET "+instancePath+"{instance}/{container}/log", s.serveInstanceLog)
	routes.HandleFunc("POST "+instancePath+"{instance}/{container}/exec", s.serveInstanceExec)
}

func (s *Server) serveInstanceLog(w http.ResponseWriter, r *http.Request) {
	options, err := logOptions(r)
	if err != nil {
		writeError(w, err)
		return
	}
	output, err := s.backend.Logs(r.Context(), runtime.InstanceID(r.PathValue("instance")), r.PathValue("container"), options)
	if err != nil {
		writeError(w, runtimeStatus(err))
		return
	}
	defer output.Close()
	pour(w, output)
}

func (s *Server) serveInstanceExec(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	var asked ExecRequest
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || len(asked.Command) == 0 {
		writeError(w, badRequest("a command is needed"))
		return
	}
	result, err := s.backend.Exec(r.Context(), runtime.InstanceID(r.PathValue("instance")), r.PathValue("container"), asked.Command)
	if err != nil {
		writeError(w, runtimeStatus(err))
		return
	}
	writeJSON(w, http.StatusOK, ExecAnswer{ExitCode: result.ExitCode, Output: result.Output})
}

// logOptions reads the options of Kubernetes' log request.
func logOptions(r *http.Request) (runtime.LogOptions, error) {
	query := r.URL.Query()
	options := runtime.LogOptions{TailLines: -1, Follow: query.Get("follow") == "true", Previous: query.Get("previous") == "true"}
	if text := query.Get("tailLines"); text != "" {
		lines, err := strconv.Atoi(text)
		if err != nil || lines < 0 {
			return options, badRequest("tailLines %q is not a number of lines", text)
		}
		options.TailLines = lines
	}
	if text := query.Get("sinceTime"); text != "" {
		since, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return options, badRequest("sinceTime %q is not a time", text)
		}
		options.Since = since
	}
	if ago := seconds(r, "sinceSeconds", 0); ago > 0 {
		options.Since = time.Now().Add(-ago)
	}
	return options, nil
}

// pour copies output to a client as it comes.
func pour(w http.ResponseWriter, output io.Reader) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	_ = control.Flush()
	buffer := make([]byte, 32<<10)
	for {
		n, err := output.Read(buffer)
		if n > 0 {
			_ = control.SetWriteDeadline(time.Now().Add(stuckAfter))
			if _, err := w.Write(buffer[:n]); err != nil || control.Flush() != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// place is a container of a pod on the peer that holds it.
type place struct {
	peer      crdt.PeerID
	name      string // the peer's
	instance  runtime.InstanceID
	container string
}

// locate finds a container of a pod. Without a container's name the pod must have only one.
func (s *Server) locate(ctx context.Context, namespace, pod, container string) (place, *view, error) {
	v, err := s.look(ctx, pods.needs)
	if err != nil {
		return place{}, nil, err
	}
	replica, ok := workloadOf(v, namespace, pod)
	if !ok {
		return place{}, nil, pods.missing(pod)
	}
	best := newest(replica)
	if best == nil {
		return place{}, nil, badRequest("pod %q is not started yet: %s", pod, orElse(replica.Pending, "it is assigned, not admitted yet"))
	}
	at := place{peer: best.Peer, name: v.name(best.Peer), instance: best.Instance, container: container}
	at.container, err = pick(best, pod, container)
	return at, v, err
}

func orElse(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}

func pick(i *control.InstanceView, pod, container string) (string, error) {
	var names []string
	for _, c := range i.Containers {
		if c.Name == container || container == "" && len(i.Containers) == 1 {
			return c.Name, nil
		}
		names = append(names, c.Name)
	}
	if container == "" {
		return "", badRequest("a container must be named: pod %s has %v", pod, names)
	}
	return "", badRequest("pod %s has no container %q: it has %v", pod, container, names)
}

func (s *Server) serveLog(w http.ResponseWriter, r *http.Request, t target) error {
	at, v, err := s.locate(r.Context(), t.namespace, t.name, r.URL.Query().Get("container"))
	if err != nil {
		return err
	}
	v.sign(w)
	if at.peer != s.info.Self {
		return s.forward(w, r, at, "log", nil)
	}
	options, err := logOptions(r)
	if err != nil {
		return err
	}
	output, err := s.backend.Logs(r.Context(), at.instance, at.container, options)
	if err != nil {
		return runtimeStatus(err)
	}
	defer output.Close()
	pour(w, output)
	return nil
}

func (s *Server) serveExec(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	var asked ExecRequest
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || len(asked.Command) == 0 {
		return badRequest("a command is needed")
	}
	at, v, err := s.locate(r.Context(), r.PathValue("namespace"), r.PathValue("name"), asked.Container)
	if err != nil {
		return err
	}
	v.sign(w)
	if at.peer != s.info.Self {
		return s.forward(w, r, at, "exec", asked)
	}
	result, err := s.backend.Exec(r.Context(), at.instance, at.container, asked.Command)
	if err != nil {
		return runtimeStatus(err)
	}
	writeJSON(w, http.StatusOK, ExecAnswer{ExitCode: result.ExitCode, Output: result.Output})
	return nil
}

// forward asks the peer that holds an instance, and passes its answer on.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, at place, what string, body any) error {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return s.backend.DialAPI(ctx, at.peer)
	}}
	defer transport.CloseIdleConnections()
	path := "http://peer" + instancePath + url.PathEscape(string(at.instance)) + "/" + url.PathEscape(at.container) + "/" + what + "?" + r.URL.RawQuery
	request, err := remoteRequest(r.Context(), path, body)
	if err != nil {
		return internal(err)
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return failure(http.StatusBadGateway, "PeerUnreachable", fmt.Sprintf("pod is on peer %s, which cannot be reached: %v", at.name, errors.Unwrap(err)))
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK && what == "log" {
		pour(w, answer.Body)
		return nil
	}
	w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	w.WriteHeader(answer.StatusCode)
	io.Copy(w, io.LimitReader(answer.Body, maxBody))
	return nil
}

func remoteRequest(ctx context.Context, path string, body any) (*http.Request, error) {
	if body == nil {
		return http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return http.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(text))
}
