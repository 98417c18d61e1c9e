package sketch

import "encoding/binary"

// The form of symbols in messages. A symbol takes about 25 bytes, where counts are near what
// count elements give:
//
//	16  exclusive or of elements
//	 8  exclusive or of checks, little endian
//	1+  zigzag varint: Count less the count expected in this symbol, count*2/(2+number) rounded down
const leastBytes = 16 + 8 + 1

// Append appends symbols, of which the first has the number from. count is about how many elements
// the set or part has; Parse needs the same number.
func Append(b []byte, symbols []Symbol, from, count int) []byte {
	for i, s := range symbols {
		b = append(b, s.ID[:]...)
		b = binary.LittleEndian.AppendUint64(b, s.Check)
		b = binary.AppendVarint(b, s.Count-expected(from+i, count))
	}
	return b
}

// Parse reads what Append wrote. It gives ErrGarbage for anything else, and for symbols beyond MaxSymbols.
func Parse(b []byte, from, count int) ([]Symbol, error) {
	if from < 0 || from > MaxSymbols || count < 0 || count > 1<<40 || len(b)/leastBytes > MaxSymbols-from {
		return nil, ErrGarbage
	}
	symbols := make([]Symbol, 0, len(b)/leastBytes)
	for len(b) > 0 {
		if len(b) < leastBytes {
			return nil, ErrGarbage
		}
		s := Symbol{ID: ID(b[:16]), Check: binary.LittleEndian.Uint64(b[16:])}
		off, n := binary.Varint(b[24:])
		if n <= 0 {
			return nil, ErrGarbage
		}
		s.Count = off + expected(from+len(symbols), count)
		symbols = append(symbols, s)
		b = b[24+n:]
	}
	return symbols, nil
}

func expected(number, count int) int64 { return int64(2*count) / int64(2+number) }
