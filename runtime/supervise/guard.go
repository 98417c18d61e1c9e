//go:build linux

package supervise

import (
	"encoding/json"
	"io"
	"maps"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Deadline says when whatever is in some cgroups must have ended.
type Deadline struct {
	Name  string        // of whatever it is about
	Until time.Duration // by CLOCK_BOOTTIME; below 0: it is forgotten
	Paths []string      // directories of cgroups, with all below them
}

// Uptime is what CLOCK_BOOTTIME shows: the time since the machine's boot, suspends included.
func Uptime() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		panic(err) // every Linux since 2.6.39 has it
	}
	return time.Duration(now.Nano())
}

// guardName is the name by which a process knows that it is to be a guard.
const guardName = "shoal-guard"

// again is how often what is overdue is looked at, more seldom where it is much: something may have been about to start when it became so.
const again = 100 * time.Millisecond

// Guarding becomes a guard, and never returns, if this program was started for that. main calls it before all else.
func Guarding() {
	if os.Args[0] != guardName {
		return
	}
	if err := guard(os.NewFile(3, "listener")); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// guardian is the process that keeps deadlines when everybody else is dead or stopped.
type guardian struct {
	listener net.Listener
	timer    *os.File // a timerfd of CLOCK_BOOTTIME: it goes off at once when the machine wakes from a suspend beyond its time

	mu    sync.Mutex
	all   map[string]Deadline
	users int // connections
}

// guard serves until nobody is connected and no deadline is left. Signals to end do not reach it: who sends them to all processes of a
// service wants the containers to outlive the program, as far as their deadlines let them.
func guard(file *os.File) error {
	small()
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGPIPE)
	listener, err := net.FileListener(file)
	if err != nil {
		return err
	}
	_ = file.Close()
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return err
	}
	g := &guardian{listener: listener, timer: os.NewFile(uintptr(fd), "timer"), all: map[string]Deadline{}}
	shed()
	go g.serve()
	return g.watch()
}

// watch kills what is overdue, whenever the timer goes off.
func (g *guardian) watch() error {
	var expirations [8]byte
	for idle := 0; ; {
		if next := g.enforce(); next > 0 {
			idle = 0
			if err := g.wakeAt(next); err != nil {
				return err
			}
		} else {
			// Nothing is left. Who starts this process connects at once, so the first second is no sign that nobody will.
			if idle++; idle > 2 {
				return g.listener.Close()
			}
			if err := g.wakeAt(Uptime() + time.Second); err != nil {
				return err
			}
		}
		if _, err := io.ReadFull(g.timer, expirations[:]); err != nil {
			return err
		}
	}
}

func (g *guardian) wakeAt(at time.Duration) error {
	raw, err := g.timer.SyscallConn()
	if err != nil {
		return err
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(int64(at), 1))}
	if control := raw.Control(func(fd uintptr) { err = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME, &spec, nil) }); control != nil {
		return control
	}
	return err
}

// enforce kills what is overdue, and returns when there is more to do; 0 for never.
func (g *guardian) enforce() (next time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, overdue := Uptime(), 0
	for name, d := range g.all {
		at := d.Until
		if at <= now {
			if empty := killAll(d.Paths); empty && g.users == 0 {
				delete(g.all, name) // nobody is left who could start anything
				continue
			}
			overdue++
			at = now + again*time.Duration(1+overdue/16)
		}
		if next == 0 || at < next {
			next = at
		}
	}
	if next == 0 && g.users > 0 {
		next = now + time.Hour
	}
	return next
}

// killAll kills whatever is in cgroups, and says whether nothing was.
func killAll(paths []string) bool {
	empty := true
	for _, path := range paths {
		if !isCgroup(path) {
			continue // gone, or what it names are no processes of ours
		}
		_ = filepath.WalkDir(path, func(dir string, entry os.DirEntry, err error) error {
			if err != nil || !entry.IsDir() {
				return nil // it went away meanwhile, or is a file
			}
			_ = os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0) // v2, Linux 5.14 and later
			body, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			for _, field := range strings.Fields(string(body)) {
				if pid, err := strconv.Atoi(field); err == nil && pid > 1 {
					empty = false
					_ = unix.Kill(pid, unix.SIGKILL)
				}
			}
			_ = os.WriteFile(filepath.Join(dir, "freezer.state"), []byte("THAWED"), 0) // v1: the frozen do not die
			return nil
		})
	}
	return empty
}

// isCgroup says whether a directory is one that the kernel keeps: then it names the processes that are in it now, and no others.
func isCgroup(path string) bool {
	var fs unix.Statfs_t
	err := unix.Statfs(path, &fs)
	return err == nil && (int64(fs.Type) == unix.CGROUP_SUPER_MAGIC || int64(fs.Type) == unix.CGROUP2_SUPER_MAGIC)
}

// guardRequest is one line of JSON to a guard, guardReply its answer.
type guardRequest struct {
	Set  []Deadline `json:",omitempty"`
	List bool       `json:",omitempty"`
}

type guardReply struct {
	Deadlines []Deadline `json:",omitempty"`
}

func (g *guardian) serve() {
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return
		}
		g.mu.Lock()
		g.users++
		g.mu.Unlock()
		go g.talk(conn)
	}
}

func (g *guardian) talk(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		g.mu.Lock()
		g.users--
		g.mu.Unlock()
		_ = g.wakeAt(Uptime())
	}()
	requests, replies := json.NewDecoder(conn), json.NewEncoder(conn)
	for {
		var request guardRequest
		if err := requests.Decode(&request); err != nil {
			return
		}
		if err := replies.Encode(g.answer(request)); err != nil {
			return
		}
	}
}

func (g *guardian) answer(request guardRequest) (reply guardReply) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range request.Set {
		if d.Until < 0 {
			delete(g.all, d.Name)
		} else {
			g.all[d.Name] = d
		}
	}
	if len(request.Set) > 0 {
		_ = g.wakeAt(Uptime()) // watch works out the next time itself
	}
	if request.List {
		for _, name := range slices.Sorted(maps.Keys(g.all)) {
			reply.Deadlines = append(reply.Deadlines, g.all[name])
		}
	}
	return reply
}
