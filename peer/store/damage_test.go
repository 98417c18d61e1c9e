package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"shoal/peer"
)

// crashDirVariable makes the test binary a child that commits until it is killed.
const crashDirVariable = "SHOAL_STORE_CRASH_DIR"

// commitForEver prints n after the commit of operation n was acknowledged.
func commitForEver(dir string) {
	s, err := Open(dir)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	stored, err := s.Load()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for n := len(stored.Ops); ; n++ {
		if err := s.Commit(puts(n, n+1)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

// TestKillLosesNothing kills a committing process without warning, five times over.
func TestKillLosesNothing(t *testing.T) {
	dir := t.TempDir()
	least := 0
	for round := range 5 {
		acknowledged := killAfter(t, dir, 40+17*round)
		s := open(t, dir)
		stored := load(t, s)
		s.Close()
		if len(stored.Ops) < acknowledged+1 || acknowledged < least {
			t.Fatalf("round %d: %d operations stored, %d acknowledged", round, len(stored.Ops), acknowledged+1)
		}
		if want := uint64(2*round + 2); stored.Boot != want {
			t.Errorf("boot %d, want %d", stored.Boot, want)
		}
		least = acknowledged
	}
}

// killAfter runs the child until it has acknowledged lines more commits, kills it, and returns the last number it printed.
func killAfter(t *testing.T, dir string, lines int) int {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashDirVariable+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	reader, last := bufio.NewReader(out), -1
	for line := 0; ; line++ {
		text, err := reader.ReadString('\n')
		if err == io.EOF {
			break
		}
		if _, err := fmt.Sscan(text, &last); err != nil {
			t.Fatalf("child said %q", text)
		}
		if line == lines {
			child.Process.Kill()
		}
	}
	child.Wait()
	return last
}

// sound makes a store, closes it and returns its bytes and what it holds.
func sound(t *testing.T) ([]byte, peer.Stored) {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir)
	commit(t, s, full())
	commit(t, s, puts(40, 46))
	s.Close()
	data, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	stored := load(t, s)
	s.Close()
	return data, stored
}

// survives opens damaged bytes. It is right to refuse them with a *DamageError, or to have lost nothing.
func survives(t *testing.T, what string, data []byte, want peer.Stored) (refused bool) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir)
	if err != nil {
		var damaged *DamageError
		if !errors.As(err, &damaged) || len(damaged.Faults) == 0 {
			t.Errorf("%s: refused with %v", what, err)
		}
		return true
	}
	defer s.Close()
	got, err := s.Load()
	if err != nil {
		t.Errorf("%s: passed the check, but then: %v", what, err)
		return true
	}
	if text(t, want) != text(t, got) {
		t.Errorf("%s: silently loaded something else: %d operations, %d certificates, book %v", what, len(got.Ops), len(got.Certificates), got.Book)
	}
	return false
}

func TestTruncatedFileIsRefused(t *testing.T) {
	data, stored := sound(t)
	used := int(usedBytes(t, data))
	for _, size := range []int{0, 1, 100, 4095, 4096, 5000, 8192, 12288, used / 2, used - 4096, used - 1} {
		if !survives(t, fmt.Sprint("truncated to ", size), data[:size], stored) {
			t.Errorf("a file truncated to %d of %d bytes was opened", size, used)
		}
	}
}

// usedBytes is how much of the file the newest header claims.
func usedBytes(t *testing.T, data []byte) int64 {
	t.Helper()
	first, second := order.Uint64(data[16+40:]), order.Uint64(data[4096+16+40:])
	return int64(max(first, second)) * 4096
}

func TestZeroedPages(t *testing.T) {
	data, stored := sound(t)
	refused := 0
	for page := int64(0); page < usedBytes(t, data)/4096; page++ {
		broken := append([]byte(nil), data...)
		clear(broken[page*4096 : (page+1)*4096])
		if survives(t, fmt.Sprint("page ", page, " zeroed"), broken, stored) {
			refused++
		}
	}
	if refused < 10 {
		t.Errorf("only %d zeroed pages were noticed", refused)
	}
}

func TestFlippedBits(t *testing.T) {
	data, stored := sound(t)
	refused := 0
	for offset := int64(0); offset < usedBytes(t, data); offset += 211 {
		broken := append([]byte(nil), data...)
		broken[offset] ^= 1 << (offset % 8)
		if survives(t, fmt.Sprintf("bit %d of byte %d flipped", offset%8, offset), broken, stored) {
			refused++
		}
	}
	if refused < 100 {
		t.Errorf("only %d flipped bits were noticed", refused)
	}
}

// TestStaleFileParts puts back an older version of the pages that the last commit wrote: what a disk does that forgets a write.
// Only a forgotten write of the newest header itself cannot be told from a commit that never was.
func TestStaleFileParts(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	s := open(t, dir)
	commit(t, s, full())
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, puts(40, 52))
	stored := load(t, s)
	s.Close()
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stored.Boot++
	for page := 2 * 4096; page+4096 <= len(before); page += 4096 {
		stale := append([]byte(nil), after...)
		copy(stale[page:page+4096], before[page:page+4096])
		survives(t, fmt.Sprint("page ", page/4096, " stale"), stale, stored)
	}
}

func TestDamageErrorSaysWhatToDo(t *testing.T) {
	data, stored := sound(t)
	broken := strings.Replace(string(data), "certificate one", "certificate two", -1)
	if broken == string(data) || !survives(t, "changed certificate", []byte(broken), stored) {
		t.Fatal("a changed record was not noticed")
	}
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, FileName), []byte(broken), 0o600)
	_, err := Open(dir)
	for _, part := range []string{filepath.Join(dir, FileName), "record certificates/", "checksum does not match", "move it away"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v: does not say %q", err, part)
		}
	}
	rest, _ := os.ReadFile(filepath.Join(dir, FileName))
	if string(rest) != broken {
		t.Error("a damaged file was changed by opening it")
	}
}
