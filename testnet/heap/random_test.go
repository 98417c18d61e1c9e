package heap

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"shoal/testnet/promise"
)

var (
	seed   = flag.Uint64("seed", 1, "the seed that TestSeed replays")
	seeds  = flag.Int("seeds", 40, "how many seeds TestSeeds tries")
	first  = flag.Uint64("first", 1, "the first of them")
	shrink = flag.Duration("shrink", 20*time.Second, "for how long a script that fails is made smaller")
	script = flag.String("script", "", "the file with the script that TestScript replays")
)

// perform plays a script; if it fails it is shrunk, printed and left in a file, with the command that replays it.
func perform(t *testing.T, s Script) *World {
	t.Helper()
	w, broken := Play(s, tracer(t))
	t.Logf("seed %d, %.1fs of virtual time, %d events, %d flushes, fingerprint %x", s.Seed, w.Now().Seconds(), w.events, w.flushes, w.Fingerprint())
	if len(broken) == 0 {
		return w
	}
	for _, v := range broken[:min(len(broken), 10)] {
		t.Errorf("%s", v)
	}
	small := Shrink(s, func(s Script) bool { return breaks(s, broken[0].Promise) }, *shrink)
	file := filepath.Join(os.TempDir(), fmt.Sprintf("shoal-heap-%d.txt", s.Seed))
	if err := os.WriteFile(file, []byte(small.String()), 0o644); err != nil {
		t.Error(err)
	}
	t.Logf("seed %d breaks %s, and so does this of it:\n%s\nreplay: go test ./testnet/heap -run 'TestScript$' -script %s -show", s.Seed, broken[0].Promise, small, file)
	if !*trace {
		t.Logf("the last of what happened:\n%s", strings.Join(w.Trace(), "\n"))
	}
	return w
}

// tracer prints what happens, where that was asked for.
func tracer(t *testing.T) func(string) {
	if !*trace {
		return nil
	}
	return func(line string) { t.Log(line) }
}

// breaks says whether a script breaks a promise.
func breaks(s Script, name string) bool {
	_, broken := Play(s, nil)
	return slices.ContainsFunc(broken, func(v promise.Violation) bool { return v.Promise == name })
}

// TestSeed replays one seed.
func TestSeed(t *testing.T) { perform(t, Random(*seed)) }

// TestScript replays a script from a file, or else that of the seed.
func TestScript(t *testing.T) {
	text := Random(*seed).String()
	if *script != "" {
		data, err := os.ReadFile(*script)
		must(t, err)
		text = string(data)
	}
	s, err := ParseScript(text)
	must(t, err)
	if s.String() != text && *script == "" {
		t.Errorf("the script reads differently once it was written:\n%s\n%s", text, s)
	}
	perform(t, s)
}

// TestSeeds tries many.
func TestSeeds(t *testing.T) {
	for n := range uint64(*seeds) {
		t.Run(fmt.Sprint(*first+n), func(t *testing.T) { perform(t, Random(*first+n)) })
	}
}

// TestAway plays long separations. A year passes in less than a second.
func TestAway(t *testing.T) {
	for n := range uint64(*seeds / 2) {
		t.Run(fmt.Sprint(*first+n), func(t *testing.T) { perform(t, Away(*first+n)) })
	}
}

// TestRestless plays what asks most of placement.
func TestRestless(t *testing.T) {
	for n := range uint64(*seeds) {
		t.Run(fmt.Sprint(*first+n), func(t *testing.T) { perform(t, Restless(*first+n)) })
	}
}

// TestSeedsThatFailed replays those that failed once.
func TestSeedsThatFailed(t *testing.T) {
	file, err := os.Open("testdata/seeds.txt")
	must(t, err)
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 64)
		must(t, err)
		t.Run(text, func(t *testing.T) { perform(t, Random(n)) })
	}
}

// TestScriptsThatFailed replays scripts that broke a promise once. Each says what was wrong.
func TestScriptsThatFailed(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txt")
	must(t, err)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			must(t, err)
			s, err := ParseScript(string(data))
			must(t, err)
			perform(t, s)
		})
	}
}

// TestReplay plays seeds twice: everything must happen at the same times.
func TestReplay(t *testing.T) {
	for seed := range uint64(6) {
		a, _ := Play(Random(seed), nil)
		b, _ := Play(Random(seed), nil)
		if a.Fingerprint() != b.Fingerprint() {
			t.Errorf("seed %d played differently", seed)
		}
	}
}
