// Package wire is how peers write things down: what they send each other, sign, and store.
//
// Every form begins with two bytes, and is canonical CBOR after that (RFC 8949, section 4.2.1):
// one map with small integer keys.
//
//	+------+---------+------------------------------+
//	| form | version | CBOR map {1: …, 2: …, …}     |
//	| 1 B  | 1 B     |                              |
//	+------+---------+------------------------------+
//
//	form  what                          under a signature
//	 O    operation                     yes, by its writer
//	 R    row: one peer's observation   yes, by that peer
//	 C    certificate                   yes, by its issuer
//	 S    sealed: signed bytes and their signature
//	 B    body of a row
//	 M    message of replication
//	 E    envelope: certificates and a message
//	 T    ticket
//	 J A  join: asked, answered
//
// The form byte is under the signature, so that no form can be passed off as another.
//
// # Change
//
// A version is raised only by a change that older programs must not misread; they refuse it,
// with ErrNewer. Anything else is a new key of the map: decoders skip keys that they do not
// know. What was signed is kept and passed on byte by byte, so unknown keys survive peers that
// do not know them. Every form ever released has a file in testdata that is decoded for ever.
//
// # Bounds
//
// A size limit is checked before anything is decoded, and CBOR's own counts of elements against
// the bytes that are there before anything is allocated for them; nesting is limited, and tags,
// indefinite lengths and repeated keys are refused. Text need not be valid UTF-8: a program's last
// words must not cost its peer the row.
//
// The package is pure, imports nothing of ours and owns its nouns. Encoders panic only
// when given what no decoder would take; decoders never panic.
package wire
