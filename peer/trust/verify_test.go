package trust

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"filippo.io/edwards25519"
	"pgregory.net/rapid"
)

func signedBy(h holder, text string) Signed {
	return Signed{By: h.id, Message: []byte(text), Signature: h.sign([]byte(text))}
}

// TestTogetherAsAlone checks lists in which some signatures were spoilt in any way: together as one by one.
func TestTogetherAsAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []Signed
		for i := range rapid.IntRange(0, 40).Draw(t, "signatures") {
			s := signedBy(holderOf(rapid.IntRange(0, 5).Draw(t, "key")), fmt.Sprint("message ", i))
			switch rapid.IntRange(0, 11).Draw(t, "fault") {
			case 0:
				s.Signature[rapid.IntRange(0, 63).Draw(t, "byte")] ^= 1
			case 1:
				s.Message = append(s.Message, 'x')
			case 2:
				s.By = holderOf(9).id
			case 3:
				s.Signature = s.Signature[:rapid.IntRange(0, 63).Draw(t, "length")]
			case 4:
				s.By = "nobody"
			}
			list = append(list, s)
		}
		got := VerifyAll(list)
		for i, s := range list {
			if want := Verify(s.By, s.Message, s.Signature); got[i] != want {
				t.Fatalf("signature %d: %v together, %v alone", i, got[i], want)
			}
		}
	})
}

// smallOrder are all encodings of points of order 1, 2, 4 and 8 that have one, canonical or not: where rule sets differ
// (Chalkias, Garillot, Nikolaenko, "Taming the many EdDSAs", 2020).
func smallOrder(t *testing.T) [][]byte {
	t.Helper()
	var all [][]byte
	for _, text := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	} {
		data, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := new(edwards25519.Point).SetBytes(data); err == nil {
			all = append(all, data)
		}
	}
	return all
}

// TestEveryPeerJudgesAlike checks signatures on which other rule sets disagree, those of the standard library among them:
// every such one holds, alone and together with others, in any order.
func TestEveryPeerJudgesAlike(t *testing.T) {
	points := smallOrder(t)
	var odd []Signed
	differ := 0
	for _, key := range points {
		for _, r := range points {
			s := Signed{By: PeerID(hex.EncodeToString(key)), Message: []byte("Zcash"), Signature: append(slices.Clone(r), make([]byte, 32)...)}
			odd = append(odd, s)
			if !ed25519.Verify(key, s.Message, s.Signature) {
				differ++
			}
		}
	}
	if len(odd) != 14*14 || differ == 0 {
		t.Fatalf("%d signatures, of which the standard library refuses %d: these show nothing", len(odd), differ)
	}
	for range 2 {
		for i, good := range VerifyAll(odd) {
			if !good || !Verify(odd[i].By, odd[i].Message, odd[i].Signature) {
				t.Fatalf("signature %d is refused", i)
			}
		}
		slices.Reverse(odd)
	}
	odd[77] = signedBy(first, "right")
	odd[77].Message = []byte("wrong")
	for i, good := range VerifyAll(odd) {
		if good != (i != 77) {
			t.Fatalf("signature %d: %v", i, good)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	s := signedBy(first, "message")
	for b.Loop() {
		if !Verify(s.By, s.Message, s.Signature) {
			b.Fatal("a good signature was refused")
		}
	}
}

func BenchmarkVerifyAll(b *testing.B) {
	for _, n := range []int{8, 64, 256} {
		for _, writers := range []int{1, 4, n} {
			b.Run(fmt.Sprintf("%d-of-%d", n, writers), func(b *testing.B) {
				var list []Signed
				for i := range n {
					list = append(list, signedBy(holderOf(i%writers), fmt.Sprint(i)))
				}
				for b.Loop() {
					if slices.Contains(VerifyAll(list), false) {
						b.Fatal("a good signature was refused")
					}
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "us/signature")
			})
		}
	}
}
