package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"shoal/testnet"
	"shoal/testnet/kit"
)

// workload is the Deployment of examples/web.yaml, which asks for replicas copies.
const (
	workload = "web"
	replicas = 6
	scaled   = 8 // what one side scales to while the network is split
)

// story is the state of the telling.
type story struct {
	*narrator
	kit      kit.Kit
	dir      string
	name     string
	net      *testnet.Net
	clients  map[string]*testnet.Client
	victim   string            // the peer that lost its power
	foreseen map[string]string // where each replica was said to be after that
	finished bool
}

func (s *story) tell(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.start, s.importImage, s.apply, s.why, s.killContainer, s.foresee, s.losePower, s.powerBack, s.killAgent, s.split, s.heal, s.receipt, s.disagree, s.promises,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.finished = true
	return nil
}

func (s *story) start(ctx context.Context) (err error) {
	s.begin("Five peers start. The first makes the cluster; a ticket from it lets the others join.")
	s.command("shoal testnet up -n 5")
	began := time.Now()
	s.net, err = testnet.Up(ctx, testnet.Options{Name: s.name, Peers: 5, Program: s.kit.Program, Leashed: true, TTL: 2 * storyMost})
	if err != nil {
		return err
	}
	s.did(time.Since(began), "each of the five sees all five alive")
	s.clients = make(map[string]*testnet.Client)
	for _, peer := range s.net.Peers() {
		s.clients[peer] = s.net.Client(peer)
	}
	return nil
}

func (s *story) importImage(ctx context.Context) error {
	s.begin("The web server's image goes to each peer, from a file: no registry, no internet.")
	began := time.Now()
	if _, err := s.shoal(ctx, "all", "image", "import", s.kit.Archive); err != nil {
		return err
	}
	s.did(time.Since(began), "five peers hold %s", kit.Image)
	return nil
}

func (s *story) apply(ctx context.Context) error {
	s.begin(fmt.Sprintf("Any peer takes any command. Here p3 is told to run %d copies, each with a readiness probe.", replicas))
	began := time.Now()
	if _, err := s.shoal(ctx, "p3", "apply", "-f", filepath.Join(s.kit.Root, "examples/web.yaml"), "--wait=false"); err != nil {
		return err
	}
	s.note("accepted, signed and on disk after %s", seconds(time.Since(began)))
	if _, err := testnet.Await(ctx, func() error { return s.clients["p3"].AllReady(ctx, workload, replicas) }); err != nil {
		return err
	}
	s.did(time.Since(began), "%d of %d are ready", replicas, replicas)
	if err := s.showPlaces(ctx, "p3"); err != nil {
		return err
	}
	return s.serves(ctx, replicas, "p3")
}

func (s *story) killContainer(ctx context.Context) error {
	peer, containers, err := s.holder("p3")
	if err != nil {
		return err
	}
	name := slices.Sorted(maps.Keys(containers))[0]
	s.begin(fmt.Sprintf("A container is killed: %s on %s.", name, peer))
	s.command(fmt.Sprintf("kill -9 %d", containers[name].PID))
	before, err := s.restarts(ctx, peer)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := s.net.KillContainer(ctx, peer, name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err = testnet.Await(ctx, func() error {
		now, err := s.restarts(ctx, peer)
		if err == nil && now != before+1 {
			err = fmt.Errorf("%s counts %d restarts, %d before", peer, now, before)
		}
		return errors.Join(err, s.clients[peer].AllReady(ctx, workload, replicas))
	})
	if err != nil {
		return err
	}
	s.did(time.Since(began), "it is back, on the same peer, and ready")
	delete(containers, name)
	if err := s.net.SameContainers(peer, containers); err != nil {
		return err
	}
	return nil
}

func (s *story) losePower(ctx context.Context) error {
	victim := s.victim
	lost, err := s.net.Containers(victim)
	if err != nil {
		return err
	}
	s.begin(fmt.Sprintf("%s loses its power, with %d of the containers on it.", victim, len(lost)))
	s.command("shoal testnet kill " + victim)
	others := s.others(victim)
	kept, err := s.containersOf(others)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := s.net.Kill(ctx, victim); err != nil {
		return err
	}
	_, err = testnet.Await(ctx, func() error { return s.readyAway(ctx, others[0], victim) })
	if err != nil {
		return err
	}
	s.did(time.Since(began), "the others noticed, and all %d are ready on peers that live", replicas)
	if err := s.same(kept); err != nil {
		return err
	}
	s.holds("only what was lost moved: the other %d containers run on untouched", count(kept))
	if err := s.cameTrue(ctx, others[0]); err != nil {
		return err
	}
	return s.showPlaces(ctx, others[0])
}

// readyAway is nil when all replicas are ready, and none is where the victim was.
func (s *story) readyAway(ctx context.Context, peer, victim string) error {
	pods, err := s.clients[peer].Pods(ctx, workload)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if pod.Spec.NodeName == victim {
			return fmt.Errorf("%s still sees %s on %s", peer, pod.Metadata.Name, victim)
		}
	}
	return s.clients[peer].AllReady(ctx, workload, replicas)
}

func (s *story) powerBack(ctx context.Context) error {
	s.begin(fmt.Sprintf("%s boots again, on the disk that it had. It is told of no other peer.", s.victim))
	s.command("shoal testnet start " + s.victim)
	began := time.Now()
	err := s.net.Start(ctx, s.victim)
	if err != nil {
		return err
	}
	if err := s.settled(ctx, s.net.Peers()); err != nil {
		return err
	}
	s.did(time.Since(began), "it is a member again, and all five agree")
	_, err = testnet.Await(ctx, func() error {
		if now, err := s.net.Containers(s.victim); err != nil || len(now) == 0 {
			return errors.Join(err, fmt.Errorf("nothing runs on %s yet", s.victim))
		}
		return s.clients[s.victim].AllReady(ctx, workload, replicas)
	})
	if err != nil {
		return err
	}
	if err := s.settled(ctx, s.net.Peers()); err != nil {
		return err
	}
	s.did(time.Since(began), "it has its share again: a replica went there once it was ready there, and no other moved")
	return nil
}

func (s *story) killAgent(ctx context.Context) error {
	peer, containers, err := s.holder("p1")
	if err != nil {
		return err
	}
	s.begin(fmt.Sprintf("The agent of %s is killed with SIGKILL.", peer))
	s.command("shoal testnet kill-agent " + peer)
	began := time.Now()
	if err := s.net.KillAgent(ctx, peer, false); err != nil {
		return err
	}
	if err := s.net.SameContainers(peer, containers); err != nil {
		return err
	}
	if _, err := testnet.Await(ctx, func() error { return s.clients[peer].AllReady(ctx, workload, replicas) }); err != nil {
		return err
	}
	s.did(time.Since(began), "it is back and knows all its containers")
	if err := s.net.SameContainers(peer, containers); err != nil {
		return err
	}
	s.holds("no container of it stopped: the same %d processes run on", len(containers))
	return nil
}

// The sides of the split.
var two, three = []string{"p1", "p2"}, []string{"p3", "p4", "p5"}

func (s *story) split(ctx context.Context) error {
	s.begin("The network splits, 2 to 3. Nobody is in charge, so both sides go on.")
	s.command("shoal testnet split p1,p2/p3,p4,p5")
	before, err := s.containersOf(s.net.Peers())
	if err != nil {
		return err
	}
	began := time.Now()
	if err := s.net.Split(ctx, [][]string{two, three}); err != nil {
		return err
	}
	for _, side := range [][]string{two, three} {
		_, err := testnet.Await(ctx, func() error { return s.readyOn(ctx, side, replicas, "blue") })
		if err != nil {
			return err
		}
	}
	s.did(time.Since(began), "each side has noticed, and has all %d ready", replicas)
	if err := s.same(before); err != nil {
		return err
	}
	s.holds("no container stopped because of the cut")
	if err := s.changeBothSides(ctx); err != nil {
		return err
	}
	return errors.Join(s.serves(ctx, scaled, two...), s.serves(ctx, replicas, three...))
}

// changeBothSides scales on one side and changes a variable on the other.
func (s *story) changeBothSides(ctx context.Context) error {
	manifest, err := os.ReadFile(filepath.Join(s.kit.Root, "examples/web.yaml"))
	if err != nil {
		return err
	}
	green := filepath.Join(s.dir, "green.yaml")
	if err := os.WriteFile(green, []byte(strings.Replace(string(manifest), "value: blue", "value: green", 1)), 0o644); err != nil {
		return err
	}
	began := time.Now()
	if _, err := s.shoal(ctx, "p1", "scale", "deployment/"+workload, fmt.Sprintf("--replicas=%d", scaled)); err != nil {
		return err
	}
	if _, err := testnet.Await(ctx, func() error { return s.readyOn(ctx, two, scaled, "blue") }); err != nil {
		return err
	}
	s.did(time.Since(began), "on the side of two, someone scales to %d: %d are ready there", scaled, scaled)
	began = time.Now()
	if _, err := s.shoal(ctx, "p4", "apply", "-f", green, "--wait=false"); err != nil {
		return err
	}
	if _, err := testnet.Await(ctx, func() error { return s.readyOn(ctx, three, replicas, "green") }); err != nil {
		return err
	}
	s.did(time.Since(began), "on the side of three, someone changes COLOR to green: %d green ones are ready there", replicas)
	return nil
}

func (s *story) heal(ctx context.Context) error {
	s.begin("The network heals.")
	s.command("shoal testnet heal")
	greens, err := s.containersOf(three)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := s.net.Heal(ctx); err != nil {
		return err
	}
	_, err = testnet.Await(ctx, func() error { return s.membersAll(ctx) })
	if err != nil {
		return err
	}
	s.did(time.Since(began), "one cluster again")
	_, err = testnet.Await(ctx, func() error { return s.merged(ctx) })
	if err != nil {
		return err
	}
	s.did(time.Since(began), "every peer holds both changes: %d replicas, COLOR green", scaled)
	if err := s.settled(ctx, s.net.Peers()); err != nil {
		return err
	}
	_, err = testnet.Await(ctx, func() error { return s.readyOn(ctx, s.net.Peers(), scaled, "green") })
	if err != nil {
		return err
	}
	s.did(time.Since(began), "%d are ready, each exactly once: the surplus copies are gone", scaled)
	if err := s.same(greens); err != nil {
		return err
	}
	s.holds("no healthy container was restarted without need: the %d green ones run on as they were", count(greens))
	if err := s.showPlaces(ctx, "p5"); err != nil {
		return err
	}
	return s.serves(ctx, scaled, "p5")
}

func (s *story) promises(ctx context.Context) error {
	s.begin("The promises, checked on every peer and against what the kernel says runs.")
	s.command("shoal testnet check")
	began := time.Now()
	report, err := s.net.CheckWithin(ctx, 10*time.Second)
	if err != nil {
		return err
	}
	for _, line := range report.Lines {
		s.note("%s", line)
	}
	if err := report.Err(); err != nil {
		return err
	}
	s.did(time.Since(began), "all of them hold")
	return nil
}
