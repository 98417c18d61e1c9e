package lease

import (
	"time"

	"shoal/crdt"
)

// Term is how long a grant lasts, by a true clock.
const Term = 10 * time.Second

// DriftPerCent bounds how much faster or slower than true time any peer's clock may run. Crystals of computers are off by at
// most 0.02 %, and the kernel slews by at most 0.05 % (adjtime), so this leaves room for bad virtual machines.
const DriftPerCent = 1

// Counted is how long a holder may count on a grant of a term, by a clock that may be slow.
func Counted(term time.Duration) time.Duration { return term - term*DriftPerCent/100 }

// Kept is how long a witness keeps to a grant of a term, by a clock that may be fast.
func Kept(term time.Duration) time.Duration { return term + term*DriftPerCent/100 + 1 }

// Terms names the conditions under which something is leased: its lists of witnesses above all. Who asks and who grants must name
// the same ones.
type Terms [8]byte

// Message is what holders and witnesses say to each other. Life and Number name the holder's round, and rise; an answer repeats them.
type Message struct {
	Life, Number uint64
	Term         time.Duration // of Asks
	Asks         []Ask
	Frees        []string // names that the sender holds no more, nor anything that runs under them
	Answers      []Answer
}

// Ask asks for a grant, or for one more term of it.
type Ask struct {
	Name     string // of what is leased: a replica
	Workload string
	Terms    Terms
	Next     crdt.PeerID // who may get a grant beside the asker's; empty: nobody
}

// Answer is a witness's word on one Ask.
type Answer struct {
	Name    string
	Verdict Verdict
	Holder  crdt.PeerID   // of Taken
	Wait    time.Duration // of Taken and Young: until when there is no point in asking again, counted from now
}

// Verdict is yes, or why not. The numbers are on the wire.
type Verdict uint8

const (
	Granted    Verdict = 0
	Taken      Verdict = 1 // another peer has it
	Young      Verdict = 2 // the witness has just started, and may have granted it before to somebody else
	Unknown    Verdict = 3 // the witness does not know that it is wanted, or that it needs a lease
	OtherTerms Verdict = 4 // the witness knows other conditions
	NoWitness  Verdict = 5 // it is no witness of it, or another peer bears the name of one
	Full       Verdict = 6 // it keeps as many grants as it can
	Free       Verdict = 7 // no answer, but a hint: it was refused before and is free now
)

// Outgoing is a message for a peer, which may be the sender itself.
type Outgoing struct {
	To      crdt.PeerID
	Message Message
}

// mostNames bounds the names in one message.
const mostNames = 1024
