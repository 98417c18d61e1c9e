package peer

import "sync"

// changes tells watchers that the version has risen.
type changes struct {
	mu      sync.Mutex
	version uint64
	next    chan struct{}
}

func (c *changes) raise(version uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if version <= c.version {
		return
	}
	c.version = version
	if c.next != nil {
		close(c.next)
		c.next = nil
	}
}

// after returns a channel that is closed once the version is above since.
func (c *changes) after(since uint64) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version > since {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	if c.next == nil {
		c.next = make(chan struct{})
	}
	return c.next
}
