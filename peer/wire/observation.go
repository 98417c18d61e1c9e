package wire

// Observation is the body of a peer's row: itself, and all its instances. Times are
// milliseconds since 1970 by that peer's clock; 0 is unknown.
type Observation struct {
	Labels    map[string]string `cbor:"1,keyasint,omitempty"`
	Subnet    string            `cbor:"2,keyasint,omitempty"`
	Draining  bool              `cbor:"3,keyasint,omitempty"`
	Images    []string          `cbor:"4,keyasint,omitempty"`
	Instances []Instance        `cbor:"5,keyasint,omitempty"`
	Refusals  []Refusal         `cbor:"6,keyasint,omitempty"`
	CPUMillis int64             `cbor:"7,keyasint,omitempty"` // room
	Memory    int64             `cbor:"8,keyasint,omitempty"`
	At        int64             `cbor:"9,keyasint,omitempty"` // when it was made

	// How far the peer is with forgetting; see peer/control.
	Applied    []byte `cbor:"10,keyasint,omitempty"` // hash of the floor that it has applied
	Latest     uint64 `cbor:"11,keyasint,omitempty"` // time of the latest operation that it wrote
	Mark       []byte `cbor:"12,keyasint,omitempty"` // hash of the pending mark
	MarkDigest []byte `cbor:"13,keyasint,omitempty"` // over what it retains at or below that mark

	Storage int64            `cbor:"14,keyasint,omitempty"` // room, bytes
	Pids    int64            `cbor:"15,keyasint,omitempty"`
	Devices map[string]int64 `cbor:"16,keyasint,omitempty"`
	Damped  bool             `cbor:"17,keyasint,omitempty"` // it came and went too often; see peer/control
	Steady  bool             `cbor:"18,keyasint,omitempty"` // it has been up and in touch for a while
	Events  []Event          `cbor:"19,keyasint,omitempty"` // the latest, the oldest first
	Came    int64            `cbor:"21,keyasint,omitempty"` // when it came up or back in touch, if that is not long ago
	Handing []LeaseTerms     `cbor:"20,keyasint,omitempty"` // of workloads with several lists of witnesses, of which it is one
	Ran     []Ran            `cbor:"22,keyasint,omitempty"` // what it ended lately, in that order
	RanCut  int64            `cbor:"23,keyasint,omitempty"` // when the newest ended that is not among these any more
}

// Ran is a time in which containers of a replica ran on the peer, until it ended them.
type Ran struct {
	Replica string `cbor:"1,keyasint"`
	From    int64  `cbor:"2,keyasint"`
	Until   int64  `cbor:"3,keyasint"`
	Reason  string `cbor:"4,keyasint,omitempty"` // as of an Event
	Text    string `cbor:"5,keyasint,omitempty"`
	Cause   string `cbor:"6,keyasint,omitempty"`
}

// LeaseTerms says which conditions for the leases of a workload a witness knows; see peer/lease.
type LeaseTerms struct {
	Workload string `cbor:"1,keyasint"`
	Terms    []byte `cbor:"2,keyasint"`
}

// Event is something that happened on the peer, worth telling a person.
type Event struct {
	Number  uint64 `cbor:"1,keyasint"` // rises within a boot
	At      int64  `cbor:"2,keyasint"`
	Warning bool   `cbor:"3,keyasint,omitempty"`
	Reason  string `cbor:"4,keyasint"`
	Object  string `cbor:"5,keyasint,omitempty"` // Kind/namespace/name
	Replica string `cbor:"6,keyasint,omitempty"`
	Text    string `cbor:"7,keyasint,omitempty"`
	Cause   string `cbor:"8,keyasint,omitempty"` // what led to it, for people: "p3 was lost"
}

// Amount is how much of an extended resource an instance holds.
type Amount struct {
	Name  string `cbor:"1,keyasint"`
	Count int64  `cbor:"2,keyasint"`
}

// HostPort is a port of the peer's own address that an instance holds.
type HostPort struct {
	IP       string `cbor:"1,keyasint,omitempty"`
	Number   uint16 `cbor:"2,keyasint"`
	Protocol string `cbor:"3,keyasint,omitempty"` // TCP when empty
}

// Instance is one instance that the peer holds.
type Instance struct {
	ID         string      `cbor:"1,keyasint"`
	Replica    string      `cbor:"2,keyasint"`
	Revision   string      `cbor:"3,keyasint"`
	State      string      `cbor:"4,keyasint"`
	Ready      bool        `cbor:"5,keyasint,omitempty"`
	Address    string      `cbor:"6,keyasint,omitempty"`
	Since      int64       `cbor:"7,keyasint,omitempty"`
	CPUMillis  int64       `cbor:"8,keyasint,omitempty"` // admitted
	Memory     int64       `cbor:"9,keyasint,omitempty"`
	Containers []Container `cbor:"10,keyasint,omitempty"`
	Workload   string      `cbor:"11,keyasint,omitempty"`
	Storage    int64       `cbor:"12,keyasint,omitempty"` // admitted, bytes
	Pids       int64       `cbor:"13,keyasint,omitempty"`
	Devices    []Amount    `cbor:"14,keyasint,omitempty"`
	Ports      []HostPort  `cbor:"15,keyasint,omitempty"`
	Arriving   bool        `cbor:"16,keyasint,omitempty"` // see placement.Incumbent
	Young      bool        `cbor:"17,keyasint,omitempty"`
	Waits      string      `cbor:"18,keyasint,omitempty"` // what it lacks to run, for people, where that is a lease
}

// Container is one container of an Instance.
type Container struct {
	Name       string `cbor:"1,keyasint"`
	Image      string `cbor:"2,keyasint,omitempty"`
	Generation uint64 `cbor:"3,keyasint,omitempty"`
	Phase      uint8  `cbor:"4,keyasint,omitempty"`
	Ready      bool   `cbor:"5,keyasint,omitempty"`
	Restarts   int    `cbor:"6,keyasint,omitempty"`
	StartedAt  int64  `cbor:"7,keyasint,omitempty"`
	ExitCode   int    `cbor:"8,keyasint,omitempty"`
	Reason     string `cbor:"9,keyasint,omitempty"`
	Detail     string `cbor:"10,keyasint,omitempty"`
}

// Refusal is the peer's word that it cannot run a replica's revision for some time from At on.
type Refusal struct {
	Replica   string `cbor:"1,keyasint"`
	Revision  string `cbor:"2,keyasint"`
	Reason    string `cbor:"3,keyasint,omitempty"`
	ForMillis int64  `cbor:"4,keyasint"`
	Soft      bool   `cbor:"5,keyasint,omitempty"` // see placement.Refusal
}

// EncodeObservation gives the canonical bytes of o.
func EncodeObservation(o Observation) []byte { return formBody.encode(o) }

// DecodeObservation reads what EncodeObservation wrote, also by a newer version.
func DecodeObservation(data []byte) (Observation, error) {
	var o Observation
	err := formBody.decode(data, &o)
	return o, err
}
