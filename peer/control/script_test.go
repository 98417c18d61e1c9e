package control

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// TestScripts runs the scripts in testdata. A script is a list of steps: some lines in the
// operator's words, a line "----", and what they print up to the next empty line. The peer under
// test is p1; other peers exist only in what the script says of them. world_test.go has the verbs.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	var out bytes.Buffer
	skipping := false
	for n, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		switch {
		case skipping && line != "":
			continue
		case line == "----":
			skipping = true
			fmt.Fprintf(&out, "----\n%s", w.printed.String())
			w.printed.Reset()
			continue
		}
		skipping = false
		fmt.Fprintln(&out, line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := w.do(words(line)); err != nil {
			t.Fatalf("%s:%d: %s: %v", file, n+1, line, err)
		}
	}
	if w.printed.Len() > 0 {
		t.Fatalf("%s: output without a line ----:\n%s", file, w.printed.String())
	}
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got := out.String(); got != string(text) {
		t.Errorf("%s: got\n%s", file, got)
	}
}

// words splits a line at blanks, except within double quotes.
func words(line string) []string {
	var all []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			all = append(all, part)
		} else {
			all = append(all, strings.Fields(part)...)
		}
	}
	return all
}
