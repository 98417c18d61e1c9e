package heap

import (
	"fmt"
	"strings"
)

// Scripts that lead to where a planted fault matters.
const (
	manyDeaths = `
world peers=3 slow
wait 5s
apply p1 web 2 blue
rest
paint p1 web red
restart p1 100ms
paint p2 web green
restart p1 100ms
wait 300ms
paint p2 web blue
restart p1 100ms
wait 300ms
paint p2 web red
restart p1 100ms
rest`
	twoWriters = `
world peers=4
wait 5s
apply p1 web 2 blue
rest
split p1,p2
paint p1 web red
paint p3 web green
wait 1s
heal
rest
paint p4 web blue
rest`
	halves = `
world peers=5
wait 5s
contradict p1 web
wait 5s
rest`
	offWhileDeleted = `
world peers=4
wait 5s
apply p1 web 2 blue
rest
off p3
wait 10s
delete p2 web
age 40m`
	deafPeer = `
world peers=4
wait 5s
apply p1 web 2 blue
rest
wait 5s
delete p2 web
age 70m`
	oldDisk = `
world peers=4
wait 5s
apply p1 web 2 blue
rest
backup p3
off p3
on
rest
delete p2 web
apply p1 api 1 red
age 40m
off p3
restore p3
on
rest`
	forgery = `
world peers=4
wait 5s
apply p1 web 2 blue
forge p2 web
wait 3s
rest`
	longCut = `
world peers=6
wait 5s
apply p1 web 12 blue
rest
split p1,p2,p3
scale p1 web 13
paint p5 web red
wait 40s
heal
rest`
	rolledOutInACut = `
world peers=6
wait 5s
apply p1 web 9 blue
rest
split p1,p2
rest
apply p3 web 9 green
rest
healalone`
	invalidTogether = `
world peers=4
wait 5s
apply p1 web 3 blue
rest
split p1,p2
set p1 web spec/template/spec/containers/name=web/resources/limits/cpu 150m
set p3 web spec/template/spec/containers/name=web/resources/requests/cpu 200m
rest
healalone
still`
	lateRival = `
world peers=4
wait 5s
apply p1 web 2 blue
set p1 web metadata/labels/team a
rest
wait 10s
set p1 web metadata/labels/team
age 11m
set p4 web metadata/labels/team b
wait 1m
restart p1 1s
restart p2 1s
restart p3 1s
restart p4 1s
wait 3m
rest`
	badValue = `
world peers=3
wait 5s
apply p1 web 2 blue
rest
trip p2 web
scale p1 web 3
wait 3s
restart p2 1s
wait 3s
restart p2 1s
wait 3s
restart p2 1s
wait 3s
restart p2 1s
wait 3s`
)

// manyWords is a script in which much is said to peers that are away and not yet known to be.
func manyWords() string {
	var b strings.Builder
	b.WriteString("world peers=4\nwait 5s\napply p1 web 1 blue\nrest\nsplit p1\n")
	for n := range 120 {
		fmt.Fprintf(&b, "paint p1 web %s\n", colors[n%len(colors)])
	}
	b.WriteString("heal\nrest\n")
	return b.String()
}
