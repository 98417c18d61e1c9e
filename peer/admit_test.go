package peer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"shoal/peer/control"
	"shoal/peer/trust"
	"shoal/peer/wire"
)

// ask asks for admission as one who holds that ticket.
func (a *alone) ask(name string, ticket trust.Ticket) error {
	a.t.Helper()
	id, now := ID(keyOf(name)), time.Now()
	reply, err := a.admit(context.Background(), id, JoinRequest(ticket, id, a.id, name, now))
	if err != nil {
		a.t.Fatal(err)
	}
	_, err = ReadJoinReply(ticket, id, a.id, reply, now)
	return err
}

// TestARefusalCostsNoUse changes one thing at a time about a ticket for one peer: nobody is let in by what comes out, and the
// ticket as it was still lets one in.
func TestARefusalCostsNoUse(t *testing.T) {
	a := begin(t, nil).run()
	ticket, err := a.CreateTicket(t.Context(), 1, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	change := func(do func(*trust.Ticket)) trust.Ticket {
		other := ticket
		do(&other)
		return other
	}
	for about, x := range map[string]struct {
		ticket trust.Ticket
		text   string
	}{
		"cluster": {change(func(t *trust.Ticket) { t.Cluster = ID(keyOf("another root")) }), "the ticket is for cluster "},
		"secret":  {change(func(t *trust.Ticket) { t.Secret = make([]byte, 16) }), "the ticket's secret is wrong"},
		"id":      {change(func(t *trust.Ticket) { t.ID = "0000000000" }), "knows no such ticket"},
	} {
		for range 3 {
			var refused *JoinError
			if err := a.ask("stranger "+about, x.ticket); !errors.As(err, &refused) || !strings.Contains(refused.Text, x.text) {
				t.Errorf("another %s: %v", about, err)
			}
		}
	}
	if err := a.ask("newcomer", ticket); err != nil {
		t.Errorf("the ticket was for one peer, and nobody has joined by it: %v", err)
	}
	if err := a.ask("newcomer", ticket); err != nil {
		t.Errorf("the same peer asks again, as if the answer was lost: %v", err)
	}
	var refused *JoinError
	if err := a.ask("late", ticket); !errors.As(err, &refused) || refused.Code != TicketUsedUp {
		t.Errorf("the ticket is used up, and the next one gets %v", err)
	}
}

// TestARequestWithoutAClusterIsJudgedByItsProof lets in a program that does not yet say which cluster its ticket names.
func TestARequestWithoutAClusterIsJudgedByItsProof(t *testing.T) {
	a := begin(t, nil).run()
	ticket, err := a.CreateTicket(t.Context(), 1, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	id := ID(keyOf("older"))
	request, err := wire.DecodeJoinRequest(JoinRequest(ticket, id, a.id, "older", time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	request.Cluster = ""
	reply, err := a.admit(t.Context(), id, wire.EncodeJoinRequest(request))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadJoinReply(ticket, id, a.id, reply, time.Now()); err != nil {
		t.Error(err)
	}
}

// TestAPeerThatCannotAdmitCostsNoUse asks at the end of a chain that cannot grow.
func TestAPeerThatCannotAdmitCostsNoUse(t *testing.T) {
	a := begin(t, func(c *Config, _ *Ports) {
		c.Certificates = nil
		issuer := "root"
		for n := range trust.ChainAtMost {
			subject := fmt.Sprint("link", n)
			if n == trust.ChainAtMost-1 {
				subject = "self"
			}
			c.Certificates = append(c.Certificates, certificate(subject, issuer, trust.MayWrite, trust.MayAdmit))
			issuer = subject
		}
	}).run()
	ticket, err := a.CreateTicket(t.Context(), 1, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var refused *JoinError
	if err := a.ask("newcomer", ticket); !errors.As(err, &refused) || refused.Code != MayNotAdmit {
		t.Errorf("at the end of the chain: %v", err)
	}
	err = a.Read(t.Context(), func(m *control.Machine) {
		o, _ := m.Object(ticketKey(ticket.ID))
		for _, f := range o.Fields {
			if strings.HasPrefix(string(f.Path), "used/") {
				t.Errorf("a use is recorded: %s", f.Path)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
