package control

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"shoal/crdt"
)

func drawSeen(t *rapid.T, name string) crdt.Seen {
	writer := rapid.OneOf(rapid.Map(rapid.IntRange(1, 30), func(n int) crdt.PeerID { return peerID(string(rune('0' + n))) }),
		rapid.Map(rapid.StringMatching(`[a-f0-9A-F]{1,70}`), func(s string) crdt.PeerID { return crdt.PeerID(s) }))
	time := rapid.Map(rapid.Uint64Min(1), func(n uint64) crdt.Time { return crdt.Time(n) })
	return rapid.MapOfN(writer, time, 0, 20).Draw(t, name)
}

func TestFormsOfFloors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := mark{again: rapid.Bool().Draw(t, "again"), vector: drawSeen(t, "vector"), base: floorHash{1, 2, 3}}
		value := fieldValue(k.encode())
		code, err := fieldCode(value)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeMark(code)
		if err != nil {
			t.Fatal(err)
		}
		k.hash = back.hash
		if diff := cmp.Diff(k, back, cmp.AllowUnexported(mark{}), cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}

		f := floor{mark: k.hash, digest: [32]byte{9}, second: k.vector, first: crdt.Seen{}}
		for writer, at := range k.vector {
			if first := rapid.Uint64Max(uint64(at)).Draw(t, "first"); first > 0 {
				f.first[writer] = crdt.Time(first)
			}
		}
		again, err := decodeFloor(f.encode())
		if err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(f.first, again.first, cmpopts.EquateEmpty()) || !cmp.Equal(f.second, again.second, cmpopts.EquateEmpty()) || again.mark != f.mark || again.digest != f.digest {
			t.Errorf("%+v became %+v", f, again)
		}
		list, err := decodeFloors(encodeFloors([]floor{again, again}))
		if err != nil || len(list) != 2 || list[1].hash != again.hash {
			t.Errorf("%d floors, %v", len(list), err)
		}
	})
}

// FuzzFloorForms gives bytes from elsewhere to the decoders: an error or something that has a form, never a failure.
func FuzzFloorForms(f *testing.F) {
	f.Add(mark{vector: crdt.Seen{"a": 1}}.encode())
	f.Add(floor{second: crdt.Seen{peerID("p1"): 7}}.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		if k, err := decodeMark(data); err == nil {
			if again, err := decodeMark(k.encode()); err != nil || !cmp.Equal(again.vector, k.vector) {
				t.Errorf("%v: %v became %v", err, k.vector, again.vector)
			}
		}
		if r, err := decodeFloor(data); err == nil {
			if again, err := decodeFloor(r.encode()); err != nil || !cmp.Equal(again.second, r.second) {
				t.Errorf("%v: %v became %v", err, r.second, again.second)
			}
		}
		decodeFloors(data)
		decodeLost(data)
		new(forgetting).decodeAttest(data)
	})
}
