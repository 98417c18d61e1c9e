package api

import (
	"fmt"
	"net/http"

	"shoal/crdt"
	"shoal/peer/control"
)

// Drain is how far a peer is with handing over what it runs, as the asked one sees it.
type Drain struct {
	Node     string      `json:"node"`
	State    string      `json:"state"`    // "alive", "suspect", "failed" or "left"
	Draining bool        `json:"draining"` // whether it is to hand over
	Left     []DrainLeft `json:"left"`     // sorted by replica
}

// DrainLeft is a replica that is still on the peer.
type DrainLeft struct {
	Replica string `json:"replica"`
	To      string `json:"to,omitempty"` // the peer where it goes
	Why     string `json:"why"`          // why it is still here
}

func (s *Server) serveDrain(w http.ResponseWriter, r *http.Request) error {
	v, err := s.look(r.Context(), needs{})
	if err != nil {
		return err
	}
	for _, m := range v.members {
		id := crdt.PeerID(m.ID)
		if v.name(id) != r.PathValue("node") {
			continue
		}
		out := Drain{Node: v.name(id), State: StateName(m.State), Left: []DrainLeft{}}
		err := s.backend.Read(r.Context(), func(machine *control.Machine) {
			view, _ := machine.Drain(id)
			out.Draining = view.Draining
			for _, left := range view.Left {
				out.Left = append(out.Left, DrainLeft{Replica: string(left.Replica), To: v.name(left.To), Why: left.Why})
			}
		})
		if err != nil {
			return unavailable(err)
		}
		v.sign(w)
		writeJSON(w, http.StatusOK, out)
		return nil
	}
	return notFound(fmt.Sprintf("there is no peer %s", r.PathValue("node")))
}
