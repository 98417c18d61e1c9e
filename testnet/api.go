package testnet

import (
	"context"
	"net/http"
	"time"
)

// Member is one entry of /apis/shoal/v1/members.
type Member struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
}

// Alive says whether the peer asked held the member for alive.
func (m Member) Alive() bool { return m.State == "alive" }

// Members lists the peers that this one knows, itself included.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	var answer struct {
		Items []Member `json:"items"`
	}
	err := c.Get(ctx, "/apis/shoal/v1/members", &answer)
	return answer.Items, err
}

// CreateTicket makes a ticket and returns its text form.
func (c *Client) CreateTicket(ctx context.Context, uses int, valid time.Duration) (string, error) {
	var answer struct {
		Ticket string `json:"ticket"`
	}
	err := c.Do(ctx, http.MethodPost, "/apis/shoal/v1/tickets", map[string]any{"uses": uses, "expires": valid.String()}, &answer)
	return answer.Ticket, err
}
