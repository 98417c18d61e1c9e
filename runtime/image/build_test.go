package image

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/runtime"
)

var sample = Program{
	Reference: "shoal.example/web:1",
	Path:      "/usr/bin/web",
	Binary:    []byte("not really a program"),
	Args:      []string{"-v"},
	Env:       []string{"COLOR=blue", "EMPTY="},
	User:      "1000:1000",
	Ports:     []string{"8080/tcp"},
}

func build(t testing.TB, program Program) []byte {
	t.Helper()
	var to bytes.Buffer
	if err := Build(&to, program); err != nil {
		t.Fatal(err)
	}
	return to.Bytes()
}

func open(t testing.TB, dir string) *Store {
	t.Helper()
	store, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// reasonOf gives the reason of an error, and fails where it is not a *runtime.Error.
func reasonOf(t testing.TB, err error) runtime.Reason {
	t.Helper()
	var known *runtime.Error
	if !errors.As(err, &known) {
		t.Fatalf("%v is no *runtime.Error", err)
	}
	return known.Reason
}

func TestWhatBuildMakesImportReads(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	store := open(t, dir)
	imported, err := store.Import(context.Background(), bytes.NewReader(build(t, sample)), "")
	if err != nil {
		t.Fatal(err)
	}
	want := runtime.Image{
		Reference: "shoal.example/web:1", Digest: imported.Digest, Layers: imported.Layers,
		Entrypoint: []string{"/usr/bin/web"}, Command: []string{"-v"},
		Env:  []runtime.Env{{Name: "COLOR", Value: "blue"}, {Name: "EMPTY"}},
		User: "1000:1000", StopSignal: "SIGTERM",
	}
	if diff := cmp.Diff(want, imported); diff != "" {
		t.Error(diff)
	}
	if len(imported.Layers) != 1 {
		t.Fatalf("%d layers, want 1", len(imported.Layers))
	}
	data, err := os.ReadFile(filepath.Join(imported.Layers[0], "usr/bin/web"))
	if err != nil || string(data) != string(sample.Binary) {
		t.Errorf("the program is %q, %v", data, err)
	}
	for path, mode := range map[string]os.FileMode{"": 0o755, "usr": 0o755, "usr/bin/web": 0o755, "tmp": 0o777 | os.ModeSticky} {
		info, err := os.Stat(filepath.Join(imported.Layers[0], path))
		if err != nil || info.Mode()&(os.ModePerm|os.ModeSticky) != mode {
			t.Errorf("mode of %q is %v, %v, want %v", path, info.Mode(), err, mode)
		}
	}

	again := open(t, dir) // as the next start does
	for _, reference := range []string{"shoal.example/web:1", imported.Digest, "shoal.example/web@" + imported.Digest} {
		resolved, err := again.Resolve(context.Background(), reference)
		if err != nil {
			t.Fatal(err)
		}
		if want.Reference = reference; !cmp.Equal(want, resolved) {
			t.Error(cmp.Diff(want, resolved))
		}
	}
	want.Reference = "shoal.example/web:1"
	list, err := again.List(context.Background())
	if err != nil || !cmp.Equal(list, []runtime.Image{want}) {
		t.Errorf("list %v, %v", list, err)
	}
}

func TestBuildIsReproducible(t *testing.T) {
	if !bytes.Equal(build(t, sample), build(t, sample)) {
		t.Error("two builds of one program differ")
	}
	other := sample
	other.Binary = []byte("another program")
	if bytes.Equal(build(t, sample), build(t, other)) {
		t.Error("two programs make one image")
	}
}

func TestBuildRefuses(t *testing.T) {
	for name, change := range map[string]func(*Program){
		"no reference":  func(p *Program) { p.Reference = "" },
		"bad reference": func(p *Program) { p.Reference = "Web:1" },
		"digest":        func(p *Program) { p.Reference = "web@" + digestOf(nil) },
		"relative path": func(p *Program) { p.Path = "web" },
		"empty program": func(p *Program) { p.Binary = nil },
		"unusable path": func(p *Program) { p.Path = "/" + string(make([]byte, 300)) },
	} {
		program := sample
		change(&program)
		if err := Build(&bytes.Buffer{}, program); err == nil {
			t.Errorf("%s: built", name)
		}
	}
}
