//go:build race

package heap

// raced says that the race detector runs, under which all takes several times longer: large worlds are smaller then.
const raced = true
