package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPurePackagesDoNothingBehindTheirCaller looks for what no import shows: goroutines, channels, and the clock.
func TestPurePackagesDoNothingBehindTheirCaller(t *testing.T) {
	read := 0
	for _, room := range pure {
		files, err := filepath.Glob(filepath.Join("..", "..", room, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			read++
			for _, fault := range impurities(t, file) {
				t.Errorf("%s: a pure room has %s", file, fault)
			}
		}
	}
	if read < len(pure) {
		t.Fatalf("only %d files read", read)
	}
}

func impurities(t *testing.T, path string) []string {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	return impuritiesOf(file)
}

func impuritiesOf(file *ast.File) []string {
	var faults []string
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.GoStmt:
			faults = append(faults, "a goroutine")
		case *ast.ChanType:
			faults = append(faults, "a channel")
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && id.Name == "time" && readsClock[n.Sel.Name] {
				faults = append(faults, "time."+n.Sel.Name)
			}
		}
		return true
	})
	return faults
}

var readsClock = map[string]bool{"Now": true, "Since": true, "Until": true, "After": true, "Sleep": true, "NewTimer": true, "NewTicker": true, "Tick": true, "AfterFunc": true}

func TestImpuritiesAreFound(t *testing.T) {
	source := `package p
import "time"
func f() { go f(); _ = make(chan int); _ = time.Now() }`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	if faults := impuritiesOf(file); len(faults) != 3 {
		t.Fatalf("found %v", faults)
	}
}
