package trust

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode"

	"shoal/peer/wire"
)

const (
	ticketPrefix   = "shoal1-"
	ticketSumBytes = 4
)

// TicketError says why a text is not a ticket, in words for the person who pasted it.
type TicketError struct{ Reason string }

func (e *TicketError) Error() string { return "not a ticket: " + e.Reason }

// String is the ticket's text form.
func (t Ticket) String() string {
	data := wire.EncodeTicket(wire.Ticket{
		Cluster: wire.Peer(t.Cluster), Seeds: t.Seeds, ID: t.ID, Secret: t.Secret, Expires: t.Expires.UnixMilli(),
	})
	sum := sha256.Sum256(data)
	return ticketPrefix + base64.RawURLEncoding.EncodeToString(append(data, sum[:ticketSumBytes]...))
}

// ParseTicket reads the text form; the error, a *TicketError, says what is wrong with it. White space, as
// from a wrapped line, is left out.
func ParseTicket(text string) (Ticket, error) {
	data, err := unwrapTicket(text)
	if err != nil {
		return Ticket{}, err
	}
	form, err := wire.DecodeTicket(data)
	if err != nil {
		return Ticket{}, &TicketError{err.Error()}
	}
	t := Ticket{
		Cluster: PeerID(form.Cluster), Seeds: form.Seeds, ID: form.ID, Secret: form.Secret,
		Expires: time.UnixMilli(form.Expires).UTC(),
	}
	switch {
	case publicKey(t.Cluster) == nil:
		return Ticket{}, &TicketError{"it names no cluster"}
	case t.ID == "" || len(t.Secret) == 0:
		return Ticket{}, &TicketError{"it has no secret"}
	}
	return t, nil
}

// unwrapTicket returns the bytes under the text form, their checksum checked.
func unwrapTicket(text string) ([]byte, error) {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
	switch {
	case text == "":
		return nil, &TicketError{"it is empty"}
	case len(text) > 2*wire.MaxTicket:
		return nil, &TicketError{fmt.Sprintf("it is %d characters long", len(text))}
	case !strings.HasPrefix(text, ticketPrefix):
		return nil, &TicketError{fmt.Sprintf("it does not begin with %q", ticketPrefix)}
	}
	code := text[len(ticketPrefix):]
	if at := strings.IndexFunc(code, notInTicket); at >= 0 {
		return nil, &TicketError{fmt.Sprintf("character %d does not belong there; was more than the ticket copied?", len(ticketPrefix)+at+1)}
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(code)
	if end := len(data) - ticketSumBytes; err == nil && end > 0 {
		if sum := sha256.Sum256(data[:end]); string(sum[:ticketSumBytes]) == string(data[end:]) {
			return data[:end], nil
		}
	}
	return nil, &TicketError{fmt.Sprintf("it was cut short or changed (%d characters, and the checksum is wrong); copy the whole line again", len(text))}
}

func notInTicket(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !letter && r != '-' && r != '_'
}
