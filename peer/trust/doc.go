// Package trust says who is a peer of a cluster and what each may do. It needs no clock, no
// network and no server: everything follows from the cluster's root key.
//
//	root key ── signs ──> certificate of p1 (write, admit) ── p1 signs ──> certificate of p2 …
//
// A certificate binds a peer's key to a name and capabilities. It counts when its issuer is the
// root, or a peer that may admit, whose own certificate counts, and that holds every capability it
// gives. A chain is at most 16 certificates long.
//
// # Invariants
//
//   - A Book holds only certificates that count. Which ones does not depend on the order they came in,
//     as long as issuers come first, short of the limits: what a peer may do is the union of its certificates.
//   - A certificate is never judged by a clock. Issued is for people.
//   - What was signed is kept byte by byte; unknown capabilities are passed on and give nothing here.
//
// # Tickets
//
// A ticket is what a person carries from one machine to another:
//
//	shoal1-<base64url, no padding, of: ticket form (peer/wire) | first 4 bytes of its SHA-256>
//
// The checksum is not for security. It tells a person that the paste was cut short, before any
// peer is asked. A ticket's secret proves nothing but the right to ask; the peer that answers
// decides by what is replicated about the ticket.
//
// The package is pure. Signing is given as a function, so that a key need never be in memory here.
package trust
