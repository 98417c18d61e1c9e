package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Request is one line of JSON to the keeper's or a machine's socket. Which fields count depends on the verb. Files
// (standard input, output and error of Run) travel beside it.
type Request struct {
	Verb   string     `json:"verb"`
	Peer   string     `json:"peer,omitempty"`
	Groups [][]string `json:"groups,omitempty"`
	Cuts   []Cut      `json:"cuts,omitempty"`
	Argv   []string   `json:"argv,omitempty"`
	Env    []string   `json:"env,omitempty"`
	Dir    string     `json:"dir,omitempty"`
}

// Verbs of the keeper.
const (
	VerbBoot   = "boot"   // start machine Peer
	VerbPower  = "power"  // cut the power of machine Peer
	VerbSplit  = "split"  // only machines of one of Groups reach each other
	VerbCut    = "cut"    // what is sent along Cuts is lost, and along no other way; beside the split
	VerbHeal   = "heal"   // all reach all
	VerbKeeper = "keeper" // report Reply.Machines
)

// Verbs of a machine.
const (
	VerbAgent  = "agent"      // start Argv as this machine's agent
	VerbKill   = "kill-agent" // SIGKILL to the agent's process named by Argv[0]: AgentMain or AgentSupervisor
	VerbRun    = "run"        // run Argv on the files that came with the request, until it ends or the caller goes
	VerbStatus = "status"     // report Reply.Agent
)

// Cut is one way between two machines on which everything is lost. The way back is another.
type Cut struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Reply answers a Request.
type Reply struct {
	Error    string            `json:"error,omitempty"`
	Code     int               `json:"code,omitempty"`     // exit code of a run; 128+signal when killed
	Machines map[string]string `json:"machines,omitempty"` // name -> "up" or "off"
	Groups   [][]string        `json:"groups,omitempty"`   // the split in force; nil when whole
	Cuts     []Cut             `json:"cuts,omitempty"`     // the cuts in force
	Agent    *Agent            `json:"agent,omitempty"`
}

// requestMostBytes bounds a request: an argument list that the kernel takes fits.
const requestMostBytes = 4 << 20

// Call sends one request and waits for its reply. When ctx ends, the connection is closed, which ends a Run.
func Call(ctx context.Context, socket string, request Request, files ...*os.File) (Reply, error) {
	conn, err := Dial(ctx, socket)
	if err != nil {
		return Reply{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	line, err := json.Marshal(request)
	if err != nil {
		return Reply{}, fmt.Errorf("encode %s: %w", request.Verb, err)
	}
	var rights []byte
	if len(files) > 0 {
		numbers := make([]int, len(files))
		for i, f := range files {
			numbers[i] = int(f.Fd())
		}
		rights = unix.UnixRights(numbers...)
	}
	// The first byte carries the files; a stream socket may split the rest as it likes.
	if _, _, err := conn.WriteMsgUnix(line[:1], rights, nil); err != nil {
		return Reply{}, fmt.Errorf("send %s to %s: %w", request.Verb, socket, err)
	}
	if _, err := conn.Write(append(line[1:], '\n')); err != nil {
		return Reply{}, fmt.Errorf("send %s to %s: %w", request.Verb, socket, err)
	}
	var reply Reply
	if err := json.NewDecoder(conn).Decode(&reply); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return Reply{}, fmt.Errorf("%s at %s: no answer: %w", request.Verb, socket, err)
	}
	if reply.Error != "" {
		return reply, errors.New(reply.Error)
	}
	return reply, nil
}

// Dial connects to a unix socket by path, of any length.
func Dial(ctx context.Context, path string) (*net.UnixConn, error) {
	short, done, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", short)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", path, err)
	}
	return conn.(*net.UnixConn), nil
}

// listen binds a unix socket by path, of any length, over what an earlier life left there.
func listen(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	short, done, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	listener.SetUnlinkOnClose(false) // the short path may be gone by then; Destroy removes the directory
	return listener, nil
}

// shortPath gives a form of path that fits a socket address, which has 107 bytes.
func shortPath(path string) (short string, done func(), err error) {
	if len(path) <= 107 {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	short = filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(path))
	return short, func() { dir.Close() }, nil
}

// serve answers calls until the listener closes, each in its own goroutine. The context of a call ends when the caller hangs up.
func serve(listener *net.UnixListener, handle func(ctx context.Context, request Request, files []*os.File) Reply) {
	for {
		conn, err := listener.AcceptUnix()
		if err != nil {
			return
		}
		go answer(conn, handle)
	}
}

func answer(conn *net.UnixConn, handle func(context.Context, Request, []*os.File) Reply) {
	defer conn.Close()
	request, files, err := receive(conn)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	reply := Reply{}
	if err != nil {
		reply.Error = err.Error()
	} else {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			conn.Read(make([]byte, 1)) // callers send nothing more: this returns when they hang up
			cancel()
		}()
		reply = handle(ctx, request, files)
	}
	_ = json.NewEncoder(conn).Encode(reply) // a caller that is gone wants no answer
}

func receive(conn *net.UnixConn) (Request, []*os.File, error) {
	buffer, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(3*4))
	n, oobn, _, _, err := conn.ReadMsgUnix(buffer, oob)
	if err != nil {
		return Request{}, nil, err
	}
	files, err := openRights(oob[:oobn])
	if err != nil {
		return Request{}, files, err
	}
	line := bytes.Clone(buffer[:n])
	for !bytes.HasSuffix(line, []byte("\n")) {
		if len(line) > requestMostBytes {
			return Request{}, files, fmt.Errorf("request of more than %d bytes", requestMostBytes)
		}
		n, err := conn.Read(buffer)
		if err != nil {
			return Request{}, files, err
		}
		line = append(line, buffer[:n]...)
	}
	var request Request
	return request, files, json.Unmarshal(line, &request)
}

func openRights(oob []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, message := range messages {
		numbers, err := unix.ParseUnixRights(&message)
		if err != nil {
			return files, err
		}
		for _, number := range numbers {
			unix.CloseOnExec(number)
			files = append(files, os.NewFile(uintptr(number), "passed"))
		}
	}
	return files, nil
}
