package peer

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"shoal/crdt"
	"shoal/gossip"
	"shoal/peer/control"
	"shoal/peer/trust"
	"shoal/peer/wire"
)

// TicketKind is the kind of the objects in which tickets are recorded: fields secretHash, expires and uses,
// and used/PEER for each peer that was admitted. Only Shoal itself writes them.
const TicketKind = "Ticket"

// The closed set of reasons for which a peer is not admitted.
const (
	TicketUnknown = "TicketUnknown"
	TicketWrong   = "TicketWrong"
	TicketExpired = "TicketExpired"
	TicketUsedUp  = "TicketUsedUp"
	MayNotAdmit   = "MayNotAdmit"
	BadRequest    = "BadRequest"
	AdmitFailed   = "AdmitFailed"
)

// JoinError is why a peer was not admitted.
type JoinError struct {
	Code string // one of the reasons above
	Text string
}

func (e *JoinError) Error() string { return e.Text }

func ticketKey(id string) crdt.Key { return crdt.Key{Kind: TicketKind, Name: id} }

// CreateTicket implements Backend.
func (p *Peer) CreateTicket(ctx context.Context, uses int, within time.Duration) (trust.Ticket, error) {
	if uses < 1 || within <= 0 {
		return trust.Ticket{}, errors.New("a ticket needs at least one use and a time to expire")
	}
	if !p.trust.may(p.id, trust.MayAdmit) {
		return trust.Ticket{}, fmt.Errorf("peer %s may not admit others: create the ticket on one that may", p.config.Name)
	}
	var id [5]byte
	ticket := trust.Ticket{Cluster: p.config.Cluster, Secret: make([]byte, 16)}
	if _, err := io.ReadFull(rand.Reader, ticket.Secret); err != nil {
		return trust.Ticket{}, err
	}
	_, _ = rand.Read(id[:])
	ticket.ID = hex.EncodeToString(id[:])
	ticket.Expires = p.ports.Now().Wall.Add(within).Truncate(time.Second)
	ticket.Seeds = p.seeds(ctx)
	hash := sha256.Sum256(ticket.Secret)
	_, err := p.Write(ctx, control.Write{
		Key: ticketKey(ticket.ID), Verb: crdt.Create, Manager: "shoal", User: p.config.Name,
		Changes: []crdt.Change{
			change("secretHash", hex.EncodeToString(hash[:])),
			change("expires", ticket.Expires.UTC().Format(time.RFC3339)),
			change("uses", uses),
		},
	})
	return ticket, err
}

// seeds are this peer and up to three others that are alive.
func (p *Peer) seeds(ctx context.Context) []string {
	seeds := []string{p.config.Stream.String()}
	_ = p.Read(ctx, func(m *control.Machine) {
		for _, member := range m.Members() {
			if len(seeds) < 4 && member.State == gossip.Alive && member.Stream != p.config.Stream {
				seeds = append(seeds, member.Stream.String())
			}
		}
	})
	return seeds
}

func change(path string, value any) crdt.Change {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return crdt.Change{Path: crdt.Path(path), Value: data}
}

// admit answers a request to join. Whatever is wrong with it becomes part of the reply.
func (p *Peer) admit(ctx context.Context, id trust.PeerID, request []byte) ([]byte, error) {
	reply := wire.JoinReply{WallMillis: p.ports.Now().Wall.UnixMilli(), Cluster: string(p.config.Cluster)}
	if err := p.admitInto(ctx, id, request, &reply); err != nil {
		var refused *JoinError
		if !errors.As(err, &refused) {
			refused = &JoinError{Code: AdmitFailed, Text: err.Error()}
		}
		reply.ErrorCode, reply.ErrorText = refused.Code, refused.Text
	}
	return wire.EncodeJoinReply(reply), nil
}

func (p *Peer) admitInto(ctx context.Context, id trust.PeerID, data []byte, reply *wire.JoinReply) error {
	request, err := wire.DecodeJoinRequest(data)
	if err != nil {
		return &JoinError{BadRequest, "the request to join cannot be read: " + err.Error()}
	}
	if !p.trust.may(p.id, trust.MayAdmit) {
		return &JoinError{MayNotAdmit, "peer " + p.config.Name + " may not admit others: join at another one"}
	}
	if request.Cluster != "" && request.Cluster != string(p.config.Cluster) {
		return &JoinError{TicketWrong, fmt.Sprintf("the ticket is for cluster %.12s, and this is %.12s: check the address", request.Cluster, p.config.Cluster)}
	}
	p.admitMu.Lock()
	defer p.admitMu.Unlock()
	certificate := trust.NewCertificate(id, request.Name, []trust.Capability{trust.MayWrite, trust.MayAdmit},
		p.id, p.ports.Now().Wall, p.config.sign)
	if err := p.trust.allows(certificate); err != nil {
		return &JoinError{MayNotAdmit, "peer " + p.config.Name + " cannot admit: " + err.Error() + ": join at a peer that joined earlier"}
	}
	if err := p.useTicket(ctx, id, request); err != nil {
		return err
	}
	if err := p.trust.learn(trust.EncodeCertificate(certificate)); err != nil && !errors.Is(err, errKnown) {
		return &JoinError{MayNotAdmit, "peer " + p.config.Name + " cannot admit: " + err.Error() + ": join at a peer that joined earlier"}
	}
	reply.Certificates = p.trust.chain(id)
	reply.GossipKey = p.config.GossipKey
	return p.Read(ctx, func(m *control.Machine) {
		for _, member := range m.Members() {
			if member.State == gossip.Alive {
				reply.Seeds = append(reply.Seeds, member.Addr.String())
			}
		}
	})
}

// useTicket checks a ticket and records its use. A peer that asks again, because it lost the answer, uses nothing up.
func (p *Peer) useTicket(ctx context.Context, id trust.PeerID, request wire.JoinRequest) error {
	var ticket crdt.Object
	var live bool
	if err := p.Read(ctx, func(m *control.Machine) { ticket, live = m.Object(ticketKey(request.TicketID)) }); err != nil {
		return err
	}
	if !live || !ticket.Live {
		return &JoinError{TicketUnknown, "this cluster knows no such ticket, or has not heard of it yet: create one with 'shoal ticket create'"}
	}
	used, known, err := p.checkTicket(ticket, id, request.Proof)
	if err != nil || known {
		return err
	}
	_, err = p.Write(ctx, control.Write{
		Key: ticket.Key, Verb: crdt.Update, Seen: ticket.Seen, Manager: "shoal", User: p.config.Name,
		Changes: []crdt.Change{change("used/"+string(id), used+1)},
	})
	return err
}

// checkTicket counts the uses so far, and says whether id is among them.
func (p *Peer) checkTicket(ticket crdt.Object, id trust.PeerID, proof []byte) (used int, known bool, err error) {
	var hash, expires string
	var uses int
	for _, field := range ticket.Fields {
		switch {
		case field.Path == "secretHash":
			_ = json.Unmarshal(field.Value, &hash)
		case field.Path == "expires":
			_ = json.Unmarshal(field.Value, &expires)
		case field.Path == "uses":
			_ = json.Unmarshal(field.Value, &uses)
		case strings.HasPrefix(string(field.Path), "used/"):
			used++
			known = known || strings.TrimPrefix(string(field.Path), "used/") == string(id)
		}
	}
	key, _ := hex.DecodeString(hash)
	if !hmac.Equal(proof, ticketProof(key, id, p.id)) {
		return 0, false, &JoinError{TicketWrong, "the ticket's secret is wrong: paste the ticket whole"}
	}
	until, err := time.Parse(time.RFC3339, expires)
	if now := p.ports.Now().Wall; !known && (err != nil || now.After(until)) {
		return 0, false, &JoinError{TicketExpired, fmt.Sprintf("the ticket expired at %s, and here it is %s: create a new one, and check the clocks", expires, now.UTC().Format(time.RFC3339))}
	}
	if !known && used >= uses {
		return 0, false, &JoinError{TicketUsedUp, fmt.Sprintf("the ticket was for %d peers, and all have joined: create a new one", uses)}
	}
	return used, known, nil
}

// Membership is what a peer receives when it is admitted.
type Membership struct {
	Certificates [][]byte // its chain, root's end first
	GossipKey    []byte
	Seeds        []netip.AddrPort // gossip addresses
	Skew         time.Duration    // by how much the admitting peer's clock is ahead of this one's
}

// ticketProof binds the secret of a ticket, of which key is the SHA-256, to both ends of one stream (RFC 2104). A stranger
// who answered in a member's place can do nothing with it.
func ticketProof(key []byte, joining, admitting trust.PeerID) []byte {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "shoal join 1 %s %s", joining, admitting)
	return mac.Sum(nil)
}

// JoinRequest codes a request of the peer self to be admitted by the peer admitting.
func JoinRequest(ticket trust.Ticket, self, admitting trust.PeerID, name string, now time.Time) []byte {
	key := sha256.Sum256(ticket.Secret)
	return wire.EncodeJoinRequest(wire.JoinRequest{
		TicketID: ticket.ID, Proof: ticketProof(key[:], self, admitting), Name: name, WallMillis: now.UnixMilli(), Cluster: string(ticket.Cluster),
	})
}

// ReadJoinReply checks the answer: a *JoinError where the peer was refused.
func ReadJoinReply(ticket trust.Ticket, self, remote trust.PeerID, data []byte, now time.Time) (Membership, error) {
	reply, err := wire.DecodeJoinReply(data)
	if err != nil {
		return Membership{}, fmt.Errorf("the answer cannot be read: %w", err)
	}
	if reply.ErrorCode != "" {
		return Membership{}, &JoinError{reply.ErrorCode, reply.ErrorText}
	}
	guard := newGuard(ticket.Cluster, newAudit(time.Now))
	guard.load(reply.Certificates)
	if !guard.may(self, "") || !guard.may(remote, trust.MayAdmit) {
		return Membership{}, &JoinError{BadRequest, "the answering peer is not of the cluster that the ticket names"}
	}
	membership := Membership{
		Certificates: reply.Certificates, GossipKey: reply.GossipKey,
		Skew: time.UnixMilli(reply.WallMillis).Sub(now),
	}
	for _, seed := range reply.Seeds {
		if addr, err := netip.ParseAddrPort(seed); err == nil {
			membership.Seeds = append(membership.Seeds, addr)
		}
	}
	return membership, nil
}
