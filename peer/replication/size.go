package replication

import "shoal/peer/wire"

// Size is how many bytes Encode gives for m, within a fiftieth and some ten bytes, and much cheaper where there are many.
func (m Message) Size() int {
	const around, symbol = 20, 25
	switch {
	case m.Push != nil:
		return around + sum(m.Push.Ops, opBytes)
	case m.Symbols != nil:
		return around + symbol*len(m.Symbols.Symbols)
	case m.Objects != nil:
		return around + sum(m.Objects.Objects, objectBytes) + wire.NameBytes*len(m.Objects.Gone)
	case m.Page != nil:
		return around + sum(m.Page.Objects, objectBytes) + keyBytes(m.Page.After.Key) + keyBytes(m.Page.Until.Key)
	case m.Rows != nil:
		return around + sum(m.Rows.Rows, rowBytes)
	case m.RowSymbols != nil:
		return around + symbol*len(m.RowSymbols.Symbols)
	}
	return len(Encode(m))
}

func sum[T any](list []T, size func(T) int) int {
	total := 0
	for _, item := range list {
		total += size(item)
	}
	return total
}
