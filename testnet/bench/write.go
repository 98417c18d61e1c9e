package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// writesEach is how many writes each of the compared does, for each of -runs.
	writesEach = 60
	// writePause lies between two writes: both stores are at rest when the next one comes.
	writePause = 10 * time.Millisecond
)

// writeCutOff measures writes on a peer that reaches nobody by turns with the least that such a write can be, and with puts of
// the same bytes to an etcd of one server, on the same disk.
func writeCutOff(ctx context.Context, l *lab) ([]series, error) {
	own := series{name: "write on a cut-off peer, signed, on disk: the peer's own account", reach: "0.5 ms, p99 3 ms", unit: "ms"}
	whole := series{name: "the write as a whole request over the unix socket", unit: "ms"}
	least := series{name: "in the same run a bare signature and one synced write of a sector", unit: "ms"}
	put := series{name: "etcd in the same run: a put as a whole request over its gateway", unit: "ms"}
	bare, err := l.startBare()
	if err != nil {
		return nil, err
	}
	defer bare.stop()
	server, err := l.startEtcd(ctx)
	switch {
	case errors.Is(err, errNoEtcd):
		fmt.Fprintln(l.stderr, err)
	case err != nil:
		return nil, err
	default:
		defer server.stop()
	}
	err = l.with(ctx, 3, func(ctx context.Context, c *cluster) error {
		if err := c.cutOff(ctx, "p3"); err != nil {
			return err
		}
		for i := range writesEach * l.runs {
			time.Sleep(writePause)
			began := time.Now()
			written, err := c.annotate(ctx, "p3", i)
			if err != nil {
				return err
			}
			whole.add(time.Since(began))
			own.add(written)
			time.Sleep(writePause)
			began = time.Now()
			if err := bare.write(); err != nil {
				return err
			}
			least.add(time.Since(began))
			if server == nil {
				continue
			}
			time.Sleep(writePause)
			began = time.Now()
			if err := server.put(ctx, "/registry/deployments/default/web", deployment("web", i)); err != nil {
				return err
			}
			put.add(time.Since(began))
		}
		return nil
	})
	if server == nil {
		return []series{own, least, whole}, err
	}
	return []series{own, least, whole, put}, err
}

// cutOff gives the cluster a Deployment without replicas and cuts one peer off from all others.
func (c *cluster) cutOff(ctx context.Context, peer string) error {
	if _, err := c.apply(ctx, peer, "web", 0); err != nil {
		return err
	}
	if err := c.Split(ctx, [][]string{{peer}}); err != nil {
		return err
	}
	if _, err := await(ctx, func() error { return c.sees(ctx, peer, 1) }); err != nil {
		return err
	}
	return c.rest(ctx)
}
