package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"shoal/peer/api"
)

// client speaks to the API of one peer.
type client struct {
	http   *http.Client
	socket string
}

// call is one request and where its answer goes.
type call struct {
	method string
	path   string // with query
	kind   string // Content-Type; application/json when empty
	body   []byte
	accept string
	into   any // what the JSON of the answer is decoded into, when not nil
}

const tableKind = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

// client returns a client of the peer that the flags and the environment name.
func (a *app) client() *client {
	socket := a.socket
	if socket == "" {
		socket = a.env("SHOAL_SOCKET")
	}
	if socket == "" {
		socket = defaultSocket
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socket)
	}
	return &client{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// do makes a call whose answer is small, and returns the answer's headers.
func (c *client) do(ctx context.Context, call call) (http.Header, error) {
	answer, err := c.open(ctx, call)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if call.into == nil {
		_, err = io.Copy(io.Discard, answer.Body)
	} else {
		decoder := json.NewDecoder(answer.Body)
		decoder.UseNumber()
		err = decoder.Decode(call.into)
	}
	if err != nil {
		return nil, fail(exitUnreachable, "the peer's answer broke off: %w: is it still running?", err)
	}
	return answer.Header, nil
}

// open makes a call and returns its answer unread; failures have become errors.
func (c *client) open(ctx context.Context, call call) (*http.Response, error) {
	var body io.Reader
	if call.body != nil {
		body = bytes.NewReader(call.body)
	}
	return c.send(ctx, call, body)
}

func (c *client) send(ctx context.Context, call call, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, call.method, "http://peer"+call.path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "shoal/"+versionText())
	if call.accept != "" {
		request.Header.Set("Accept", call.accept)
	}
	if body != nil {
		request.Header.Set("Content-Type", orElse(call.kind, "application/json"))
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, refused(answer)
}

func orElse(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}

// errHungUp marks an answer that never came because the peer went away.
var errHungUp = errors.New("(no answer came)")

// unreachable says why no peer answers, and what to do.
func (c *client) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return fail(exitFailed, "interrupted")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fail(exitUnreachable, "the peer at %s does not answer in time: is this machine overloaded?", c.socket)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return fail(exitUnreachable, "the peer at %s ended the connection: is it still running? %w", c.socket, errHungUp)
	}
	reason, remedy := "it does not answer", "start one with 'shoal agent', or name another socket with --socket or $SHOAL_SOCKET"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		reason = "there is no such socket"
	case errors.Is(err, syscall.ECONNREFUSED):
		reason = "nobody listens there any more"
	case errors.Is(err, fs.ErrPermission):
		reason, remedy = "permission denied", "run this as the user of the agent, usually with sudo"
	}
	return fail(exitUnreachable, "cannot reach a peer at %s: %s: %s", c.socket, reason, remedy)
}

// refused turns a Status into an error with the exit code that it means.
func refused(answer *http.Response) error {
	var status api.Status
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<20))
	if err := json.Unmarshal(text, &status); err != nil || status.Message == "" {
		status.Message = fmt.Sprintf("the peer answered %s", answer.Status)
	}
	code := exitFailed
	switch {
	case answer.StatusCode == http.StatusNotFound:
		code = exitNotFound
	case answer.StatusCode == http.StatusBadGateway, answer.StatusCode == http.StatusServiceUnavailable, answer.StatusCode == http.StatusGatewayTimeout:
		code = exitUnreachable
	case answer.StatusCode < 500:
		code = exitInvalid
	}
	if status.Reason == "Invalid" && status.Details != nil && len(status.Details.Causes) > 0 {
		return fail(code, "%s", invalidText(status.Details))
	}
	if d := status.Details; d != nil && len(d.Causes) > 0 && d.Causes[0].Reason == "FieldManagerConflict" {
		return fail(code, "%s", disputedText(d))
	}
	if status.Reason == "Conflict" {
		return fail(code, "%w", changedError(status.Message))
	}
	return fail(code, "%s", status.Message)
}

// changedError is the refusal of a change of an object that has become another since it was read.
type changedError string

func (e changedError) Error() string { return string(e) }

// disputedText is one line for each field that belongs to others.
func disputedText(d *api.Details) string {
	lines := []string{fmt.Sprintf("%s %q: others gave these fields other values:", d.Kind, d.Name)}
	for _, cause := range d.Causes {
		lines = append(lines, "  "+strings.TrimPrefix(cause.Field, ".")+" belongs to "+strings.TrimPrefix(cause.Message, "conflict with "))
	}
	lines = append(lines, "leave them out of the manifest, give them the value that they have, or take them over with --force-conflicts")
	return strings.Join(lines, "\n")
}

// invalidText is one line for each thing wrong with an object.
func invalidText(d *api.Details) string {
	lines := []string{fmt.Sprintf("%s %q is refused:", d.Kind, d.Name)}
	for _, cause := range d.Causes {
		line := cause.Message
		if cause.Field != "" {
			line = cause.Field + ": " + line
		}
		lines = append(lines, "  "+line)
	}
	return strings.Join(lines, "\n")
}

// seenBy says, on standard error, whose view an answer is and how old.
func (a *app) seenBy(header http.Header) {
	peer := header.Get(api.HeaderPeer)
	if peer == "" {
		return
	}
	alive, known, _ := strings.Cut(header.Get(api.HeaderMembers), "/")
	text := fmt.Sprintf("as seen by %s: %s of %s members alive", peer, alive, known)
	if age, err := strconv.ParseInt(header.Get(api.HeaderViewAge), 10, 64); err == nil && age >= 1000 {
		text += ", oldest news " + api.Age(time.Duration(age)*time.Millisecond) + " old"
	}
	fmt.Fprintln(a.stderr, text)
}

// warn passes the peer's warnings on.
func (a *app) warn(header http.Header) {
	for _, line := range header.Values("Warning") {
		if _, text, ok := strings.Cut(line, " - "); ok {
			if plain, err := strconv.Unquote(text); err == nil {
				text = plain
			}
			fmt.Fprintln(a.stderr, "warning: "+text)
		}
	}
}

// onTerminal says whether a person sees what is printed.
func (a *app) onTerminal() bool {
	file, ok := a.stdout.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
