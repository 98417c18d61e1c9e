package network

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newSpace makes a network namespace that is gone when the test is over.
func newSpace(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ns")
	if err := CreateNamespace(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := DeleteNamespace(path); err != nil {
			t.Error(err)
		}
	})
	return path
}

// serve accepts connections inside a namespace and answers each with a word.
func serve(t testing.TB, path, address string) {
	t.Helper()
	var listener net.Listener
	err := InNamespace(path, func() (err error) {
		listener, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "hello")
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-ended })
}

// ask connects from inside a namespace and reads the word.
func ask(path, address string, within time.Duration) error {
	return InNamespace(path, func() error { return askHere(address, within) })
}

func askHere(address string, within time.Duration) error {
	conn, err := net.DialTimeout("tcp", address, within)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(within))
	word, err := io.ReadAll(conn)
	if err == nil && string(word) != "hello" {
		err = errors.New("answered " + string(word))
	}
	return err
}

func timedOut(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, unix.EHOSTUNREACH)
}

func TestNamespaceOutlivesItsThread(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "ns")
	for range 2 { // the second finds the first's
		if err := CreateNamespace(path); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Readlink(ownNamespace)
	if err != nil {
		t.Fatal(err)
	}
	var within string
	if err := InNamespace(path, func() (err error) { within, err = os.Readlink(ownNamespace); return err }); err != nil {
		t.Fatal(err)
	}
	if within == before {
		t.Errorf("both are %s", within)
	}
	for range 2 {
		if err := DeleteNamespace(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", path, err)
	}
}

func TestThreadsReturnToTheirNamespace(t *testing.T) {
	path := newSpace(t)
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := InNamespace(path, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil || len(tasks) == 0 {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if now, err := os.Readlink(task); err == nil && now != home {
			t.Errorf("%s is in %s, want %s", task, now, home)
		}
	}
}

func TestThreadStaysWhereItsCallerIs(t *testing.T) {
	path := newSpace(t)
	err := InNamespace(path, func() error {
		here, err := os.Readlink(ownNamespace)
		if err != nil {
			return err
		}
		return onThread(func() error {
			there, err := os.Readlink(ownNamespace)
			if here != there {
				t.Errorf("called in %s, ran in %s", here, there)
			}
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func prefix(t testing.TB, text string) netip.Prefix {
	t.Helper()
	parsed, err := netip.ParsePrefix(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
