package promise

// Explain tells how a peer explains what becomes of a replica, and by which view: P14, that each has an explanation, and that equal
// views give equal ones, to the byte.
func (w *Watch) Explain(peer, view, replica, text string) []Violation {
	f := findings{promise: "P14"}
	if text == "" {
		f.add("%s has nothing to say of %s", peer, replica)
		return f.list
	}
	name := view + " " + replica
	before, known := w.explained[name]
	if known && before.text != text {
		f.add("%s and %s have equal views and explain %s otherwise: %q, %q", before.peer, peer, replica, before.text, text)
	}
	if len(w.explained) >= mostViews {
		clear(w.explained)
	}
	w.explained[name] = explained{peer, text}
	return f.list
}

type explained struct{ peer, text string }
