// Command shoal is everything that a person types: the peer itself (agent), and the client
// of a peer's API.
//
// The client speaks only to the API of one peer, over a unix socket: --socket, else
// $SHOAL_SOCKET, else /var/lib/shoal/shoal.sock. It keeps no state and decides nothing
// that the API does not; what it adds is tables, waiting, and words.
//
//	main ── run ── newRoot ── one cobra command per verb ── client ── unix socket ── peer/api
//
// run is all of main except the process itself, so that the tests drive the same program.
//
// Invariants:
//
//   - Every listing says whose view it is and how old: on standard error, so that
//     what -o json, yaml and name print stays clean.
//   - An error says what failed, why, and what to do. It goes to standard error, once.
//   - The exit code says what kind of failure it was: see the constants in exit.go.
//   - This is the only package that imports cobra and viper.
package main
