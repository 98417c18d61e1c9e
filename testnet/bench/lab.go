package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"shoal/testnet"
	"shoal/testnet/kit"
)

// stepMost bounds each thing that is waited for.
const stepMost = 60 * time.Second

// lab is what a figure is measured with.
type lab struct {
	kit            kit.Kit
	dir            string
	runs           int
	stdout, stderr io.Writer
}

// cluster is a testnet with a client for each peer.
type cluster struct {
	*testnet.Net
	clients map[string]*testnet.Client
}

// options of every testnet here: each peer offers enough for all figures.
func (l *lab) options(peers int) testnet.Options {
	return testnet.Options{
		Name: fmt.Sprintf("bench-%d", os.Getpid()), Peers: peers, Program: l.kit.Program, Leashed: true,
		CPUMillis: 4000, MemoryBytes: 2 << 30, TTL: time.Hour,
	}
}

// with makes a testnet whose peers hold the image, measures, and ends it.
func (l *lab) with(ctx context.Context, peers int, measure func(context.Context, *cluster) error) (err error) {
	net, err := testnet.Up(ctx, l.options(peers))
	if err != nil {
		return err
	}
	defer func() {
		clean, cancel := context.WithTimeout(context.Background(), stepMost)
		defer cancel()
		err = errors.Join(err, net.Down(clean), net.Left())
	}()
	c := &cluster{net, make(map[string]*testnet.Client)}
	for _, peer := range net.Peers() {
		c.clients[peer] = net.Client(peer)
		defer c.clients[peer].Close()
	}
	if err := l.importImage(ctx, c); err != nil {
		return err
	}
	return measure(ctx, c)
}

func (l *lab) importImage(ctx context.Context, c *cluster) error {
	return c.all(func(peer string) error { return c.clients[peer].ImportImage(ctx, l.kit.Archive) })
}

// await looks until look returns nil, for at most stepMost.
func await(ctx context.Context, look func() error) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, stepMost)
	defer cancel()
	return testnet.Await(ctx, look)
}

// apply asks a peer for a Deployment of the web server and waits until that peer sees all replicas ready.
func (c *cluster) apply(ctx context.Context, peer, name string, replicas int) (time.Duration, error) {
	began := time.Now()
	if err := c.clients[peer].ApplyDeployment(ctx, name, deployment(name, replicas)); err != nil {
		return 0, err
	}
	_, err := await(ctx, func() error { return c.clients[peer].AllReady(ctx, name, replicas) })
	return time.Since(began), err
}

// remove deletes a Deployment and waits until no container of any is left.
func (c *cluster) remove(ctx context.Context, peer, name string) error {
	if err := c.clients[peer].DeleteDeployment(ctx, name); err != nil {
		return err
	}
	_, err := await(ctx, func() error { return c.running(0) })
	return errors.Join(err, c.rest(ctx))
}

// running is nil when exactly count containers run, by the kernel's word.
func (c *cluster) running(count int) error {
	sum := 0
	for _, peer := range c.Peers() {
		containers, err := c.Containers(peer)
		if err != nil {
			return err
		}
		sum += len(containers)
	}
	if sum != count {
		return fmt.Errorf("%d containers run, %d should", sum, count)
	}
	return nil
}

// rest waits until the promises hold.
func (c *cluster) rest(ctx context.Context) error {
	report, err := c.CheckWithin(ctx, stepMost)
	return errors.Join(err, report.Err())
}

// sees is nil when a peer holds exactly the named peers for alive.
func (c *cluster) sees(ctx context.Context, peer string, alive int) error {
	count, err := c.clients[peer].Alive(ctx, c.Peers())
	if err != nil {
		return err
	}
	if count != alive {
		return fmt.Errorf("%s sees %d peers alive, should see %d", peer, count, alive)
	}
	return nil
}

// all does the same for every peer at the same time.
func (c *cluster) all(do func(peer string) error) error {
	var peers sync.WaitGroup
	faults := make([]error, len(c.Peers()))
	for i, peer := range c.Peers() {
		peers.Go(func() { faults[i] = do(peer) })
	}
	peers.Wait()
	return errors.Join(faults...)
}

// deployment is a manifest of the web server: small requests, a readiness probe each second.
func deployment(name string, replicas int) []byte {
	type m = map[string]any
	labels := m{"app": name}
	manifest, err := json.Marshal(m{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": m{"name": name},
		"spec": m{
			"replicas": replicas,
			"selector": m{"matchLabels": labels},
			"template": m{
				"metadata": m{"labels": labels},
				"spec": m{"containers": []m{{
					"name": "web", "image": kit.Image,
					"ports":          []m{{"containerPort": 8080}},
					"readinessProbe": m{"httpGet": m{"path": "/healthz", "port": 8080}, "periodSeconds": 1},
					"resources":      m{"requests": m{"cpu": "20m", "memory": "16Mi"}},
				}}},
			},
		},
	})
	if err != nil {
		panic(err) // of a constant
	}
	return manifest
}
