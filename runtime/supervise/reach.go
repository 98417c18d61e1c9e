//go:build linux

package supervise

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Guard is a peer's way to its guard: the process that ends what is overdue. Its methods may be called from any goroutine.
type Guard struct {
	dir string

	mu      sync.Mutex
	conn    net.Conn
	replies *json.Decoder
	all     map[string]Deadline
	closed  bool
	pid     int // of the guard, where this life started it
}

const guardSocket = "guard.sock"

// guardPatience bounds how long a guard may take to answer: it does nothing but that.
const guardPatience = 5 * time.Second

// OpenGuard finds the guard that an earlier life of the program left in dir, if it still lives, with the deadlines that it keeps. None is
// started before it is needed.
func OpenGuard(dir string) (*Guard, error) {
	g := &Guard{dir: dir, all: map[string]Deadline{}}
	if err := g.connect(); err != nil {
		return g, nil // there is none
	}
	reply, err := g.ask(guardRequest{List: true})
	if err != nil {
		g.hangUp()
		return g, nil // it has just ended
	}
	for _, d := range reply.Deadlines {
		g.all[d.Name] = d
	}
	return g, nil
}

// Until returns the deadline of a name; false if there is none.
func (g *Guard) Until(name string) (time.Duration, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d, known := g.all[name]
	return d.Until, known
}

// Set gives deadlines to the guard, and starts one where there is none. It returns once they are kept.
func (g *Guard) Set(deadlines []Deadline) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return net.ErrClosed
	}
	for _, d := range deadlines {
		if d.Until < 0 {
			delete(g.all, d.Name)
		} else {
			g.all[d.Name] = d
		}
	}
	if len(g.all) == 0 && (g.conn == nil || len(deadlines) == 0) {
		return nil
	}
	if g.conn != nil && !g.dead() {
		if _, err := g.ask(guardRequest{Set: deadlines}); err == nil {
			return nil
		}
		g.hangUp()
	}
	if err := g.start(); err != nil {
		return fmt.Errorf("starting the process that keeps deadlines: %w", err)
	}
	_, err := g.ask(guardRequest{Set: slices.SortedFunc(maps.Values(g.all), func(a, b Deadline) int { return strings.Compare(a.Name, b.Name) })})
	return err
}

// Close lets go of the guard, which goes on until no deadline is left.
func (g *Guard) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.hangUp()
}

func (g *Guard) hangUp() {
	if g.conn != nil {
		_ = g.conn.Close()
		g.conn = nil
	}
}

// dead says whether the guard has hung up.
func (g *Guard) dead() bool {
	_, err := g.ask(guardRequest{})
	return err != nil
}

func (g *Guard) ask(request guardRequest) (reply guardReply, err error) {
	if err := g.conn.SetDeadline(time.Now().Add(guardPatience)); err != nil {
		return reply, err
	}
	if err := json.NewEncoder(g.conn).Encode(request); err != nil {
		return reply, err
	}
	return reply, g.replies.Decode(&reply)
}

// at calls do with a path of the socket that is short enough for an address, however long dir is.
func (g *Guard) at(do func(path string) error) error {
	dir, err := os.Open(g.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return do(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), guardSocket))
}

func (g *Guard) connect() error {
	return g.at(func(path string) (err error) {
		g.conn, err = net.DialTimeout("unix", path, guardPatience)
		if err != nil {
			g.conn = nil
			return err
		}
		g.replies = json.NewDecoder(g.conn)
		return nil
	})
}

// start starts a guard, which inherits a socket that listens already. It is in a session of its own, and bound to nobody's life.
func (g *Guard) start() error {
	return g.at(func(path string) error {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
		listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			return err
		}
		listener.SetUnlinkOnClose(false)
		defer listener.Close()
		file, err := listener.File()
		if err != nil {
			return err
		}
		defer file.Close()
		if err := g.run(file); err != nil {
			return err
		}
		return g.connect()
	})
}

func (g *Guard) run(listener *os.File) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	process, err := os.StartProcess("/proc/self/exe", []string{guardName}, &os.ProcAttr{
		Dir: "/", Env: []string{"GOMAXPROCS=1"}, Files: []*os.File{null, null, null, listener},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	g.pid = process.Pid
	go func() {
		_, _ = process.Wait()
		_ = g.Set(nil) // somebody has killed it: another one takes over
	}()
	return nil
}
