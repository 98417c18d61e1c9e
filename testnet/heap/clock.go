package heap

import "time"

// wallClock is a peer's wall clock. The clock by which it measures spans never lies.
type wallClock struct {
	off    time.Duration // from the true time
	frozen time.Time     // not zero: it shows this and stands still
	unset  bool          // it runs from 1970, as on a board without a battery
}

// world's true time at its beginning.
var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func (p *Peer) wall() time.Time {
	switch {
	case !p.clock.frozen.IsZero():
		return p.clock.frozen
	case p.clock.unset:
		return time.Unix(0, 0).UTC().Add(p.world.now - p.powerAt)
	}
	return epoch.Add(p.world.now + p.clock.off)
}

// Skew sets the wall clock of a peer off, or steps it if it was off already.
func (w *World) Skew(name string, span time.Duration) {
	w.tracef("the clock of %s is %s off", name, span)
	w.Peer(name).clock = wallClock{off: span}
}

// Freeze stops the wall clock of a peer.
func (w *World) Freeze(name string) {
	p := w.Peer(name)
	w.tracef("the clock of %s stands still", name)
	p.clock.frozen = p.wall()
}

// Unset lets the wall clock of a peer run from 1970 since its machine was last switched on.
func (w *World) Unset(name string) {
	w.tracef("the clock of %s begins in 1970", name)
	w.Peer(name).clock = wallClock{unset: true}
}
