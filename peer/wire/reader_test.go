package wire

import (
	"bytes"
	"encoding/hex"
	goruntime "runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

// generally reads an operation with the general decoder alone.
func generally(signed []byte) (Op, error) {
	var op Op
	err := formOp.decode(signed, &op)
	return op, err
}

func sameAsGeneral(t *testing.T, r *Reader, signed []byte) {
	t.Helper()
	want, wantErr := generally(signed)
	got, err := r.Op(signed)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%x: %v; the general decoder says: %v", signed, err, wantErr)
	}
	if diff := cmp.Diff(want, got, unexported()); err == nil && diff != "" {
		t.Fatalf("%x: %s", signed, diff)
	}
}

func opForm(text string) []byte {
	body, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return append([]byte{'O', 1}, body...)
}

// What is written otherwise than this program writes it means the same to a Reader as to the general decoder.
func TestAReaderTakesWhatTheGeneralDecoderTakes(t *testing.T) {
	key := strings.Repeat("ab", keyBytes)
	for name, text := range map[string]string{
		"nothing":                         "a0",
		"cut short":                       "a1 01",
		"a byte too many":                 "a1 01 61 61 00",
		"a map of more than there is":     "bb ff ff ff ff ff ff ff ff",
		"a map as a list":                 "82 01 61 61",
		"long heads":                      "b9 0002 1a 00000001 78 01 61 04 1b 0000000000000005",
		"keys out of order":               "a2 04 05 01 61 61",
		"a key twice":                     "a2 01 61 61 01 61 62",
		"an unknown key":                  "a2 01 61 61 18 63 61 78",
		"a key that is no number":         "a1 61 61 01",
		"key zero":                        "a1 00 01",
		"null text":                       "a1 01 f6",
		"text as bytes":                   "a1 01 41 61",
		"text that is not UTF-8":          "a1 01 61 ff",
		"a verb too large":                "a1 07 19 0100",
		"a negative verb":                 "a1 07 20",
		"a time as a float":               "a1 04 fa 00000000",
		"a writer's name":                 "a1 05 63 616263",
		"an empty writer":                 "a1 05 60",
		"a short key":                     "a1 05 41 00",
		"a key as text":                   "a1 05 78 40 " + hex.EncodeToString([]byte(key)),
		"upper case, which is no key":     "a1 05 78 40 " + hex.EncodeToString([]byte(strings.ToUpper(key))),
		"a name too long":                 "a1 05 78 41 " + strings.Repeat("61", 65),
		"a key":                           "a1 05 58 20 " + key,
		"null as writer":                  "a1 05 f6",
		"empty lists":                     "a2 06 80 0a 80",
		"lists that are null":             "a2 06 f6 0a f6",
		"a list of more than there is":    "a1 0a 9b 00ffffffffffffff",
		"a change of three":               "a1 0a 81 83 61 61 41 31 00",
		"a change of one":                 "a1 0a 81 81 61 61",
		"a change as a map":               "a1 0a 81 a1 61 61 41 31",
		"deleted, empty, set":             "a1 0a 83 82 61 61 f6 82 61 62 40 82 61 63 42 3131",
		"a value as text":                 "a1 0a 81 82 61 61 61 31",
		"an undefined value":              "a1 0a 81 82 61 61 f7",
		"what was seen":                   "a1 06 82 82 61 61 05 82 58 20 " + key + " 06",
		"what was seen, of an indefinite": "a1 06 9f 82 61 61 05 ff",
		"a tag":                           "a1 01 c1 61 61",
	} {
		t.Run(name, func(t *testing.T) { sameAsGeneral(t, new(Reader), opForm(text)) })
	}
}

func TestAReaderSharesTexts(t *testing.T) {
	var r Reader
	op := Op{Kind: "Deployment", Namespace: "shop", Name: "web", Time: 5, Writer: peerA, Manager: "shoal", User: "ops",
		Seen: []Seen{{Writer: peerA, Time: 4}}, Changes: []Change{{Path: "spec/replicas", Value: []byte("6")}}}
	first, err := r.Op(EncodeOp(op))
	if err != nil {
		t.Fatal(err)
	}
	path := first.Changes[0].Path
	op.Time = 6
	second, err := r.Op(EncodeOp(op))
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]string{
		{first.Kind, second.Kind}, {first.Namespace, second.Namespace}, {string(first.Writer), string(second.Writer)},
		{first.Manager, second.Manager}, {first.User, second.User}, {path, second.Changes[0].Path}, {string(first.Writer), string(second.Seen[0].Writer)},
	} {
		if pair[0] != pair[1] || unsafe.StringData(pair[0]) != unsafe.StringData(pair[1]) {
			t.Errorf("%q is kept twice", pair[0])
		}
	}
}

// A text that looks like somebody's key is not that peer.
func TestAReaderKeepsTextsAndKeysApart(t *testing.T) {
	key := bytes.Repeat([]byte{'k'}, keyBytes)
	op := Op{Kind: string(key), Name: "web", Time: 5, Writer: Peer(hex.EncodeToString(key)), Manager: string(key)}
	var r Reader
	for range 2 {
		got, err := r.Op(EncodeOp(op))
		if diff := cmp.Diff(op, got, unexported()); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
	}
}

func TestAReaderKeepsABoundedNumberOfTexts(t *testing.T) {
	var r Reader
	for i := range 2 * maxTexts {
		op := Op{Kind: strings.Repeat("x", i%(2*maxTextBytes)) + hex.EncodeToString([]byte{byte(i >> 8), byte(i)}), Name: "web"}
		if got, err := r.Op(EncodeOp(op)); err != nil || got.Kind != op.Kind {
			t.Fatal(got.Kind, err)
		}
	}
	for text := range r.texts {
		if len(text) > maxTextBytes {
			t.Fatalf("a text of %d bytes is kept", len(text))
		}
	}
	if len(r.texts) > maxTexts {
		t.Errorf("%d texts are kept", len(r.texts))
	}
}

func TestListsAreCodedAsTheGeneralCoderDoes(t *testing.T) {
	long := Sealed{Signed: bytes.Repeat([]byte{7}, 70_000), Signature: bytes.Repeat([]byte{8}, 300)}
	short := Sealed{Signed: []byte{1}, Signature: []byte{}}
	for _, lists := range [][][]Sealed{{}, {{}}, {{short}, {}, {long, short}}, {{{Signed: []byte{1}}}}, make([][]Sealed, 300), {make([]Sealed, 30)}} {
		typed := make(Lists, len(lists))
		for i := range lists {
			typed[i] = append(List{}, lists[i]...)
			if lists[i] == nil {
				lists[i] = []Sealed{}
			}
		}
		want, err := encoding.Marshal(lists)
		if err != nil {
			t.Fatal(err)
		}
		got, err := encoding.Marshal(typed)
		if err != nil || !bytes.Equal(want, got) {
			t.Errorf("%d lists are coded otherwise: %v", len(lists), err)
		}
		var back Lists
		if err := decoding.Unmarshal(got, &back); err != nil || cmp.Diff(typed, back) != "" {
			t.Errorf("%v %s", err, cmp.Diff(typed, back))
		}
	}
}

func TestListsOfALaterVersion(t *testing.T) {
	// [[{1: h'61', 2: h'62', 99: "x"}, {2: h'62', 1: h'61'}]]
	data := opForm("81 82 a3 01 41 61 02 41 62 18 63 61 78 a2 02 41 62 01 41 61")[headerBytes:]
	var lists Lists
	err := decoding.Unmarshal(data, &lists)
	s := Sealed{Signed: []byte("a"), Signature: []byte("b")}
	if diff := cmp.Diff(Lists{{s, s}}, lists); err != nil || diff != "" {
		t.Error(err, diff)
	}
	var list List
	err = decoding.Unmarshal(opForm("81 a2 02 41 62 01 41 61")[headerBytes:], &list)
	if diff := cmp.Diff(List{s}, list); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// Few bytes never take much room.
func TestCrowdedListsAreRefused(t *testing.T) {
	const items = 1 << 16
	for name, item := range map[string][]byte{"empty maps": {0xa0}, "nothing": {0xf6}, "empty lists": {0x80}, "maps of nothing": {0xa1, 1, 0xf6}} {
		list := append(appendHead(nil, headList, items-1), bytes.Repeat(item, items-1)...)
		lists := append(appendHead(nil, headList, 10), bytes.Repeat(list, 10)...)
		data := append([]byte{'M', 1, 0xa1, 5, 0xa1, 1}, lists...)
		var before, after goruntime.MemStats
		goruntime.ReadMemStats(&before)
		_, err := DecodeMessage(data)
		goruntime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > uint64(8*len(data)) {
			t.Errorf("%d bytes of %s take %d bytes: %v", len(data), name, took, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, c := range codecs() {
		if sample, ok := c.sample.(Op); ok {
			f.Add(EncodeOp(sample), EncodeOp(sample))
		}
	}
	f.Add(opForm("a1 05 63 616263"), opForm("b9 0002 1a 00000001 78 01 61 04 1b 0000000000000005"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var r Reader
		for _, signed := range [][]byte{first, second, first} {
			sameAsGeneral(t, &r, signed)
		}
	})
}

func FuzzLists(f *testing.F) {
	data, err := Lists{{{Signed: []byte("signed"), Signature: []byte("signature")}}, {}}.MarshalCBOR()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		var lists Lists
		if decoding.Unmarshal(data, &lists) != nil {
			return
		}
		var want [][]Sealed
		if err := decoding.Unmarshal(data, &want); err != nil {
			t.Fatalf("the general decoder does not take it: %v", err)
		}
		coded, err := encoding.Marshal(lists)
		if err != nil {
			t.Fatal(err)
		}
		var again [][]Sealed
		if err := decoding.Unmarshal(coded, &again); err != nil || len(again) != len(want) {
			t.Fatal(len(again), len(want), err)
		}
		for i := range want {
			if diff := cmp.Diff(want[i], again[i]); diff != "" && len(want[i]) > 0 {
				t.Fatal(diff)
			}
		}
	})
}
