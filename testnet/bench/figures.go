package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"shoal/testnet"
)

// figures in the order in which they are printed.
var figures = []figure{
	{"killed", containerKilled},
	{"apply", applied},
	{"power", powerLost},
	{"heal", healed},
	{"spread", writeSpread},
	{"start", containerStart},
	{"memory", memoryAtRest},
	{"up", testnetUp},
	{"reconcile-1m", reconcile().measure},
	{"equal-1m", equal.measure},
	{"fill-1m", fill.measure},
	{"write-cut-off", writeCutOff},
	{"take-in-signed", takeInSigned},
	{"write-to-100", writeTo100.measure},
	{"false-deaths", falseDeaths.measure},
	{"profiles", profileRows().measure},
	{"heap-1000", heapThousand.measure},
	{"heap-cuts", heapCuts.measure},
	{"rest-traffic", restTraffic.measure},
	{"flapping", flapping.measure},
	{"returning", returning.measure},
	{"heap-fleet", heapFleet.measure},
	{"moves", moving.measure},
	{"packing", packing.measure},
	{"decisions", deciding.measure},
	{"preferences", preferring.measure},
	{"replan", replanning.measure},
	{"exclusive", schedules.measure},
	{"exclusive-heap", exclusiveLives.measure},
}

// containerKilled kills each container once: a second kill soon after waits for its back-off, as it should.
func containerKilled(ctx context.Context, l *lab) ([]series, error) {
	s := series{name: "container killed, back and ready", reach: "1 s", unit: "s"}
	err := l.with(ctx, 3, func(ctx context.Context, c *cluster) error {
		if _, err := c.apply(ctx, "p1", "web", l.runs); err != nil {
			return err
		}
		for _, peer := range c.Peers() {
			containers, err := c.Containers(peer)
			if err != nil {
				return err
			}
			for _, name := range slices.Sorted(maps.Keys(containers)) {
				took, err := c.killOne(ctx, peer, name, l.runs)
				if err != nil {
					return err
				}
				s.add(took)
			}
		}
		return nil
	})
	return []series{s}, err
}

func (c *cluster) killOne(ctx context.Context, peer, name string, replicas int) (time.Duration, error) {
	before, err := c.restarts(ctx, peer)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := c.KillContainer(ctx, peer, name); err != nil {
		return 0, err
	}
	_, err = await(ctx, func() error {
		now, err := c.restarts(ctx, peer)
		if err == nil && now != before+1 {
			err = fmt.Errorf("%s counts %d restarts, %d before", peer, now, before)
		}
		return errors.Join(err, c.clients[peer].AllReady(ctx, "web", replicas))
	})
	return time.Since(began), err
}

func (c *cluster) restarts(ctx context.Context, peer string) (sum int, err error) {
	pods, err := c.clients[peer].Pods(ctx, "web")
	for _, pod := range pods {
		sum += pod.Restarts()
	}
	return sum, err
}

func applied(ctx context.Context, l *lab) ([]series, error) {
	all := []series{
		{name: "apply of 1 replica on 3 peers, to all ready", reach: "0.4 s", unit: "s"},
		{name: "apply of 10 replicas on 3 peers, to all ready", reach: "1.5 s", unit: "s"},
		{name: "apply of 50 replicas on 3 peers, to all ready", reach: "6 s", unit: "s"},
	}
	err := l.with(ctx, 3, func(ctx context.Context, c *cluster) error {
		for i, replicas := range []int{1, 10, 50} {
			for run := range l.runs {
				name := fmt.Sprintf("web%d-%d", replicas, run)
				took, err := c.apply(ctx, "p1", name, replicas)
				if err != nil {
					return err
				}
				all[i].add(took)
				if err := c.remove(ctx, "p1", name); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return all, err
}

// powerLost cuts the power of one peer after the other.
func powerLost(ctx context.Context, l *lab) ([]series, error) {
	const replicas = 10
	s := series{name: "power loss of 1 of 5 peers, every replica ready again", reach: "median 5 s, worst 8 s", unit: "s"}
	err := l.with(ctx, 5, func(ctx context.Context, c *cluster) error {
		if _, err := c.apply(ctx, "p1", "web", replicas); err != nil {
			return err
		}
		for run := range l.runs {
			victim, err := c.holder(run)
			if err != nil {
				return err
			}
			began := time.Now()
			if err := c.Kill(ctx, victim); err != nil {
				return err
			}
			witness := c.Peers()[(slices.Index(c.Peers(), victim)+1)%5]
			if _, err := await(ctx, func() error { return c.readyAway(ctx, witness, victim, replicas) }); err != nil {
				return err
			}
			s.add(time.Since(began))
			if err := errors.Join(c.Start(ctx, victim), c.rest(ctx)); err != nil {
				return err
			}
		}
		return nil
	})
	return []series{s}, err
}

// holder is a peer that runs containers, another one each time.
func (c *cluster) holder(run int) (string, error) {
	peers := c.Peers()
	for i := range peers {
		peer := peers[(run+i)%len(peers)]
		if containers, err := c.Containers(peer); err != nil || len(containers) > 0 {
			return peer, err
		}
	}
	return "", errors.New("no peer runs a container")
}

func (c *cluster) readyAway(ctx context.Context, witness, victim string, replicas int) error {
	pods, err := c.clients[witness].Pods(ctx, "web")
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if pod.Spec.NodeName == victim {
			return fmt.Errorf("%s sees %s on %s", witness, pod.Metadata.Name, victim)
		}
	}
	return c.clients[witness].AllReady(ctx, "web", replicas)
}

// healed measures until the kernel says that each replica runs once, and a peer of each side that all are ready.
func healed(ctx context.Context, l *lab) ([]series, error) {
	const replicas = 10
	s := series{name: "after a heal, surplus copies gone", reach: "5 s", unit: "s"}
	err := l.with(ctx, 5, func(ctx context.Context, c *cluster) error {
		if _, err := c.apply(ctx, "p1", "web", replicas); err != nil {
			return err
		}
		for range l.runs {
			if err := c.splitFully(ctx, replicas); err != nil {
				return err
			}
			began := time.Now()
			if err := c.Heal(ctx); err != nil {
				return err
			}
			_, err := await(ctx, func() error {
				if err := c.running(replicas); err != nil {
					return err
				}
				return errors.Join(c.clients["p1"].AllReady(ctx, "web", replicas), c.clients["p5"].AllReady(ctx, "web", replicas))
			})
			if err != nil {
				return err
			}
			s.add(time.Since(began))
			if err := c.rest(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	return []series{s}, err
}

// splitFully splits 2 to 3 and waits until both sides run all replicas.
func (c *cluster) splitFully(ctx context.Context, replicas int) error {
	if err := c.Split(ctx, [][]string{{"p1", "p2"}, {"p3", "p4", "p5"}}); err != nil {
		return err
	}
	_, err := await(ctx, func() error { return c.running(2 * replicas) })
	return errors.Join(err, c.rest(ctx))
}

// mark is the annotation that the benchmarks write.
const mark = "example.com/mark"

func (c *cluster) annotate(ctx context.Context, peer string, value int) (time.Duration, error) {
	patch := map[string]any{"metadata": map[string]any{"annotations": map[string]any{mark: strconv.Itoa(value)}}}
	return c.clients[peer].PatchDeployment(ctx, "web", patch)
}

// writeSpread measures from the request on one peer until the last of all five shows the write.
func writeSpread(ctx context.Context, l *lab) ([]series, error) {
	s := series{name: "write on one peer seen by all 5", reach: "200 ms", unit: "ms"}
	err := l.with(ctx, 5, func(ctx context.Context, c *cluster) error {
		if _, err := c.apply(ctx, "p1", "web", 1); err != nil {
			return err
		}
		if err := c.rest(ctx); err != nil {
			return err
		}
		for run := range 4 * l.runs {
			began := time.Now()
			if _, err := c.annotate(ctx, c.Peers()[run%5], run); err != nil {
				return err
			}
			err := c.all(func(peer string) error {
				_, err := await(ctx, func() error { return c.marked(ctx, peer, run) })
				return err
			})
			if err != nil {
				return err
			}
			s.add(time.Since(began))
			time.Sleep(200 * time.Millisecond)
		}
		return nil
	})
	return []series{s}, err
}

func (c *cluster) marked(ctx context.Context, peer string, value int) error {
	d, err := c.clients[peer].Deployment(ctx, "web")
	if err == nil && d.Metadata.Annotations[mark] != strconv.Itoa(value) {
		err = fmt.Errorf("%s does not show write %d yet", peer, value)
	}
	return err
}

// restFor is how long agents are left alone before their memory is read.
const restFor = 30 * time.Second

// memoryAtRest reads every agent: supervisor and main process together.
func memoryAtRest(ctx context.Context, l *lab) ([]series, error) {
	rss := series{name: "memory of an agent at rest, 5 peers: resident (RSS)", reach: "64 MiB", unit: "MiB"}
	pss := series{name: "the same, with shared pages shared out (PSS)", reach: "", unit: "MiB"}
	err := l.with(ctx, 5, func(ctx context.Context, c *cluster) error {
		if _, err := c.apply(ctx, "p1", "web", 10); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(restFor):
		}
		peers, err := c.PS(ctx)
		for _, p := range peers {
			rss.all = append(rss.all, float64(p.RSSBytes)/(1<<20))
			pss.all = append(pss.all, float64(p.PSSBytes)/(1<<20))
		}
		return err
	})
	return []series{rss, pss}, err
}

func testnetUp(ctx context.Context, l *lab) ([]series, error) {
	s := series{name: "`testnet up -n 5` until all are members of each other", reach: "5 s", unit: "s"}
	for range l.runs {
		began := time.Now()
		net, err := testnet.Up(ctx, l.options(5))
		if err != nil {
			return nil, err
		}
		s.add(time.Since(began))
		if err := net.Down(ctx); err != nil {
			return nil, err
		}
	}
	return []series{s}, nil
}
