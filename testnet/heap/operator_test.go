package heap

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shoal/placement"
)

var update = flag.Bool("update", false, "write what the operator's scripts print into them")

// TestOperator plays the scripts of testdata/operator: days of a cluster in the words of those who run it. A script is a Script with
// three things more. Lines that begin with `|` are a manifest, which `create PEER` gives to a peer. What begins with four spaces is
// what the line above it must print. And there are lines that print:
//
//	where [NAME]      where each replica is ready, or why it is not
//	why REPLICA       what the first peer that lives says of it
//	moved             which replicas are elsewhere than at the last `where` or `moved`
//	refused COMMAND…  the command must be refused, and why it was
func TestOperator(t *testing.T) {
	files, err := filepath.Glob("testdata/operator/*.txt")
	must(t, err)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			must(t, err)
			played := playOperator(t, string(data))
			if *update {
				must(t, os.WriteFile(file, []byte(played), 0o644))
			} else if played != string(data) {
				t.Errorf("%s plays otherwise (go test ./testnet/heap -run Operator -update writes it):\n%s", file, difference(string(data), played))
			}
		})
	}
}

// difference names the first line in which two texts differ.
func difference(before, after string) string {
	b, a := strings.Split(before, "\n"), strings.Split(after, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d\nwas  %s\nis   %s\n\n%s", i+1, b[i], a[i], after)
		}
	}
	return after
}

// operator is a script of somebody who runs a cluster, being played.
type operator struct {
	*play
	t        *testing.T
	manifest strings.Builder
	out      strings.Builder
	before   map[string]string // where each replica was
}

func playOperator(t *testing.T, text string) string {
	var script Script
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	o := &operator{t: t, before: map[string]string{}}
	for n, line := range lines {
		if strings.HasPrefix(line, "    ") {
			continue // printed anew
		}
		fmt.Fprintln(&o.out, line)
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
		case words[0] == "world":
			must(t, script.parseWorld(words[1:]))
			o.play = &play{World: New(script.options(tracer(t))), script: script, without: map[string]bool{}}
		case strings.HasPrefix(line, "|"):
			fmt.Fprintln(&o.manifest, strings.TrimPrefix(line, "|"))
		default:
			o.tracef("STEP %s", line)
			o.line(n+1, words)
		}
	}
	return o.out.String()
}

func (o *operator) line(number int, words []string) {
	say := map[string]func(words []string){"create": o.create, "where": o.where, "why": o.why, "moved": o.moved, "refused": o.refused}[words[0]]
	if say != nil {
		say(words[1:])
	} else if do, known := verbs[words[0]]; known && len(words)-1 >= do.words {
		do.do(o.play, words[1:])
	} else {
		o.t.Fatalf("line %d: no such step: %s", number, words)
	}
	for _, v := range append(o.violations, o.broken...) {
		o.t.Errorf("line %d, %s: %s", number, strings.Join(words, " "), v)
	}
	if o.t.Failed() {
		o.t.FailNow()
	}
}

func (o *operator) print(format string, values ...any) {
	fmt.Fprintf(&o.out, "    "+format+"\n", values...)
}

// create gives the manifest above to a peer.
func (o *operator) create(words []string) {
	must(o.t, o.Apply(words[0], o.manifest.String()))
	o.manifest.Reset()
}

// refused gives a command that must be refused.
func (o *operator) refused(words []string) {
	var err error
	if words[0] == "create" {
		err = o.Apply(words[1], o.manifest.String())
		o.manifest.Reset()
	}
	if err == nil {
		o.t.Fatalf("%s was taken", words)
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		o.print("%s", line)
	}
}

// places tells where each replica is.
func (o *operator) places() map[string]string {
	places := map[string]string{}
	for _, r := range o.Core(o.Alive()[0]).Replicas() {
		on := o.PlacedOn(string(r.ID))
		slices.Sort(on)
		name := string(r.ID)
		switch {
		case len(on) > 0:
			places[name] = strings.Join(on, " and ")
		case r.Wanted && r.Pending != "":
			places[name] = "pending: " + r.Pending
		case r.Wanted:
			places[name] = "not ready"
		}
	}
	return places
}

func (o *operator) where(words []string) {
	o.before = o.places()
	for _, name := range sortedNames(o.before) {
		if len(words) == 0 || strings.HasPrefix(name, "default/"+words[0]+"-") {
			o.print("%-8s %s", strings.TrimPrefix(name, "default/"), o.before[name])
		}
	}
}

// moved tells what is elsewhere than it was.
func (o *operator) moved([]string) {
	now := o.places()
	for _, name := range sortedNames(now) {
		switch was, short := o.before[name], strings.TrimPrefix(name, "default/"); was {
		case now[name]:
		case "":
			o.print("%-8s new: %s", short, now[name])
		default:
			o.print("%-8s %s -> %s", short, was, now[name])
		}
	}
	if fmt.Sprint(o.before) == fmt.Sprint(now) {
		o.print("nothing moved")
	}
	o.before = now
}

func sortedNames(all map[string]string) []string {
	var names []string
	for name := range all { // in any order: they are sorted
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if len(a) != len(b) && a[:strings.LastIndexByte(a, '-')] == b[:strings.LastIndexByte(b, '-')] {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return names
}

func (o *operator) why(words []string) {
	for _, line := range o.Peer(o.Alive()[0]).saying(placement.ReplicaID("default/" + words[0])) {
		o.print("%s", line)
	}
}
