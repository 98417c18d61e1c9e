package promise

import "testing"

// TestStaysUp has a replica that was ready on a and is ready nowhere now: that breaks P7 only where its object asks for it.
func TestStaysUp(t *testing.T) {
	instance := Instance{ID: "default.web-1.r1", Replica: "default/web-1", Revision: "r1", Ready: true}
	peer := func(id string, instances ...Instance) Peer {
		return Peer{ID: id, Name: id, Alive: true, Powered: true, Instances: instances,
			Objects: []Object{{Key: "Deployment/default/web", Live: true, Fields: []Field{{Path: "spec/replicas", Value: "2"}}}}}
	}
	before := Snapshot{Peers: []Peer{peer("a", instance), peer("b")}}
	both := Snapshot{Peers: []Peer{peer("a", instance), peer("b", instance)}}
	for name, c := range map[string]struct {
		change func(s *Snapshot)
		broken int
	}{
		"it stopped":         {func(*Snapshot) {}, 1},
		"it moved":           {func(s *Snapshot) { s.Peers[1].Instances = []Instance{instance} }, 0},
		"it is not ready":    {func(s *Snapshot) { s.Peers[1].Instances = []Instance{{Replica: instance.Replica}} }, 1},
		"the object is dead": {func(s *Snapshot) { s.Peers[1].Objects[0].Live = false }, 0},
		"fewer are asked":    {func(s *Snapshot) { s.Peers[1].Objects[0].Fields[0].Value = "1" }, 0},
		"there is no room":   {func(s *Snapshot) { s.Peers[1].Wanted = []Wanted{{Replica: instance.Replica, Pending: true}} }, 0},
		"the power is gone":  {func(s *Snapshot) { s.Peers[0].Powered = false }, 0},
		"nobody looks":       {func(s *Snapshot) { s.Peers[1].Objects = nil }, 0},
	} {
		after := Snapshot{Peers: []Peer{peer("a"), peer("b")}}
		c.change(&after)
		if found := StaysUp(before, after); len(found) != c.broken {
			t.Errorf("%s: %v", name, found)
		}
	}
	after := Snapshot{Peers: []Peer{peer("a"), peer("b")}}
	after.Peers[0].Powered = false
	if found := StaysUp(both, after); len(found) != 1 {
		t.Errorf("one of two copies lost its power: %v", found)
	}
}
