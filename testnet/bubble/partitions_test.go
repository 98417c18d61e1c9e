package bubble

import (
	"fmt"
	"net/netip"
	"time"
)

func elsewhere(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}) }

// partitions are ways to be apart and to come together again. Each ends with everything connected.
var partitions = []struct {
	name string
	run  func(w *World)
}{
	{"a cut of 1 s", func(w *World) { w.apart(time.Second) }},
	{"a cut of 10 s", func(w *World) { w.apart(10 * time.Second) }},
	{"a cut of a minute", func(w *World) { w.apart(time.Minute) }},
	{"a cut of ten minutes", func(w *World) { w.apart(10 * time.Minute) }},
	{"nested cuts", func(w *World) {
		w.Split(names(1, 3), names(4, 6))
		time.Sleep(time.Minute)
		w.Split(names(1, 1), names(2, 3), names(4, 6))
		w.eachWrites("inner")
		time.Sleep(time.Minute)
		w.Split(names(1, 3), names(4, 6))
		time.Sleep(time.Minute)
		w.Split(names(1, 2), names(3, 4), names(5, 6))
		time.Sleep(time.Minute)
		w.heals("nested cuts", w.Heal)
	}},
	{"a one-way cut", func(w *World) {
		w.Deafen(names(1, 3), names(4, 6))
		time.Sleep(2 * time.Minute)
		w.eachWrites("deaf")
		w.heals("a one-way cut", w.Heal)
	}},
	{"a peer that hears nobody", func(w *World) {
		w.Deafen(names(2, 6), names(1, 1))
		time.Sleep(2 * time.Minute)
		w.eachWrites("deaf")
		w.heals("a peer that hears nobody", w.Heal)
	}},
	{"a side restarted during the cut", func(w *World) {
		w.Split(names(1, 3), names(4, 6))
		time.Sleep(time.Minute)
		w.eachWrites("before")
		w.restart(names(4, 6), nil)
		time.Sleep(time.Minute)
		w.eachWrites("after")
		w.heals("a side restarted during the cut", w.Heal)
	}},
	{"both sides restarted during the cut", func(w *World) {
		w.Split(names(1, 3), names(4, 6))
		time.Sleep(time.Minute)
		w.restart(names(1, 6), nil)
		time.Sleep(time.Minute)
		w.eachWrites("after")
		w.heals("both sides restarted during the cut", w.Heal)
	}},
	{"a side moved during the cut", func(w *World) {
		w.Split(names(1, 3), names(4, 6))
		time.Sleep(time.Minute)
		n := 0
		w.restart(names(1, 3), func(p *Peer) { n++; p.Move(elsewhere(n)) })
		time.Sleep(time.Minute)
		w.eachWrites("after")
		w.heals("a side moved during the cut", w.Heal)
	}},
	{"a peer with another address", func(w *World) {
		p := w.Peer("p2")
		p.Crash()
		p.Move(elsewhere(1))
		w.heals("a peer with another address, at once", p.Start)
		p.Crash()
		time.Sleep(time.Minute)
		p.Move(elsewhere(2))
		w.heals("a peer with another address, after a minute", p.Start)
	}},
	{"the seed with another address", func(w *World) {
		p := w.Peer("p1")
		p.Crash()
		time.Sleep(time.Minute)
		p.Move(elsewhere(1))
		w.heals("the seed with another address", p.Start)
	}},
	{"a peer with another name", func(w *World) {
		p := w.Peer("p3")
		p.Crash()
		p.called = "renamed"
		w.heals("a peer with another name", p.Start)
		p.Crash()
		time.Sleep(time.Minute)
		p.called = "p1" // that of another: names are for people
		w.heals("a peer with another's name", p.Start)
	}},
	{"two peers that swap addresses", func(w *World) {
		for _, away := range []time.Duration{0, time.Minute} {
			a, b := w.Peer("p2"), w.Peer("p5")
			a.Crash()
			b.Crash()
			time.Sleep(away)
			at, bt := a.addr, b.addr
			a.Move(bt)
			b.Move(at)
			w.heals(fmt.Sprintf("two peers that swap addresses, away for %v", away), func() { a.Start(); b.Start() })
			w.eachWrites(fmt.Sprintf("swapped-%d", int(away.Seconds())))
			w.heals("writes after the swap", func() {})
		}
	}},
	{"a cut that comes and goes", func(w *World) {
		for i := range 10 {
			w.Split(names(1, 1+i%5), names(2+i%5, 6))
			time.Sleep(time.Duration(1+3*i) * time.Second)
			w.eachWrites(fmt.Sprint("shaken-", i))
			w.Heal()
			time.Sleep(time.Duration(10-i) * time.Second / 4)
		}
		w.heals("a cut that comes and goes", w.Heal)
	}},
	{"a side renamed during the cut", func(w *World) {
		w.Split(names(1, 3), names(4, 6))
		time.Sleep(time.Minute)
		w.restart(names(1, 3), func(p *Peer) { p.called = "new-" + p.Name })
		time.Sleep(time.Minute)
		w.eachWrites("after")
		w.heals("a side renamed during the cut", w.Heal)
	}},
	{"everything at once", func(w *World) {
		w.Split(names(1, 3), names(4, 6))
		time.Sleep(time.Minute)
		w.restart(names(2, 2), func(p *Peer) { p.called, p.addr = "new-p2", elsewhere(2) })
		w.Split(names(1, 1), names(2, 3), names(4, 6))
		w.Deafen(names(4, 4), names(5, 6))
		w.eachWrites("inner")
		time.Sleep(time.Minute)
		w.restart(names(4, 5), func(p *Peer) { p.Move(elsewhere(int(p.addr.As4()[3]))) })
		time.Sleep(time.Minute)
		w.Split(names(1, 2), names(3, 4), names(5, 6))
		w.restart(names(1, 1), nil)
		w.eachWrites("outer")
		time.Sleep(time.Minute)
		w.heals("everything at once", w.Heal)
	}},
	{"a month off during the cut", func(w *World) { w.off(30 * 24 * time.Hour) }},
	{"a year off during the cut", func(w *World) { w.off(365 * 24 * time.Hour) }},
	{"all restarted at once", func(w *World) { w.heals("all restarted at once", func() { w.restart(names(1, 6), nil) }) }},
}

// apart cuts the world in two for that long, with writes on both sides, and heals it.
func (w *World) apart(span time.Duration) {
	w.Split(names(1, 2), names(3, 6))
	time.Sleep(span / 2)
	w.eachWrites(fmt.Sprintf("apart-%d", int(span.Seconds())))
	time.Sleep(span / 2)
	w.heals(fmt.Sprintf("a cut of %v", span), w.Heal)
}

// off cuts the world in two, with all machines off for that long in the middle of the cut, and writes and deletions before
// and after. What was deleted stays so.
func (w *World) off(span time.Duration) {
	w.Peer("p1").Apply("web", web(0, "blue"))
	w.heals("something to delete", func() {})
	w.Split(names(1, 3), names(4, 6))
	time.Sleep(time.Minute)
	w.eachWrites("before")
	w.Peer("p5").Delete("web")
	for _, p := range w.peers {
		p.PowerOff()
	}
	time.Sleep(span)
	for _, p := range w.peers {
		p.Start()
	}
	time.Sleep(time.Minute)
	w.eachWrites("after")
	w.heals(fmt.Sprintf("%v off during the cut", span), w.Heal)
	for _, p := range w.peers {
		if object, live := p.Get("web"); live {
			w.t.Errorf("%s brought the deleted object back: %s", p.Name, object)
		}
	}
}
