package network

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"shoal/runtime"
)

func TestPoolGivesOutReleasedAddressesLast(t *testing.T) {
	file := filepath.Join(t.TempDir(), "addresses.json")
	p, err := openPool(file, prefix(t, "10.0.0.0/29")) // .2 to .6
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct{ verb, id, want string }{
		{"take", "a", "10.0.0.2"}, {"take", "b", "10.0.0.3"}, {"take", "a", "10.0.0.2"},
		{"give", "a", ""}, {"take", "c", "10.0.0.4"},
		{"again", "", ""},
		{"take", "d", "10.0.0.5"}, {"take", "e", "10.0.0.6"}, {"take", "a", "10.0.0.2"},
		{"take", "f", "full"}, {"give", "d", ""}, {"give", "nobody", ""}, {"take", "f", "10.0.0.5"},
	}
	for i, step := range steps {
		switch step.verb {
		case "take":
			got, err := p.take(runtime.InstanceID(step.id))
			if text := got.String(); text != step.want && !(err != nil && step.want == "full") {
				t.Fatalf("step %d: %s takes %s, %v, want %s", i, step.id, text, err, step.want)
			}
		case "give":
			err = p.give(runtime.InstanceID(step.id))
		case "again":
			p, err = openPool(file, prefix(t, "10.0.0.0/29"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever is taken, given back, and however often the program starts again: nobody's address changes, and no two have one.
func TestPoolNeverGivesAnAddressTwice(t *testing.T) {
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		file := filepath.Join(dir, fmt.Sprint(run))
		subnet := netip.MustParsePrefix("10.0.0.0/28")
		p, err := openPool(file, subnet)
		if err != nil {
			t.Fatal(err)
		}
		model := map[runtime.InstanceID]netip.Addr{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			id := runtime.InstanceID(rapid.StringMatching("[a-t]").Draw(t, "id"))
			switch rapid.IntRange(0, 5).Draw(t, "verb") {
			case 0:
				if p, err = openPool(file, subnet); err != nil {
					t.Fatal(err)
				}
			case 1, 2:
				if err := p.give(id); err != nil {
					t.Fatal(err)
				}
				delete(model, id)
			default:
				address, err := p.take(id)
				if err != nil {
					if len(model) < 13 {
						t.Fatalf("%v with %d held", err, len(model))
					}
					continue
				}
				if held, ok := model[id]; ok && held != address {
					t.Fatalf("%s had %s and got %s", id, held, address)
				}
				model[id] = address
			}
			seen := map[netip.Addr]bool{subnet.Addr(): true, p.gateway(): true, netip.MustParseAddr("10.0.0.15"): true}
			for id, address := range model {
				if seen[address] || !subnet.Contains(address) {
					t.Fatalf("%s may not have %s", id, address)
				}
				seen[address] = true
			}
		}
	})
}

func TestPoolOfAnotherSubnet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "addresses.json")
	before, err := openPool(file, prefix(t, "10.0.0.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.take("a"); err != nil {
		t.Fatal(err)
	}
	after, err := openPool(file, prefix(t, "10.5.0.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	if address, err := after.take("a"); err != nil || address.String() != "10.5.0.2" {
		t.Errorf("got %s, %v, want 10.5.0.2", address, err)
	}
}

func TestPoolRefusesDamage(t *testing.T) {
	for name, text := range map[string]string{
		"cut off": `{"version":1,"last":"10.0.0.2","held":{"a":"10.`,
		"newer":   `{"version":2}`,
		"double":  `{"version":1,"last":"10.0.0.2","held":{"a":"10.0.0.2","b":"10.0.0.2"}}`,
		"empty":   ``,
	} {
		file := filepath.Join(t.TempDir(), "addresses.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openPool(file, prefix(t, "10.0.0.0/24")); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	file := filepath.Join(t.TempDir(), "addresses.json")
	if err := os.WriteFile(file, []byte(`{"version":1,"last":"10.0.0.9","held":{},"later":true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := openPool(file, prefix(t, "10.0.0.0/24")); err != nil {
		t.Error(err)
	} else if address, err := p.take("a"); err != nil || address.String() != "10.0.0.10" {
		t.Errorf("got %s, %v, want 10.0.0.10", address, err)
	}
}
