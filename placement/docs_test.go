package placement

import (
	"os"
	"strings"
	"testing"
)

// TestExampleInDocs: what docs/placement.md shows as a worked example is what the script of it prints, word for word.
func TestExampleInDocs(t *testing.T) {
	docs, err := os.ReadFile("../docs/placement.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/example.txt")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, step := range strings.Split(string(script), "\n\n") {
		_, printed, prints := strings.Cut(step, "\n----\n")
		if !prints {
			continue
		}
		checked++
		if printed = strings.TrimRight(printed, "\n"); !strings.Contains(string(docs), "\n"+printed+"\n```") {
			t.Errorf("docs/placement.md does not show\n%s", printed)
		}
	}
	if checked < 4 {
		t.Errorf("the example has only %d steps", checked)
	}
}
