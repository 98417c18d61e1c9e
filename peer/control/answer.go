package control

import "slices"

// Answer takes in the writes that wait, and returns what must be on disk before they are answered, the answers, and what they
// send. It plans nothing, so that nobody who writes waits for a plan, nor for what came from others in the same moment:
// Flush, which must follow, does the rest. Before the first Flush it does nothing.
func (m *Machine) Answer(now Clock) Output {
	if !m.begun {
		return Output{Version: m.version}
	}
	m.now = now
	var writes []Write
	m.inbox = slices.DeleteFunc(m.inbox, func(event Event) bool {
		w, ok := event.(Write)
		if ok {
			writes = append(writes, w)
		}
		return ok
	})
	for _, w := range writes {
		m.answered = true
		if failure := guard(func() { m.write(w) }); failure != "" {
			m.eventFailed(w, failure)
		}
	}
	return m.handOut()
}

// handOut gives out what was gathered.
func (m *Machine) handOut() Output {
	if m.touched {
		m.touched = false
		m.version++
	}
	m.out.Persist = tidy(m.out.Persist)
	m.out.Version = m.version
	for i := range m.out.Replies {
		m.out.Replies[i].Version = m.version
	}
	out := m.out
	m.out = Output{}
	return out
}
