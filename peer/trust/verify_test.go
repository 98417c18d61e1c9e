package trust

import (
	"crypto/ed25519"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
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
		if err != nil || !pointOf(t, data).IsSmallOrder() {
			t.Fatal(text, err)
		}
		all = append(all, data)
	}
	return all
}

// TestPartsOfSmallOrderAreLetOff checks signatures whose key and R have a part of small order each: they hold wherever
// they would without it. No honest program makes such, but any writer can.
func TestPartsOfSmallOrderAreLetOff(t *testing.T) {
	small := smallOrder(t)
	rapid.Check(t, func(t *rapid.T) {
		var list []Signed
		var want []bool
		for i := range rapid.IntRange(1, 20).Draw(t, "signatures") {
			secret, once := scalar.NewFromUint64(rapid.Uint64Range(1, 3).Draw(t, "secret")), scalar.NewFromUint64(rapid.Uint64().Draw(t, "once"))
			key := shifted(t, secret, rapid.SampledFrom(small).Draw(t, "part of key"))
			r := shifted(t, once, rapid.SampledFrom(small).Draw(t, "part of R"))
			message := fmt.Append(nil, "message ", i)
			hash := sha512.Sum512(slices.Concat(r, key, message))
			k, err := scalar.NewFromBytesModOrderWide(hash[:])
			if err != nil {
				t.Fatal(err)
			}
			s := k.Mul(k, secret).Add(k, once)
			right := rapid.IntRange(0, 9).Draw(t, "right") > 0
			if !right {
				s.Add(s, scalar.NewFromUint64(1))
			}
			signature := append(r, make([]byte, 32)...)
			if err := s.ToBytes(signature[32:]); err != nil {
				t.Fatal(err)
			}
			list = append(list, Signed{By: PeerID(hex.EncodeToString(key)), Message: message, Signature: signature})
			want = append(want, right)
		}
		for i, good := range VerifyAll(list) {
			if alone := Verify(list[i].By, list[i].Message, list[i].Signature); good != want[i] || alone != want[i] {
				t.Fatalf("signature %d: %v together, %v alone, want %v", i, good, alone, want[i])
			}
		}
	})
}

type fataler interface{ Fatal(...any) }

func pointOf(t fataler, data []byte) *curve.EdwardsPoint {
	compressed, err := curve.NewCompressedEdwardsYFromBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	point, err := new(curve.EdwardsPoint).SetCompressedY(compressed)
	if err != nil {
		t.Fatal(err)
	}
	return point
}

// shifted is the encoding of times the base point, plus a point.
func shifted(t fataler, times *scalar.Scalar, by []byte) []byte {
	point := new(curve.EdwardsPoint).MulBasepoint(curve.ED25519_BASEPOINT_TABLE, times)
	data, err := point.Add(point, pointOf(t, by)).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return data
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

// TestFactorsDependOnAllThatIsChecked: who could change a bit and keep the factors could choose signatures that cancel out.
func TestFactorsDependOnAllThatIsChecked(t *testing.T) {
	factors := func(list ...Signed) string {
		h := sha3.NewSHAKE128()
		for _, s := range list {
			learn(h, s)
		}
		out := make([]byte, 32)
		if _, err := h.Read(out); err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	seen := map[string]string{}
	see := func(what, factors string) {
		if other, taken := seen[factors]; taken {
			t.Errorf("%s: the same factors as %s", what, other)
		}
		seen[factors] = what
	}
	s, next := signedBy(first, "message"), signedBy(second, "next")
	see("as it is", factors(s, next))
	see("in another order", factors(next, s))
	see("by another", factors(Signed{second.id, s.Message, s.Signature}, next))
	see("another message", factors(Signed{s.By, []byte("messagf"), s.Signature}, next))
	for i := range s.Signature {
		changed := slices.Clone(s.Signature)
		changed[i] ^= 0x80
		see(fmt.Sprint("signature, byte ", i), factors(Signed{s.By, s.Message, changed}, next))
	}
	swallowed := slices.Concat(s.Message, []byte(next.By), next.Signature, next.Message)
	see("one message that ends in the other", factors(Signed{s.By, swallowed, s.Signature}))
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
