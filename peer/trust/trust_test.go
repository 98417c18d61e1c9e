package trust

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew; only for a form that was never released")

// holder is a key and its name; the same number gives the same key.
type holder struct {
	id  PeerID
	key ed25519.PrivateKey
}

func holderOf(number int) holder {
	seed := make([]byte, ed25519.SeedSize)
	seed[0], seed[1] = byte(number), byte(number>>8)
	key := ed25519.NewKeyFromSeed(seed)
	return holder{PeerID(hex.EncodeToString(key.Public().(ed25519.PublicKey))), key}
}

func (h holder) sign(message []byte) []byte { return ed25519.Sign(h.key, message) }

func (h holder) admit(subject holder, capabilities ...Capability) Certificate {
	return NewCertificate(subject.id, "peer", capabilities, h.id, time.UnixMilli(1_790_000_000_000), h.sign)
}

var (
	root   = holderOf(0)
	first  = holderOf(1)
	second = holderOf(2)
	third  = holderOf(3)
)

func TestCertificateGolden(t *testing.T) {
	c := root.admit(first, MayWrite, MayAdmit)
	path := filepath.Join("testdata", "golden", "certificate-1.hex")
	if *update {
		if err := os.WriteFile(path, fmt.Appendf(nil, "%x\n", EncodeCertificate(c)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeCertificate(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, got); diff != "" {
		t.Error(diff)
	}
}

func TestChangedCertificatesAreRefused(t *testing.T) {
	data := EncodeCertificate(root.admit(first, MayWrite))
	for i := range data {
		changed := append([]byte(nil), data...)
		changed[i] ^= 1
		if _, err := DecodeCertificate(changed); err == nil {
			t.Errorf("byte %d of %d may be changed", i, len(data))
		}
	}
}

func TestBookTakesOnlyWhatLeadsToTheRoot(t *testing.T) {
	stranger := holderOf(9)
	forged := root.admit(second, MayWrite)
	forged.Signature = stranger.sign(forged.Signed)
	lying := first.admit(third)
	lying.Capabilities = []Capability{MayWrite, MayAdmit}
	for _, test := range []struct {
		name  string
		add   []Certificate
		last  error
		write bool // what third may then do
	}{
		{"signed by the root", []Certificate{root.admit(third, MayWrite)}, nil, true},
		{"without capabilities", []Certificate{root.admit(third)}, nil, false},
		{"signed by one who may admit", []Certificate{root.admit(first, MayAdmit, MayWrite), first.admit(third, MayWrite)}, nil, true},
		{"signed by one who may not admit", []Certificate{root.admit(first, MayWrite), first.admit(third, MayWrite)}, ErrMayNot, false},
		{"given what the issuer has not", []Certificate{root.admit(first, MayAdmit), first.admit(third, MayWrite)}, ErrMayNot, false},
		{"fields that were not signed", []Certificate{root.admit(first, MayAdmit, MayWrite), lying}, nil, false},
		{"signed by a stranger", []Certificate{stranger.admit(third, MayWrite)}, ErrNoIssuer, false},
		{"signed by itself", []Certificate{third.admit(third, MayWrite)}, ErrNoIssuer, false},
		{"raised by itself", []Certificate{root.admit(third, MayAdmit), third.admit(third, MayWrite)}, ErrMayNot, false},
		{"with a forged signature", []Certificate{forged}, ErrSignature, false},
		{"for the root", []Certificate{root.admit(root, MayWrite)}, ErrNeedless, false},
	} {
		book := NewBook(root.id)
		var err error
		for _, c := range test.add {
			_, err = book.Add(c)
		}
		if !errors.Is(err, test.last) || (err == nil) != (test.last == nil) {
			t.Errorf("%s: %v, want %v", test.name, err, test.last)
		}
		if got := book.May(third.id, MayWrite); got != test.write {
			t.Errorf("%s: may write: %v", test.name, got)
		}
	}
}

func TestAddingTwiceAddsOnce(t *testing.T) {
	book := NewBook(root.id)
	c := root.admit(first, MayWrite)
	for i, want := range []bool{true, false} {
		if added, err := book.Add(c); err != nil || added != want {
			t.Errorf("time %d: %v, %v", i+1, added, err)
		}
	}
}

func TestChainIsAtMostSixteenLong(t *testing.T) {
	book := NewBook(root.id)
	issuer := root
	for depth := 1; depth <= ChainAtMost+1; depth++ {
		subject := holderOf(100 + depth)
		_, err := book.Add(issuer.admit(subject, MayAdmit))
		if depth <= ChainAtMost && (err != nil || len(book.Chain(subject.id)) != depth) {
			t.Fatalf("depth %d: %v, a chain of %d", depth, err, len(book.Chain(subject.id)))
		}
		if depth > ChainAtMost && !errors.Is(err, ErrTooLong) {
			t.Fatalf("depth %d: %v", depth, err)
		}
		issuer = subject
	}
}

func TestCertificatesOfOnePeerAreBounded(t *testing.T) {
	book := NewBook(root.id)
	for i := range PerPeerAtMost + 1 {
		_, err := book.Add(root.admit(first, Capability(fmt.Sprint(i))))
		if (err != nil) != (i >= PerPeerAtMost) || err != nil && !errors.Is(err, ErrTooMany) {
			t.Errorf("certificate %d: %v", i+1, err)
		}
	}
}

func TestChainOfRootAndOfStrangers(t *testing.T) {
	book := NewBook(root.id)
	if chain := book.Chain(root.id); chain == nil || len(chain) != 0 {
		t.Errorf("the root's chain is %v", chain)
	}
	if chain := book.Chain(first.id); chain != nil {
		t.Errorf("a stranger's chain is %v", chain)
	}
	if !book.May(root.id, MayAdmit) || book.May(first.id, MayAdmit) {
		t.Error("the root may all, a stranger nothing")
	}
}

// A chain must convince whoever trusts the same root of exactly the same.
func TestChainsConvinceOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := []Capability{MayWrite, MayAdmit, "unknown"}
		holders := []holder{root, first, second, third, holderOf(4)}
		book := NewBook(root.id)
		for range rapid.IntRange(1, 12).Draw(t, "certificates") {
			issuer := rapid.SampledFrom(holders).Draw(t, "issuer")
			subject := rapid.SampledFrom(holders[1:]).Draw(t, "subject")
			_, _ = book.Add(issuer.admit(subject, rapid.SliceOfDistinct(rapid.SampledFrom(all), rapid.ID).Draw(t, "capabilities")...))
		}
		for _, id := range book.Peers() {
			other := NewBook(root.id)
			for _, c := range book.Chain(id) {
				if _, err := other.Add(c); err != nil {
					t.Fatalf("a chain is not complete from the root on: %v", err)
				}
			}
			for _, capability := range all {
				if book.May(id, capability) != other.May(id, capability) {
					t.Fatalf("the chain of %s does not carry %q", id, capability)
				}
			}
		}
	})
}

func sampleTicket() Ticket {
	return Ticket{
		Cluster: root.id, Seeds: []string{"192.0.2.1:7400", "[2001:db8::1]:7400"}, ID: "k3v9",
		Secret: []byte("0123456789abcdef"), Expires: time.UnixMilli(1_790_000_000_000).UTC(),
	}
}

const goldenTicket = "shoal1-VAGlAVggO2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ikCgm4xOTIuMC4yLjE6NzQwMHJbMjAwMTpkYjg6OjFdOjc0MDADZGszdjkEUDAxMjM0NTY3ODlhYmNkZWYFGwAAAaDEUGwA4fYdNA"

func TestTicketGolden(t *testing.T) {
	if got := sampleTicket().String(); got != goldenTicket {
		t.Errorf("written as %s", got)
	}
	got, err := ParseTicket(goldenTicket)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleTicket(), got); diff != "" {
		t.Error(diff)
	}
}

func TestTicketSurvivesWrapping(t *testing.T) {
	text := sampleTicket().String()
	got, err := ParseTicket("  " + text[:50] + "\r\n  " + text[50:] + "\n")
	if diff := cmp.Diff(sampleTicket(), got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func TestBadTicketsAreNamed(t *testing.T) {
	good := sampleTicket().String()
	nobody, secretless := sampleTicket(), sampleTicket()
	nobody.Cluster, secretless.Secret = "someone", nil
	for _, test := range []struct{ name, text, want string }{
		{"empty", " \n", "empty"},
		{"another word", "hello", "does not begin with"},
		{"a later form", "shoal2-" + good[7:], "does not begin with"},
		{"cut short", good[:len(good)-9], "cut short"},
		{"only the beginning", "shoal1-", "cut short"},
		{"one letter changed", strings.Replace(good, "a", "b", 1), ""},
		{"a quote too many", good + `"`, fmt.Sprintf("character %d", len(good)+1)},
		{"far too long", good + strings.Repeat("A", 10_000), "characters long"},
		{"of no cluster", nobody.String(), "no cluster"},
		{"without a secret", secretless.String(), "no secret"},
	} {
		_, err := ParseTicket(test.text)
		var refused *TicketError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	for n := range good {
		if _, err := ParseTicket(good[:n]); err == nil {
			t.Errorf("the first %d characters are taken", n)
		}
	}
}

func TestVerify(t *testing.T) {
	message := []byte("message")
	signature := first.sign(message)
	for _, test := range []struct {
		name      string
		id        PeerID
		signature []byte
		want      bool
	}{
		{"right", first.id, signature, true},
		{"another's", second.id, signature, false},
		{"upper case", PeerID(strings.ToUpper(string(first.id))), signature, false},
		{"no key", "p1", signature, false},
		{"a short key", first.id[:62], signature, false},
		{"not hex", PeerID(strings.Repeat("x", 64)), signature, false},
		{"a short signature", first.id, signature[:63], false},
		{"none", first.id, nil, false},
	} {
		if got := Verify(test.id, message, test.signature); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func FuzzParseTicket(f *testing.F) {
	f.Add(goldenTicket)
	f.Fuzz(func(t *testing.T, text string) {
		ticket, err := ParseTicket(text)
		if err != nil {
			return
		}
		if again, err := ParseTicket(ticket.String()); err != nil || !cmp.Equal(ticket, again) {
			t.Fatalf("%v\n%s", err, cmp.Diff(ticket, again))
		}
	})
}

func FuzzDecodeCertificate(f *testing.F) {
	f.Add(EncodeCertificate(root.admit(first, MayWrite, MayAdmit)))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := DecodeCertificate(data)
		if err != nil {
			return
		}
		book := NewBook(root.id)
		if _, err := book.Add(c); err == nil && !cmp.Equal(book.Chain(c.Subject), []Certificate{c}) {
			t.Fatal("a certificate that was added is not the chain")
		}
	})
}
