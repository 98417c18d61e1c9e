package store

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
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
	least, boot := 0, uint64(0)
	for round := range 5 {
		acknowledged := killAfter(t, dir, 40+17*round)
		s := open(t, dir)
		stored := load(t, s)
		s.Close()
		if len(stored.Ops) < acknowledged+1 || acknowledged < least {
			t.Fatalf("round %d: %d operations stored, %d acknowledged", round, len(stored.Ops), acknowledged+1)
		}
		if stored.Boot <= boot || stored.Damage != nil {
			t.Errorf("boot %d after %d, damage %+v", stored.Boot, boot, stored.Damage)
		}
		least, boot = acknowledged, stored.Boot
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
