// Package sketch finds the difference of two large sets of identifiers at the cost of the difference.
//
// It is a rateless invertible Bloom lookup table (Yang, Gilad, Alizadeh, "Practical Rateless Set
// Reconciliation", SIGCOMM 2024). A Sketch stands for a set as an endless list of coded symbols. Each
// element falls into symbol 0 and then into ever rarer ones, into symbol i with a probability near
// 2/(2+i), by numbers drawn from the element itself. A symbol holds the exclusive or of its
// elements, that of their checks, and their count:
//
//	symbol      0        1        2        3        4   ...
//	element a   x                 x                 x
//	element b   x        x                 x
//	element c   x        x                          x
//	         a^b^c      b^c       a        b       a^c        <- 2 and 3 are pure: they give an element away
//
// Symbols of two sets, subtracted, are the symbols of their difference: what both have cancels out.
// A Decoder takes pure symbols, removes their elements from all others, and so finds more. About
// 1.35 symbols (few differences: up to 1.75) suffice for each difference, however large the sets.
//
// # A round
//
// A peer A that learned from a digest that B holds something else finds out what:
//
//	A  d := NewDecoder(ours, Part{})           // ours: A's own Sketch, as it is now
//	   d.Want() symbols from d.Len(), please                                           -> B
//	B  version := s.Version()                  // of the first answer; told to A, which repeats it
//	   s.SymbolsAt(Part{}, version, from, to)  // false: tell A to begin anew          -> A
//	A  d.Take(symbols)                         // an error: give the round up
//	   not d.Done(): ask again, for the same version
//	   d.Done(): ask for the operations d.There(), send the operations d.Here()        -> B
//
// B may send the first symbols unasked: First says how many are worth it. After some 30 symbols Estimate
// is right within a quarter, and Want asks for about as many as are needed, so that three
// answers mostly do.
//
// Sets change while a round is under way. Both sides keep a record of late changes, and SymbolsAt
// takes those after version back out; a Decoder does the same with its own side. So whoever
// answers keeps no state for a round. When the record no longer reaches back the round begins anew.
//
// A difference above what one Decoder may hold is found in parts: Part{Bits: 3, Index: 5} is
// those elements whose first three bits are 101. Parts(Estimate()) says how many bits to use.
// The symbols of a part are made for each answer, in one pass over the set; those of
// the whole set are kept up to date with every change, and an answer only copies them.
//
// # Limits
//
// A Decoder takes at most MaxSymbols, and does bounded work for each; symbols that no set makes
// end in ErrGarbage or in nothing decoded, never in more. What it gives is what the other side
// claims: There may name elements that exist nowhere, Here some that are not here. Look them up.
//
// Whoever can choose operations cannot choose their hashes, save by trying: among 4^k tries is one
// that skips the symbols 1 to 2^k, and two of those cost a round 2^k symbols. So a round needs a
// limit on symbols of its own, and another way behind it.
//
// The package is pure, and computes with whole numbers only, since peers on all machines must
// agree on every symbol.
package sketch
