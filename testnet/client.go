package testnet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"shoal/testnet/machine"
)

// Client asks one peer's API over its unix socket.
type Client struct {
	peer string
	http *http.Client
}

// APIError is an answer that is not a success.
type APIError struct {
	Status int    // HTTP's
	Text   string // the message of the Status object, or the body
}

func (e *APIError) Error() string { return fmt.Sprintf("%d: %s", e.Status, e.Text) }

// Client returns a client of a peer's API. It connects when it is used; connections are kept.
func (n *Net) Client(peer string) *Client {
	socket := n.dir.Socket(peer)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return machine.Dial(ctx, socket) }
	return &Client{peer: peer, http: &http.Client{Transport: &http.Transport{DialContext: dial, IdleConnTimeout: 10 * time.Second}}}
}

// Close drops kept connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Get reads a path of the API into answer.
func (c *Client) Get(ctx context.Context, path string, answer any) error {
	return c.Do(ctx, http.MethodGet, path, nil, answer)
}

// Do makes one request. body is sent as it is where it is a []byte or an io.Reader, else as JSON; nil sends none. answer may
// be nil.
func (c *Client) Do(ctx context.Context, method, path string, body, answer any) error {
	kind := "application/json"
	if method == http.MethodPatch {
		kind = "application/merge-patch+json"
	}
	return c.DoAs(ctx, method, path, kind, body, answer)
}

// DoAs is Do with a content type of the caller's choice.
func (c *Client) DoAs(ctx context.Context, method, path, kind string, body, answer any) error {
	_, err := c.exchange(ctx, method, path, kind, body, answer)
	return err
}

func (c *Client) exchange(ctx context.Context, method, path, kind string, body, answer any) (http.Header, error) {
	content, err := content(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+c.peer+path, content)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", kind)
	request.Header.Set("Accept", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.peer, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %s %s: %w", c.peer, method, path, err)
	}
	if response.StatusCode >= 300 {
		return nil, fmt.Errorf("%s: %s %s: %w", c.peer, method, path, apiError(response.StatusCode, data))
	}
	if answer == nil {
		return response.Header, nil
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return nil, fmt.Errorf("%s: %s %s: %w", c.peer, method, path, err)
	}
	return response.Header, nil
}

func content(body any) (io.Reader, error) {
	switch body := body.(type) {
	case nil:
		return http.NoBody, nil
	case io.Reader:
		return body, nil
	case []byte:
		return bytes.NewReader(body), nil
	}
	text, err := json.Marshal(body)
	return bytes.NewReader(text), err
}

func apiError(status int, data []byte) error {
	var object struct{ Message string }
	if json.Unmarshal(data, &object) == nil && object.Message != "" {
		return &APIError{status, object.Message}
	}
	return &APIError{status, strings.TrimSpace(string(data))}
}
