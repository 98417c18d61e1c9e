package promise

import (
	"slices"
	"strings"
)

// PolicyKept is P9 at a moment when every side of a cut has had the time to see it, and every lease beyond it has ended: what is to
// run with most of its witnesses runs nowhere else, and what is exclusive or frozen runs once in the world.
func PolicyKept(s Snapshot) []Violation {
	f := findings{promise: "P9"}
	running := s.running()
	for _, policy := range s.Policies {
		sides := s.sidesOf(policy.Witnesses)
		for replica, list := range running {
			if !policy.covers(replica) {
				continue
			}
			if (policy.Exclusive || policy.Frozen) && len(list) > 1 {
				f.add("%s runs on %s and on %s at once", replica, list[0].peer.Name, list[1].peer.Name)
			}
			for _, i := range list {
				if len(policy.Witnesses) > 0 && 2*sides[i.peer.Side] <= len(policy.Witnesses) {
					f.add("%s runs on %s, where %d of its %d witnesses are", replica, i.peer.Name, sides[i.peer.Side], len(policy.Witnesses))
				}
			}
		}
	}
	return f.sorted()
}

// covers says whether a replica, namespace/workload-ordinal, is one of the workload's.
func (p Policy) covers(replica string) bool {
	rest, ours := strings.CutPrefix(replica, p.Prefix)
	return ours && rest != "" && !strings.ContainsRune(rest, '-')
}

// sidesOf counts the witnesses that run, by side.
func (s Snapshot) sidesOf(witnesses []string) map[int]int {
	count := map[int]int{}
	for _, p := range s.Peers {
		if p.Alive && slices.Contains(witnesses, p.ID) {
			count[p.Side]++
		}
	}
	return count
}

// running lists the instances with a container that runs, by replica, in the order of the peers.
func (s Snapshot) running() map[string][]placed {
	running := make(map[string][]placed)
	for _, p := range s.Peers {
		for _, i := range p.Instances {
			if p.Powered && len(i.Containers) > 0 {
				running[i.Replica] = append(running[i.Replica], placed{p, i})
			}
		}
	}
	return running
}
