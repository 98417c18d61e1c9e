//go:build race

package bubble

// raced says that the race detector runs, under which all takes several times longer: large and long bubbles are smaller then.
const raced = true
