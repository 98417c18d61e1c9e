package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// errNoEtcd says how to compare with etcd.
var errNoEtcd = errors.New("there is no etcd to compare with: `make bench` unpacks Debian's etcd-server into bin/, or put etcd into the PATH")

// etcd is one server, the only one of its cluster, on the loopback device, with its data beside that of the testnets.
type etcd struct {
	command *exec.Cmd
	log     bytes.Buffer
	http    *http.Client
	url     string
}

// startEtcd starts a server and waits until it takes writes. stop must be called.
func (l *lab) startEtcd(ctx context.Context) (*etcd, error) {
	program, err := exec.LookPath("etcd")
	if err != nil {
		if program = filepath.Join(l.kit.Root, "bin", "etcd"); !executable(program) {
			return nil, errNoEtcd
		}
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	e := &etcd{http: &http.Client{Transport: &http.Transport{}}, url: fmt.Sprintf("http://127.0.0.1:%d", ports[0])}
	peers := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	e.command = exec.Command(program, "--name", "bench", "--data-dir", filepath.Join(l.dir, "etcd"), "--log-level", "error",
		"--listen-client-urls", e.url, "--advertise-client-urls", e.url, "--listen-peer-urls", peers,
		"--initial-advertise-peer-urls", peers, "--initial-cluster", "bench="+peers)
	e.command.Stdout, e.command.Stderr = &e.log, &e.log
	e.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is the bench's to handle
	if err := e.command.Start(); err != nil {
		return nil, err
	}
	if _, err := await(ctx, func() error { return e.put(ctx, "ready", []byte("yes")) }); err != nil {
		return nil, errors.Join(fmt.Errorf("etcd: %w", err), e.stop(), errors.New(e.log.String()))
	}
	return e, nil
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

// freePorts are ports that nobody listens on now.
func freePorts(count int) (ports []int, err error) {
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// put writes one key over the JSON gateway (etcd.io/docs/v3.4/dev-guide/api_grpc_gateway), on a connection that is kept.
func (e *etcd) put(ctx context.Context, key string, value []byte) error {
	encode := base64.StdEncoding.EncodeToString
	body, err := json.Marshal(map[string]string{"key": encode([]byte(key)), "value": encode(value)})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+"/v3/kv/put", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := e.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("etcd answers %s: %s", response.Status, answer)
	}
	return err
}

// stop ends the server, which has no children.
func (e *etcd) stop() error {
	e.http.CloseIdleConnections()
	if err := e.command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop etcd: %w", err)
	}
	hard := time.AfterFunc(5*time.Second, func() { _ = e.command.Process.Kill() }) // it has ended at worst
	defer hard.Stop()
	_ = e.command.Wait() // by the signal
	return nil
}
