package wire

// Certificate is what an issuer signs about a peer.
//
//	{1: subject, 2: name, 3: [capability, …], 4: issuer, 5: issued, ms since 1970}
type Certificate struct {
	Subject      Peer     `cbor:"1,keyasint"`
	Name         string   `cbor:"2,keyasint,omitempty"`
	Capabilities []string `cbor:"3,keyasint,omitempty"`
	Issuer       Peer     `cbor:"4,keyasint"`
	Issued       int64    `cbor:"5,keyasint"`
}

// EncodeCertificate gives the bytes to sign.
func EncodeCertificate(c Certificate) []byte { return formCertificate.encode(c) }

// DecodeCertificate reads the bytes that were signed.
func DecodeCertificate(signed []byte) (Certificate, error) {
	var c Certificate
	err := formCertificate.decode(signed, &c)
	return c, err
}

// Ticket lets a new peer join.
//
//	{1: cluster, 2: [HOST:PORT, …], 3: id, 4: secret, 5: expires, ms since 1970}
type Ticket struct {
	Cluster Peer     `cbor:"1,keyasint"`
	Seeds   []string `cbor:"2,keyasint,omitempty"`
	ID      string   `cbor:"3,keyasint"`
	Secret  []byte   `cbor:"4,keyasint"`
	Expires int64    `cbor:"5,keyasint"`
}

// EncodeTicket gives the bytes under a ticket's text form.
func EncodeTicket(t Ticket) []byte { return formTicket.encode(t) }

// DecodeTicket reads what EncodeTicket gave.
func DecodeTicket(data []byte) (Ticket, error) {
	var t Ticket
	err := formTicket.decode(data, &t)
	return t, err
}

// JoinRequest is what a new peer says on its first stream. Its key is that of the stream.
//
//	{1: ticket's id, 2: proof, 3: name, 4: version of the program, 5: wall clock, ms since 1970,
//	 6: cluster that the ticket names}
type JoinRequest struct {
	TicketID   string `cbor:"1,keyasint"`
	Proof      []byte `cbor:"2,keyasint"` // that the sender holds the ticket's secret
	Name       string `cbor:"3,keyasint"`
	Version    string `cbor:"4,keyasint,omitempty"`
	WallMillis int64  `cbor:"5,keyasint,omitempty"`
	Cluster    string `cbor:"6,keyasint,omitempty"`
}

// EncodeJoinRequest gives the form in which a request is sent.
func EncodeJoinRequest(r JoinRequest) []byte { return formRequest.encode(r) }

// DecodeJoinRequest reads what EncodeJoinRequest gave.
func DecodeJoinRequest(data []byte) (JoinRequest, error) {
	var r JoinRequest
	err := formRequest.decode(data, &r)
	return r, err
}

// JoinReply answers a JoinRequest. With ErrorCode, nothing that follows ErrorText need be set.
//
//	{1: error code, 2: error text, 3: [certificate, …] root's end first, 4: gossip key,
//	 5: [gossip HOST:PORT, …], 6: cluster's name, 7: cluster, 8: wall clock, ms since 1970}
type JoinReply struct {
	ErrorCode    string   `cbor:"1,keyasint,omitempty"`
	ErrorText    string   `cbor:"2,keyasint,omitempty"`
	Certificates [][]byte `cbor:"3,keyasint,omitempty"`
	GossipKey    []byte   `cbor:"4,keyasint,omitempty"`
	Seeds        []string `cbor:"5,keyasint,omitempty"`
	ClusterName  string   `cbor:"6,keyasint,omitempty"`
	Cluster      string   `cbor:"7,keyasint,omitempty"`
	WallMillis   int64    `cbor:"8,keyasint,omitempty"`
}

// EncodeJoinReply gives the form in which an answer is sent.
func EncodeJoinReply(r JoinReply) []byte { return formReply.encode(r) }

// DecodeJoinReply reads what EncodeJoinReply gave.
func DecodeJoinReply(data []byte) (JoinReply, error) {
	var r JoinReply
	err := formReply.decode(data, &r)
	return r, err
}
