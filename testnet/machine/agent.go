package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The processes of an agent, for VerbKill.
const (
	AgentMain       = "main"
	AgentSupervisor = "supervisor"
)

// Agent is what a machine says of its agent.
type Agent struct {
	Running    bool  `json:"running"`
	ExitCode   int   `json:"exitCode"`   // of the latest that ended; 0 before
	Supervisor Usage `json:"supervisor"` // the process that was started
	Main       Usage `json:"main"`       // its child of the same program; zero while there is none
}

// Usage is one process and its memory. PSS counts a page that N processes share as 1/N.
type Usage struct {
	PID      int   `json:"pid"` // in the machine's pid namespace; 0 for none
	RSSBytes int64 `json:"rssBytes"`
	PSSBytes int64 `json:"pssBytes"`
}

func (m *initd) status() Reply {
	m.mu.Lock()
	defer m.mu.Unlock()
	agent := Agent{Running: m.agent != 0, ExitCode: m.code}
	if agent.Running {
		agent.Supervisor = usageOf(m.agent)
		if pid, err := mainOf(m.agent); err == nil {
			agent.Main = usageOf(pid)
		}
	}
	return Reply{Agent: &agent}
}

// killAgent sends SIGKILL to one process of the agent and to nothing else, and returns when it has ended.
func (m *initd) killAgent(ctx context.Context, which []string) error {
	victim, err := m.victim(which)
	if err != nil {
		return err
	}
	if err := victim.Kill(ctx); err != nil {
		return err
	}
	return every(ctx, time.Millisecond, func() bool { // else the next start could find that it runs
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.agent != victim.PID
	})
}

func (m *initd) victim(which []string) (Process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.agent == 0 {
		return Process{}, fmt.Errorf("no agent runs on %s", m.peer)
	}
	switch {
	case len(which) == 1 && which[0] == AgentSupervisor:
		return Identify(m.agent)
	case len(which) == 1 && which[0] == AgentMain:
		pid, err := mainOf(m.agent)
		if err != nil {
			return Process{}, err
		}
		return Identify(pid)
	}
	return Process{}, fmt.Errorf("an agent has a %s and a %s, not %q", AgentMain, AgentSupervisor, which)
}

// mainOf finds the supervisor's child that runs the same program: containers and their starters run from other files. The process that
// keeps deadlines is one too, when the main process that started it has ended.
func mainOf(supervisor int) (int, error) {
	own, err := os.Readlink(exeOf(supervisor))
	if err != nil {
		return 0, fmt.Errorf("the agent's supervisor: %w", err)
	}
	children, err := childrenOf(supervisor)
	if err != nil {
		return 0, err
	}
	for _, child := range children {
		if exe, err := os.Readlink(exeOf(child)); err == nil && exe == own && !isGuard(child) {
			return child, nil
		}
	}
	return 0, errors.New("the agent's main process does not run now")
}

func isGuard(pid int) bool {
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err == nil && strings.HasPrefix(string(line), "shoal-guard\x00")
}

func exeOf(pid int) string { return filepath.Join("/proc", strconv.Itoa(pid), "exe") }

// childrenOf lists the children of a process, oldest first.
func childrenOf(pid int) ([]int, error) {
	tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
	if err != nil {
		return nil, err
	}
	var children []int
	for _, task := range tasks {
		data, err := os.ReadFile(task)
		if err != nil {
			continue // a thread that ended since
		}
		for _, field := range strings.Fields(string(data)) {
			if child, err := strconv.Atoi(field); err == nil {
				children = append(children, child)
			}
		}
	}
	return children, nil
}

// usageOf reads smaps_rollup (proc(5)); a process that has ended uses nothing.
func usageOf(pid int) Usage {
	usage := Usage{PID: pid}
	file, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return usage
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 {
			continue
		}
		kib, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			continue
		}
		switch fields[0] {
		case "Rss:":
			usage.RSSBytes = kib << 10
		case "Pss:":
			usage.PSSBytes = kib << 10
		}
	}
	return usage
}
