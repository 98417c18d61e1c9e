// Demo tells Shoal's story with real containers: five peers on this machine take a workload, and go on when a
// container, a machine, an agent and the network die. Every step prints what happened and how long
// it took, and every claim is checked: the exit code is 1 where one does not hold.
//
//	go run -tags seccomp ./testnet/demo            (or: make demo; as root)
//
// It builds shoal and the example image into a directory of its own, ends by itself within two minutes after that,
// and leaves nothing: no process, mount, namespace, cgroup or file, also when it is interrupted. Killed with SIGKILL
// it leaves the directory that it built in, and nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"shoal/testnet/kit"
)

// storyMost bounds the story, without the build.
const storyMost = 2 * time.Minute

// downMost bounds the clearing up, of which nothing may be left out.
const downMost = 15 * time.Second

func main() { os.Exit(run()) }

func run() int {
	n := newNarrator(os.Stdout)
	if os.Geteuid() != 0 {
		n.failed(errors.New("the demo needs root: it makes namespaces, network devices and cgroups, all apart from this machine's own. Run: sudo make demo"))
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	dir, err := os.MkdirTemp("", "shoal-demo-")
	if err != nil {
		n.failed(err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := tell(ctx, n, dir); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		n.failed(err)
		return 1
	}
	return 0
}

// tell builds, and tells the story; when it returns nothing of the testnet is left.
func tell(ctx context.Context, n *narrator, dir string) (err error) {
	n.say("%s", n.paint("1", "Shoal runs containers on machines that have no master."))
	n.say("Five machines are made of namespaces on this one. Each runs the same program, a peer. Nothing else of this machine is touched.")
	began := time.Now()
	built, err := kit.Build(ctx, dir)
	if err != nil {
		return err
	}
	n.say("Built shoal, a small web server and its image in %s.", seconds(time.Since(began)))

	began = time.Now()
	ctx, cancel := context.WithTimeout(ctx, storyMost-downMost)
	defer cancel()
	s := &story{narrator: n, kit: built, dir: dir, name: fmt.Sprintf("demo-%d", os.Getpid())}
	defer func() { err = errors.Join(err, s.end(began)) }()
	return s.tell(ctx)
}

// end takes the testnet down and checks that nothing of it is left.
func (s *story) end(began time.Time) error {
	if s.net == nil {
		return nil
	}
	s.begin("The end.")
	s.command("shoal testnet down")
	ctx, cancel := context.WithTimeout(context.Background(), downMost)
	defer cancel()
	from := time.Now()
	if err := s.net.Down(ctx); err != nil {
		return err
	}
	if left := s.net.Left(); left != nil {
		return left
	}
	s.did(time.Since(from), "no process, mount, namespace, cgroup or file is left")
	if !s.finished {
		return nil
	}
	if took := time.Since(began); took > storyMost {
		return fmt.Errorf("the story took %s, which is more than %s", seconds(took), storyMost)
	}
	s.say("\n%s", s.paint("1", fmt.Sprintf("All of it held. The story took %s.", seconds(time.Since(began)))))
	s.say("Try it by hand: shoal testnet up -n 5, and then the commands above. See README.md.")
	return nil
}
