package placement

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestContradictions(t *testing.T) {
	in := func(key string, values ...string) Requirement { return Requirement{key, In, values} }
	notIn := func(key string, values ...string) Requirement { return Requirement{key, NotIn, values} }
	web := map[string]string{"app": "web"}
	for _, c := range []struct {
		name string
		w    Wanted
		want string
	}{
		{"nothing asked", Wanted{}, ""},
		{"one label, two values", Wanted{NodeSelector: map[string]string{"disk": "ssd"},
			Rules: &Rules{Peers: []PeerTerm{{Labels: []Requirement{notIn("disk", "ssd", "nvme")}}}}},
			"no peer can have disk not in (nvme,ssd) and disk=ssd"},
		{"one of two terms can hold", Wanted{NodeSelector: map[string]string{"disk": "ssd"},
			Rules: &Rules{Peers: []PeerTerm{{Labels: []Requirement{in("disk", "hdd")}}, {Labels: []Requirement{in("zone", "a")}}}}}, ""},
		{"no term can hold", Wanted{Rules: &Rules{Peers: []PeerTerm{{}, {Labels: []Requirement{{"gpu", Exists, nil}, {"gpu", DoesNotExist, nil}}}}}},
			"an empty affinity term holds for no peer; and no peer can have !gpu and gpu"},
		{"numbers", Wanted{Rules: &Rules{Peers: []PeerTerm{{Labels: []Requirement{{"cores", Gt, []string{"4"}}, {"cores", Lt, []string{"5"}}}}}}},
			"no peer can have cores<5 and cores>4"},
		{"numbers with one between", Wanted{Rules: &Rules{Peers: []PeerTerm{{Labels: []Requirement{{"cores", Gt, []string{"4"}}, {"cores", Lt, []string{"6"}}}}}}}, ""},
		{"that one is not allowed", Wanted{Rules: &Rules{Peers: []PeerTerm{{Labels: []Requirement{{"cores", Gt, []string{"4"}}, {"cores", Lt, []string{"6"}}, notIn("cores", "5")}}}}},
			"no peer can have cores!=5 and cores<6 and cores>4"},
		{"not a number", Wanted{Rules: &Rules{Peers: []PeerTerm{{Labels: []Requirement{{"cores", Gt, []string{"many"}}}}}}}, "no peer can have cores>many"},
		{"names", Wanted{Rules: &Rules{Peers: []PeerTerm{{Names: []Requirement{in("metadata.name", "p1"), notIn("metadata.name", "p1")}}}}},
			"no peer can have metadata.name!=p1 and metadata.name=p1"},
		{"spread over a label that is not allowed", Wanted{Rules: &Rules{Spread: []Spread{{TopologyKey: "zone", Required: true}},
			Peers: []PeerTerm{{Labels: []Requirement{{"zone", DoesNotExist, nil}}}}}}, "no peer can have !zone and zone"},
		{"ports", Wanted{Ports: []Port{{"", 80, "TCP"}, {"", 80, "UDP"}, {"10.0.0.1", 80, "TCP"}}}, "it asks for port 10.0.0.1:80/TCP twice"},
		{"near and apart", Wanted{Rules: &Rules{Labels: web, Near: []ReplicaTerm{{Labels: []Requirement{in("app", "db"), in("tier", "1")}, TopologyKey: "zone"}},
			Apart: []ReplicaTerm{{Labels: []Requirement{in("app", "db")}, TopologyKey: "zone"}}}},
			"it must be near app=db,tier=1 and apart from it, both by zone"},
		{"near some, apart from others", Wanted{Rules: &Rules{Labels: web, Near: []ReplicaTerm{{Labels: []Requirement{in("app", "db")}, TopologyKey: "zone"}},
			Apart: []ReplicaTerm{{Labels: []Requirement{in("app", "db"), in("tier", "1")}, TopologyKey: "zone"}}}}, ""},
		{"the only one of its sort in a zone", Wanted{Rules: &Rules{Labels: web, Near: []ReplicaTerm{{Labels: []Requirement{in("app", "web")}, TopologyKey: "zone"}},
			Apart: []ReplicaTerm{{Labels: []Requirement{in("app", "web")}, TopologyKey: "zone"}}}}, ""},
		{"near nothing that can be", Wanted{Rules: &Rules{Near: []ReplicaTerm{{Labels: []Requirement{in("app", "db"), in("app", "web")}, TopologyKey: "zone"}}}},
			"it must be near replicas with app=db and app=web, which none can have"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.w.Contradiction(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestContradictionsAreCertain tries what is called a contradiction on all peers with labels that could matter.
func TestContradictionsAreCertain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Wanted{Rules: &Rules{}, NodeSelector: drawSelector(t)}
		for range rapid.IntRange(0, 3).Draw(t, "terms") {
			term := drawPeerTerm(t)
			term.Labels = append(term.Labels, drawRequirements(t, "disk")...)
			w.Rules.Peers = append(w.Rules.Peers, term)
		}
		fits := false
		values := []string{"", "-1", "0", "1", "2", "3", "4", "5", "x"}
		for _, disk := range values {
			for _, cores := range values {
				for _, name := range []string{"p0", "p1"} {
					p := Peer{Name: name, Labels: map[string]string{"disk": disk, "cores": cores}}
					for key, value := range p.Labels {
						if value == "" {
							delete(p.Labels, key)
						}
					}
					fits = fits || w.Allows(&p)
				}
			}
		}
		if text := w.Contradiction(); fits != (text == "") {
			t.Fatalf("%s: some peer fits %t, contradiction %q", fmt.Sprintf("%+v %v", *w.Rules, w.NodeSelector), fits, text)
		}
	})
}
