package store

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden file of the present version anew, before its release only")

// TestReleasedFormsAreReadForEver opens a store that version 1 wrote.
func TestReleasedFormsAreReadForEver(t *testing.T) {
	golden := filepath.Join("testdata", "v1.db.gz")
	want := everyKind()
	if *update {
		writeGolden(t, golden)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), unzip(t, golden), 0o600); err != nil {
		t.Fatal(err)
	}
	got := load(t, open(t, dir))
	want.Put = want.Put[10:]
	if len(got.Ops) != len(want.Put) || len(got.Certificates) != len(want.Certificates) || len(got.Book) != len(want.Book) {
		t.Fatalf("%d operations, %d certificates, %d in the book", len(got.Ops), len(got.Certificates), len(got.Book))
	}
	stored := got
	stored.Ops, stored.Certificates, stored.Book = want.Put, want.Certificates, want.Book
	if text(t, stored) != text(t, got) {
		t.Errorf("loaded %s\nwant %s", text(t, got), text(t, stored))
	}
}

func writeGolden(t *testing.T, path string) {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir)
	load(t, s)
	batch := everyKind()
	commit(t, s, batch)
	batch.Drop, batch.Put = batch.Put[:10], nil
	commit(t, s, batch)
	s.Close()
	data, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(data)
	z.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func unzip(t *testing.T, path string) []byte {
	t.Helper()
	packed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
