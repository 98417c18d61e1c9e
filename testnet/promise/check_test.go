package promise

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// healthy is a world at rest: two peers, web-0 on a and web-1 on b, one object written twice.
func healthy() Snapshot {
	wanted := func() []Wanted { return []Wanted{{Replica: "web-0", Revision: "r"}, {Replica: "web-1", Revision: "r"}} }
	objects := func() []Object {
		return []Object{{Key: "Deployment/default/web", Live: true, Fields: []Field{
			{Path: "image", Value: "web:2", Write: "w2"}, {Path: "replicas", Value: "2", Write: "w1"},
		}}}
	}
	peer := func(name, replica string) Peer {
		return Peer{
			ID: "id-" + name, Name: name, Alive: true, Powered: true, IntentDigest: [32]byte{1}, PlanDigest: [32]byte{2},
			Admitted: Resources{CPUMillis: 500, MemoryBytes: 64}, Room: Resources{CPUMillis: 1000, MemoryBytes: 100}, Wanted: wanted(), Objects: objects(),
			Instances: []Instance{instance("id-"+name, replica, "r")},
		}
	}
	return Snapshot{
		Peers: []Peer{peer("a", "web-0"), peer("b", "web-1")},
		Writes: []Write{
			{ID: "w1", Peer: "id-a", Object: "Deployment/default/web", Create: true, Fields: map[string]string{"image": "web:1", "replicas": "2"}},
			{ID: "w2", Peer: "id-b", Object: "Deployment/default/web", Fields: map[string]string{"image": "web:2"}, Saw: []string{"w1"}},
		},
	}
}

func instance(peer, replica, revision string) Instance {
	id := replica + "." + revision
	return Instance{ID: id, Replica: replica, Revision: revision, Ready: true, Request: Resources{CPUMillis: 500, MemoryBytes: 64},
		Containers: []Container{{Peer: peer, Instance: id, Name: "web", Generation: 1, StartedAt: time.Unix(1, 0)}}}
}

func TestAtRestFindsWhatIsBroken(t *testing.T) {
	const key = "Deployment/default/web"
	cases := []struct {
		name  string
		spoil func(*Snapshot)
		want  string // promise and part of the text; empty for none
	}{
		{"nothing", func(*Snapshot) {}, ""},
		{"a device given twice", func(s *Snapshot) {
			s.Peers[0].Devices = map[string]int64{"gpu": 1}
			s.Peers[0].Instances[0].Devices = map[string]int64{"gpu": 2}
		}, "P6: a holds 2 of gpu and has 1"},
		{"too much storage, where there is a bound", func(s *Snapshot) {
			s.Peers[0].Room.StorageBytes, s.Peers[0].Instances[0].Request.StorageBytes = 10, 11
		}, "P6: a holds 11 bytes of storage and has 10 bytes"},
		{"storage without a bound", func(s *Snapshot) { s.Peers[0].Instances[0].Request.StorageBytes = 11 }, ""},
		{"a replica beyond a cut is waited for", func(s *Snapshot) {
			s.Peers[0].Instances = nil
			s.Peers[0].Wanted[0].Held, s.Peers[1].Wanted[0].Held = true, true
		}, ""},
		{"a write was refused", func(s *Snapshot) { s.Writes = append(s.Writes, Write{Peer: "id-b", Object: key, Refused: "no quorum"}) }, "P1: b refused a write"},
		{"a value is gone", func(s *Snapshot) { s.Peers[1].Objects[0].Fields[0] = Field{Path: "image", Value: "web:1", Write: "w1"} }, "P2: b: Deployment/default/web image=\"web:2\""},
		{"a value is false", func(s *Snapshot) { s.Peers[1].Objects[0].Fields[0].Value = "x" }, "P2: b: "},
		{"an object is gone", func(s *Snapshot) { s.Peers[0].Objects = []Object{} }, "P2: a: Deployment/default/web of write w1 is gone"},
		{"a deletion had not seen a write, which is listed", func(s *Snapshot) { s.deleteUnseen() }, ""},
		{"a deletion had not seen a write, which is gone", func(s *Snapshot) {
			s.deleteUnseen()
			s.Peers[1].Objects[0].Fields = nil
		}, "P2: b: Deployment/default/web image=\"web:2\" of write w2"},
		{"a creation had seen a write, which is gone", func(s *Snapshot) {
			s.deleteUnseen()
			s.Writes = append(s.Writes, Write{ID: "w4", Peer: "id-b", Object: key, Create: true, Fields: map[string]string{"replicas": "2"}, Saw: []string{"w1", "w2", "w3"}})
			for i := range s.Peers {
				s.Peers[i].Objects[0].Live, s.Peers[i].Objects[0].Fields = true, []Field{{Path: "replicas", Value: "2", Write: "w4"}}
			}
		}, ""},
		{"a creation that nobody deleted is dead", func(s *Snapshot) { s.Peers[1].Objects[0].Live = false }, "P2: b: Deployment/default/web of write w1 is gone"},
		{"a conflict is listed", func(s *Snapshot) {
			s.Writes[1].Saw = nil
			s.Peers[0].Objects[0].Fields[0].Conflicts = []Rival{{"image", "w1", "web:1"}}
			s.Peers[1].Objects[0].Fields[0].Conflicts = []Rival{{"image", "w1", "web:1"}}
		}, ""},
		{"a conflict is not listed", func(s *Snapshot) { s.Writes[1].Saw = nil }, "P2: a: "},
		{"a deleted field shows", func(s *Snapshot) {
			s.Writes = append(s.Writes, Write{ID: "w3", Peer: "id-a", Object: key, Fields: map[string]string{"image": ""}, Saw: []string{"w1", "w2"}})
		}, "P2: a: Deployment/default/web image=\"\" of write w3"},
		{"a field that was deleted is there, as one that was forgotten had set it", func(s *Snapshot) {
			s.Writes = append(s.Writes, Write{ID: "w3", Peer: "id-a", Object: key, Fields: map[string]string{"image": ""}, Saw: []string{"w1"}, Unheard: []string{"id-b"}})
		}, ""},
		{"it is there, as one had set it who was not forgotten", func(s *Snapshot) {
			s.Writes = append(s.Writes, Write{ID: "w3", Peer: "id-a", Object: key, Fields: map[string]string{"image": ""}, Saw: []string{"w1"}, Unheard: []string{"id-c"}})
		}, "P2: a: Deployment/default/web image=\"\" of write w3"},
		{"it is there, as one had set it before it was deleted", func(s *Snapshot) {
			s.Writes = append(s.Writes, Write{ID: "w3", Peer: "id-a", Object: key, Fields: map[string]string{"image": ""}, Saw: []string{"w1", "w2"}, Unheard: []string{"id-b"}})
		}, "P2: a: Deployment/default/web image=\"\" of write w3"},
		{"a write may have overwritten it", func(s *Snapshot) {
			s.Peers[0].Objects[0].Fields = s.Peers[0].Objects[0].Fields[1:]
			s.Writes = append(s.Writes, Write{Unknown: true, Peer: "id-a", Object: key, Fields: map[string]string{"image": ""}, Saw: []string{"w1", "w2"}})
		}, ""},
		{"a deletion may not have happened", func(s *Snapshot) {
			s.Writes = append(s.Writes, Write{Unknown: true, Peer: "id-a", Object: key, Delete: true, Saw: []string{"w1", "w2"}})
		}, ""},
		{"intent differs", func(s *Snapshot) { s.Peers[1].IntentDigest[0]++ }, "P3: a holds intent 01000000, b holds 02"},
		{"plans differ", func(s *Snapshot) { s.Peers[1].PlanDigest[0]++ }, "P3: a has plan"},
		{"plans differ over a cut", func(s *Snapshot) { s.Peers[1].PlanDigest[0]++; s.Peers[1].Side = 1; s.twice() }, ""},
		{"a dead peer differs", func(s *Snapshot) { s.Peers[1].Alive = false; s.Peers[1].IntentDigest[0]++; s.twice() }, ""},
		{"a deleted object lives", func(s *Snapshot) {
			s.Writes = append(s.Writes, Write{ID: "w3", Peer: "id-a", Object: key, Delete: true, Saw: []string{"w1", "w2"}})
		}, "P4: a shows Deployment/default/web, which was deleted"},
		{"a deletion is on the other side", func(s *Snapshot) {
			s.Peers[1].Side = 1
			s.Peers[1].Objects[0].Live = false
			s.Peers[1].Wanted, s.Peers[1].Instances = nil, nil
			s.Peers[0].Instances = append(s.Peers[0].Instances, instance("id-a", "web-1", "r"))
			s.Peers[0].Room = Resources{CPUMillis: 1000, MemoryBytes: 128}
			s.Writes = append(s.Writes, Write{ID: "w3", Peer: "id-b", Object: key, Delete: true, Saw: []string{"w1", "w2"}})
		}, ""},
		{"a field of a former life", func(s *Snapshot) {
			s.Writes = append(s.Writes,
				Write{ID: "w3", Peer: "id-a", Object: key, Delete: true, Saw: []string{"w1", "w2"}},
				Write{ID: "w4", Peer: "id-a", Object: key, Create: true, Saw: []string{"w1", "w2", "w3"}})
		}, "P4: a shows image of Deployment/default/web, which was deleted with the object"},
		{"too much CPU admitted", func(s *Snapshot) { s.Peers[0].Admitted.CPUMillis = 1001 }, "P6: a admitted 1001m CPU and has 1000m"},
		{"too much memory there", func(s *Snapshot) { s.Peers[0].Instances[0].Request.MemoryBytes = 101 }, "P6: a holds 101 bytes"},
		{"runs nowhere", func(s *Snapshot) { s.Peers[0].Instances = nil }, "converged: web-0 runs nowhere"},
		{"runs twice", func(s *Snapshot) { s.Peers[0].Instances = append(s.Peers[0].Instances, instance("id-a", "web-1", "r")) }, "converged: web-1 runs 2 times"},
		{"not ready", func(s *Snapshot) { s.Peers[0].Instances[0].Ready = false }, "converged: web-0 on a is not ready"},
		{"old revision", func(s *Snapshot) { s.Peers[0].Instances[0].Revision = "q" }, "converged: web-0 runs on a in revision q"},
		{"not wanted", func(s *Snapshot) { s.Peers[0].Instances = append(s.Peers[0].Instances, instance("id-a", "old-0", "r")) }, "converged: old-0 runs on a and nobody wants it"},
		{"different wishes", func(s *Snapshot) { s.Peers[1].Wanted = s.Peers[1].Wanted[:1] }, "converged: a and b want different replicas"},
		{"pending and running", func(s *Snapshot) { s.Peers[0].Wanted[0].Pending = true; s.Peers[1].Wanted[0].Pending = true }, "converged: web-0 is pending and runs on a"},
		{"pending, and kept by a peer that hands over", func(s *Snapshot) {
			s.Peers[0].Wanted[0].Pending, s.Peers[1].Wanted[0].Pending, s.Peers[0].Leaving = true, true, true
		}, ""},
		{"pending, the old one serves", func(s *Snapshot) {
			s.Peers[0].Wanted[0].Pending, s.Peers[1].Wanted[0].Pending = true, true
			s.Peers[0].Instances[0].Revision = "q"
		}, ""},
		{"pending, the old one does not", func(s *Snapshot) {
			s.Peers[0].Wanted[0].Pending, s.Peers[1].Wanted[0].Pending = true, true
			s.Peers[0].Instances[0].Revision, s.Peers[0].Instances[0].Ready = "q", false
		}, "converged: web-0 runs on a in revision q"},
		{"pending", func(s *Snapshot) {
			s.Peers[0].Wanted[0].Pending, s.Peers[1].Wanted[0].Pending = true, true
			s.Peers[0].Instances = nil
		}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := healthy()
			c.spoil(&s)
			expect(t, AtRest(s), c.want)
		})
	}
}

// twice runs both replicas on both peers.
func (s *Snapshot) twice() {
	for i := range s.Peers {
		s.Peers[i].Room = Resources{CPUMillis: 1000, MemoryBytes: 128}
		s.Peers[i].Instances = []Instance{instance(s.Peers[i].ID, "web-0", "r"), instance(s.Peers[i].ID, "web-1", "r")}
	}
}

// deleteUnseen deletes the object by a write that had not seen w2.
func (s *Snapshot) deleteUnseen() {
	s.Writes = append(s.Writes, Write{ID: "w3", Peer: "id-a", Object: s.Writes[0].Object, Delete: true, Saw: []string{"w1"}})
	for i := range s.Peers {
		s.Peers[i].Objects[0].Live = false
		s.Peers[i].Objects[0].Fields = []Field{{Path: "image", Value: "web:2", Write: "w2"}}
		s.Peers[i].Wanted, s.Peers[i].Instances = nil, nil
	}
}

func expect(t *testing.T, got []Violation, want string) {
	t.Helper()
	if want == "" {
		if len(got) > 0 {
			t.Errorf("unexpected %v", got)
		}
		return
	}
	if !slices.ContainsFunc(got, func(v Violation) bool { return strings.HasPrefix(v.String(), want) }) {
		t.Errorf("wanted %s, got %v", want, got)
	}
}

func TestAlwaysChecksRoom(t *testing.T) {
	s := healthy()
	expect(t, Always(s), "")
	s.Peers[1].Admitted.MemoryBytes = 1 << 40
	expect(t, Always(s), "P6: b admitted")
}

func TestBetweenMoments(t *testing.T) {
	cut := func(before, after Snapshot) []Violation { return CutAlone(before, after) }
	restart := func(before, after Snapshot) []Violation { return SameContainers(before, after, "id-a") }
	down := func(before, after Snapshot) []Violation { return NeverDown(before, after) }
	moved := func(before, after Snapshot) []Violation { return MovedOnlyNeeded(before, after, 0) }
	healed := func(before, after Snapshot) []Violation { return RunsOn(before, after) }
	moveToB := func(s *Snapshot) {
		s.Peers[0].Instances = nil
		s.Peers[1].Instances = append(s.Peers[1].Instances, instance("id-b", "web-0", "r"))
	}
	cases := []struct {
		name  string
		check func(before, after Snapshot) []Violation
		later func(*Snapshot)
		want  string
	}{
		{"cut: nothing", cut, func(*Snapshot) {}, ""},
		{"cut: more runs", cut, func(s *Snapshot) { s.twice() }, ""},
		{"cut: one stopped", cut, func(s *Snapshot) { s.Peers[1].Instances = nil }, "P5: web-1.r/web (generation 1) on b no longer runs"},
		{"cut: one restarted", cut, func(s *Snapshot) { s.Peers[1].Instances[0].Containers[0].Generation = 2 }, "P5: web-1.r/web"},
		{"cut: one ended by itself", cut, func(s *Snapshot) {
			s.Ended = s.Peers[1].containers()
			s.Peers[1].Instances = nil
		}, ""},
		{"cut: moved for the balance", cut, func(s *Snapshot) { moveToB(s); s.Peers[1].Instances[1].Balance = true }, "P5: web-0.r/web"},
		{"restart: the same", restart, func(s *Snapshot) { s.Peers[1].Instances = nil }, ""},
		{"restart: another start", restart, func(s *Snapshot) { s.Peers[0].Instances[0].Containers[0].StartedAt = time.Unix(2, 0) }, "P10: web-0.r/web (generation 1) on a"},
		{"restart: gone", restart, func(s *Snapshot) { s.Peers[0].Instances = nil }, "P10: web-0.r/web"},
		{"down: nothing", down, func(*Snapshot) {}, ""},
		{"down: moved", down, moveToB, ""},
		{"down: stopped", down, func(s *Snapshot) { s.Peers[0].Instances = nil }, "P7: web-0 was ready on a and is now ready nowhere"},
		{"down: replaced too early", down, func(s *Snapshot) { moveToB(s); s.Peers[1].Instances[1].Ready = false }, "P7: web-0"},
		{"down: power lost", down, func(s *Snapshot) { s.Peers[0].Alive, s.Peers[0].Powered = false, false }, ""},
		{"down: no longer wanted", down, func(s *Snapshot) { s.Peers[0].Instances, s.Peers[0].Wanted = nil, s.Peers[0].Wanted[1:] }, ""},
		{"down: ended by itself", down, func(s *Snapshot) { s.Ended, s.Peers[0].Instances = s.Peers[0].containers(), nil }, ""},
		{"moved: nothing", moved, func(*Snapshot) {}, ""},
		{"moved: without need", moved, moveToB, "P8: web-0 left [a] without need"},
		{"moved: the peer died", moved, func(s *Snapshot) { moveToB(s); s.Peers[0].Alive = false }, ""},
		{"moved: the peer left", moved, func(s *Snapshot) { moveToB(s); s.Peers[0].Leaving = true }, ""},
		{"moved: no longer wanted", moved, func(s *Snapshot) { moveToB(s); s.Peers[0].Wanted, s.Peers[1].Wanted = nil, nil }, ""},
		{"moved: a new revision", moved, func(s *Snapshot) {
			moveToB(s)
			s.Peers[0].Wanted[0].Revision, s.Peers[1].Instances[1].Revision = "s", "s"
		}, ""},
		{"healed: nothing", healed, func(*Snapshot) {}, ""},
		{"healed: another copy", healed, func(s *Snapshot) { s.twice() }, ""},
		{"healed: a new copy stayed", healed, moveToB, "P8: web-0 was ready on [a]"},
		{"healed: a new copy stayed that was begun before its peer knew", healed, func(s *Snapshot) {
			moveToB(s)
			s.Peers[1].Instances[1].Unaware = true
		}, ""},
		{"healed: one that was begun so before is no excuse for another", healed, func(s *Snapshot) {
			s.Peers[1].Instances[0].Unaware = true
			moveToB(s)
		}, "P8: web-0 was ready on [a]"},
		{"healed: restarted", healed, func(s *Snapshot) { s.Peers[0].Instances[0].Containers[0].Generation = 2 }, "P8: web-0 was ready on [a]"},
		{"healed: the peer died", healed, func(s *Snapshot) { moveToB(s); s.Peers[0].Alive = false }, ""},
		{"healed: ended by itself", healed, func(s *Snapshot) { s.Ended = s.Peers[0].containers(); moveToB(s) }, ""},
		{"healed: ended and started again before", healed, func(s *Snapshot) {
			first := s.Peers[0].containers()[0]
			first.Generation = 0
			s.Ended = []Container{first}
		}, ""},
		{"healed: a new copy stayed, though the one before had ended and started again", healed, func(s *Snapshot) {
			first := s.Peers[0].containers()[0]
			first.Generation = 0
			s.Ended = []Container{first}
			moveToB(s)
		}, "P8: web-0 was ready on [a]"},
		{"healed: a new revision", healed, func(s *Snapshot) {
			moveToB(s)
			s.Peers[0].Wanted[0].Revision, s.Peers[1].Instances[1].Revision = "s", "s"
		}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			after := healthy()
			c.later(&after)
			expect(t, c.check(healthy(), after), c.want)
		})
	}
}

func TestSpareMoves(t *testing.T) {
	after := healthy()
	after.Peers[1].Instances = append(after.Peers[1].Instances, after.Peers[0].Instances...)
	after.Peers[0].Instances = nil
	if got := MovedOnlyNeeded(healthy(), after, 1); got != nil {
		t.Errorf("one move is accepted, got %v", got)
	}
	moves := Moves(healthy(), after)
	if len(moves) != 1 || moves[0].Replica != "web-0" || moves[0].Needed || !slices.Equal(moves[0].From, []string{"a"}) {
		t.Errorf("got %+v", moves)
	}
}

func TestPortsApart(t *testing.T) {
	for _, c := range []struct {
		first, second string
		meet          bool
	}{
		{PortText("TCP", "", 80), PortText("TCP", "10.0.0.1", 80), true},
		{PortText("TCP", "10.0.0.2", 80), PortText("TCP", "10.0.0.1", 80), false},
		{PortText("TCP", "10.0.0.2", 80), PortText("TCP", "10.0.0.2", 80), true},
		{PortText("TCP", "0.0.0.0", 80), PortText("UDP", "", 80), false},
		{PortText("TCP", "", 80), PortText("TCP", "", 81), false},
	} {
		p := Peer{Name: "a", Instances: []Instance{{ID: "x", Ports: []string{c.first}}, {ID: "y", Ports: []string{c.second}}}}
		if found := Overdrawn(p); (len(found) == 1) != c.meet {
			t.Errorf("%s and %s: %v", c.first, c.second, found)
		}
	}
}

func TestPolicyKept(t *testing.T) {
	cases := []struct {
		name   string
		policy Policy
		spoil  func(*Snapshot)
		want   int
	}{
		{"once", Policy{Exclusive: true}, func(*Snapshot) {}, 0},
		{"twice", Policy{Exclusive: true}, func(s *Snapshot) { s.Peers[1].Instances[0].Replica = "web-0" }, 1},
		{"frozen and twice", Policy{Frozen: true}, func(s *Snapshot) { s.Peers[1].Instances[0].Replica = "web-0" }, 1},
		{"twice, once without power", Policy{Exclusive: true}, func(s *Snapshot) {
			s.Peers[1].Instances[0].Replica = "web-0"
			s.Peers[0].Powered = false
		}, 0},
		{"both witnesses", Policy{Witnesses: []string{"id-a", "id-b"}}, func(*Snapshot) {}, 0},
		{"half of the witnesses", Policy{Witnesses: []string{"id-a", "id-b"}}, func(s *Snapshot) { s.Peers[1].Side = 1 }, 2},
		{"away from home", Policy{Witnesses: []string{"id-a"}}, func(s *Snapshot) { s.Peers[1].Side = 1 }, 1},
	}
	for _, c := range cases {
		s := healthy()
		c.policy.Prefix = "web-"
		s.Policies = []Policy{c.policy, {Prefix: "we-", Exclusive: true}}
		c.spoil(&s)
		if found := PolicyKept(s); len(found) != c.want {
			t.Errorf("%s: %v", c.name, found)
		}
	}
}
