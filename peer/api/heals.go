package api

import (
	"net/http"
	"time"

	"shoal/crdt"
	"shoal/peer/control"
)

// Heal is the receipt of a reunion, as this peer saw it.
type Heal struct {
	Began     time.Time      `json:"began"`
	Ended     *time.Time     `json:"ended,omitempty"` // missing while it goes on
	Peers     []HealedPeer   `json:"peers"`
	Twice     []RanTwice     `json:"twice"`
	Conflicts []HealConflict `json:"conflicts"`
	Stopped   []Event        `json:"stopped"`
	More      int            `json:"more,omitempty"`  // what ran twice beyond those listed
	Short     []string       `json:"short,omitempty"` // peers that stopped more than is listed
}

// HealedPeer is one that was lost and is back.
type HealedPeer struct {
	Peer string     `json:"peer"`
	Lost *time.Time `json:"lost,omitempty"`
	Back time.Time  `json:"back"`
}

// RanTwice is a replica that ran on two peers at once.
type RanTwice struct {
	Replica string     `json:"replica"`
	Peers   [2]string  `json:"peers"`
	From    time.Time  `json:"from"`
	Until   *time.Time `json:"until,omitempty"` // missing while both run
	Gone    string     `json:"gone,omitempty"`  // the one of the two from which it went
}

// HealConflict is an object of which fields were written on both sides.
type HealConflict struct {
	Object string   `json:"object"`
	Fields []string `json:"fields"`
	More   int      `json:"more,omitempty"`
}

func (s *Server) serveHeals(w http.ResponseWriter, r *http.Request) error {
	v, err := s.look(r.Context(), needs{heals: true})
	if err != nil {
		return err
	}
	var list []Heal
	for i := len(v.heals) - 1; i >= 0; i-- {
		list = append(list, v.healed(&v.heals[i]))
	}
	return answer(w, v, list)
}

func (v *view) healed(h *control.Heal) Heal {
	out := Heal{Began: h.Began.UTC(), Ended: orMissing(h.Ended), Peers: []HealedPeer{}, Twice: []RanTwice{}, Conflicts: []HealConflict{}, Stopped: []Event{}, More: h.More, Short: h.Short}
	name := func(id crdt.PeerID, known string) string {
		if _, ok := v.names[id]; ok || known == "" {
			return v.name(id)
		}
		return known
	}
	for _, p := range h.Peers {
		out.Peers = append(out.Peers, HealedPeer{Peer: name(p.Peer, p.Name), Lost: orMissing(p.Lost), Back: p.Back.UTC()})
	}
	for _, t := range h.Twice {
		both := [2]string{name(t.Peers[0], t.Names[0]), name(t.Peers[1], t.Names[1])}
		gone := ""
		for i, id := range t.Peers {
			if t.Gone != "" && id == t.Gone {
				gone = both[i]
			}
		}
		out.Twice = append(out.Twice, RanTwice{Replica: string(t.Replica), Peers: both, From: t.From.UTC(), Until: orMissing(t.Until), Gone: gone})
	}
	for _, c := range h.Conflicts {
		out.Conflicts = append(out.Conflicts, HealConflict{Object: c.Object.String(), Fields: c.Fields, More: c.More})
	}
	for _, n := range h.Stopped {
		out.Stopped = append(out.Stopped, v.ownEvent(n))
	}
	return out
}

func orMissing(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
