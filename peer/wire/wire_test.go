package wire

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "write the golden files anew; only for a form that was never released")

const (
	peerA = Peer("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
	peerB = Peer("simulated")
)

// codec is one form with a sample, as functions over any.
type codec struct {
	name   string
	sample any
	encode func(any) []byte
	decode func([]byte) (any, error)
}

func of[T any](name string, sample T, encode func(T) []byte, decode func([]byte) (T, error)) codec {
	return codec{name, sample, func(v any) []byte { return encode(v.(T)) }, func(data []byte) (any, error) { return decode(data) }}
}

var sampleNext = peerA

func codecs() []codec {
	sealed := Sealed{Signed: []byte("signed"), Signature: []byte("signature")}
	return []codec{
		of("sealed", sealed, EncodeSealed, DecodeSealed),
		of("op", Op{
			Kind: "Deployment", Namespace: "default", Name: "web", Time: 1<<63 + 5, Writer: peerA,
			Seen: []Seen{{Writer: peerA, Time: 4}, {Writer: peerB, Time: 3}}, Verb: 1, Manager: "shoal", User: "ops",
			Changes: []Change{{Path: "spec/replicas", Value: []byte("6")}, {Path: "spec/paused"}},
		}, EncodeOp, DecodeOp),
		of("row", Row{Peer: peerA, Boot: 3, Sequence: 14, Body: []byte("body")}, EncodeRow, DecodeRow),
		of("message-push", Message{Push: &Push{Ops: List{sealed}, Ack: true}}, EncodeMessage, DecodeMessage),
		of("message-digest", Message{Digest: &Digest{
			Root: Sum{1}, Count: 1_000_000, RowRoot: Sum{2}, RowCount: 1000, Floor: Short{3}, Own: Version{Boot: 3, Sequence: 14},
			Answer: true, Busy: true, Doubted: &Short{4},
		}}, EncodeMessage, DecodeMessage),
		of("message-digest-missed", Message{Digest: &Digest{Root: Sum{1}, Floor: Short{3}, Own: Version{Boot: 3, Sequence: 14}, Busy: true, Missed: true}}, EncodeMessage, DecodeMessage),
		of("message-digest-question", Message{Digest: &Digest{Root: Sum{1}, Floor: Short{3}, Own: Version{Boot: 3, Sequence: 14}, Answer: true, Question: 3<<32 + 7}}, EncodeMessage, DecodeMessage),
		of("message-lease-asks", Message{Lease: &Lease{Life: 7, Number: 12, Term: 10_000, Frees: []string{"default/db-1"}, Asks: []LeaseAsk{
			{Name: "default/db-0", Workload: "Deployment/default/db", Terms: Short{1}},
			{Name: "default/web-0", Workload: "Deployment/default/web", Terms: Short{2}, Next: &sampleNext},
		}}}, EncodeMessage, DecodeMessage),
		of("message-lease-answers", Message{Lease: &Lease{Life: 7, Number: 12, Answers: []LeaseAnswer{
			{Name: "default/db-0"}, {Name: "default/web-0", Verdict: 1, Holder: &sampleNext, Wait: 9_500},
		}}}, EncodeMessage, DecodeMessage),
		of("message-symbols", Message{Symbols: &sampleSymbols}, EncodeMessage, DecodeMessage),
		of("message-more", Message{More: &sampleMore}, EncodeMessage, DecodeMessage),
		of("message-objects", Message{Objects: &Objects{
			Objects: Lists{{sealed, sealed}}, Left: 70_000, Paused: true, Part: 2, Gone: &Names{{1}, {2}},
		}}, EncodeMessage, DecodeMessage),
		of("message-want", Message{Want: &Want{
			Ops: &Names{{1}, {2}}, Left: 70_000,
			Unseen: []Known{{Kind: "Deployment", Namespace: "default", Name: "web", Seen: []Seen{{Writer: peerA, Time: 4}}}},
		}}, EncodeMessage, DecodeMessage),
		of("message-page", Message{Page: &Page{
			After: Place{Kind: "Namespace", Name: "shop"}, Until: Place{Kind: "Deployment", Namespace: "default", Name: "web", Time: 5, Writer: peerA},
			Last: true, Objects: Lists{{sealed}},
		}}, EncodeMessage, DecodeMessage),
		of("message-fill", Message{Fill: &Fill{After: Place{Kind: "Namespace", Name: "shop", Time: 4, Writer: peerB}}}, EncodeMessage, DecodeMessage),
		of("message-ack", Message{Ack: &Ack{Ops: Names{{1}, {2}}}}, EncodeMessage, DecodeMessage),
		of("message-rows", Message{Rows: &Rows{Rows: List{sealed}}}, EncodeMessage, DecodeMessage),
		of("message-row-symbols", Message{RowSymbols: &sampleSymbols}, EncodeMessage, DecodeMessage),
		of("message-row-more", Message{RowMore: &sampleMore}, EncodeMessage, DecodeMessage),
		of("message-row-want", Message{RowWant: &RowWant{
			Names: &Names{{1}}, Held: []RowVersion{{Peer: peerA, Boot: 3, Sequence: 14}}, Peers: []Peer{peerA, peerB},
		}}, EncodeMessage, DecodeMessage),
		of("envelope", Envelope{Certificates: [][]byte{{1}, {2}}, Message: []byte("message")}, EncodeEnvelope, DecodeEnvelope),
		of("certificate", Certificate{Subject: peerA, Name: "p1", Capabilities: []string{"write", "admit"}, Issuer: peerB, Issued: 1_790_000_000_000}, EncodeCertificate, DecodeCertificate),
		of("ticket", Ticket{Cluster: peerA, Seeds: []string{"10.0.0.1:7400"}, ID: "t1", Secret: bytes.Repeat([]byte{7}, 16), Expires: 1_790_000_000_000}, EncodeTicket, DecodeTicket),
		of("join-request", JoinRequest{TicketID: "t1", Proof: []byte("proof"), Name: "p2", Version: "0.1.0", WallMillis: 1_790_000_000_000}, EncodeJoinRequest, DecodeJoinRequest),
		of("join-request-cluster", JoinRequest{TicketID: "t1", Proof: []byte("proof"), Name: "p2", Cluster: string(peerA)}, EncodeJoinRequest, DecodeJoinRequest),
		of("join-reply", JoinReply{
			ErrorCode: "TicketExpired", ErrorText: "the ticket expired", Certificates: [][]byte{{1}}, GossipKey: []byte("key"),
			Seeds: []string{"10.0.0.1:7401"}, ClusterName: "home", Cluster: string(peerA), WallMillis: 1_790_000_000_000,
		}, EncodeJoinReply, DecodeJoinReply),
		of("observation-leases", Observation{
			Instances: []Instance{{ID: "default.db-0.1", Replica: "default/db-0", Revision: "1", State: "Leasing", Waits: "lease: 1 of 3 witnesses granted"}},
			Handing:   []LeaseTerms{{Workload: "Deployment/default/db", Terms: []byte{1, 2, 3, 4, 5, 6, 7, 8}}},
		}, EncodeObservation, DecodeObservation),
		of("observation", sampleObservation(), EncodeObservation, DecodeObservation),
		of("observation-ran", Observation{
			Ran:    []Ran{{Replica: "default/web-0", From: 1_790_000_000_000, Until: 1_790_000_001_000, Reason: "Moved", Text: "moved to p2, where it is ready", Cause: "p2 was out of touch, and both had it"}},
			RanCut: 1_789_999_999_000,
		}, EncodeObservation, DecodeObservation),
		of("observation-floor", Observation{
			Applied: []byte{1, 2, 3, 4, 5, 6, 7, 8}, Latest: 1_790_000_000_000 << 16, Mark: []byte{8, 7, 6, 5, 4, 3, 2, 1}, MarkDigest: bytes.Repeat([]byte{5}, 32),
		}, EncodeObservation, DecodeObservation),
	}
}

var sampleSymbols = Symbols{Count: 1_000_000, Version: 7, Bits: 3, Index: 5, From: 24, Symbols: bytes.Repeat([]byte{9}, 25), Floor: Short{3}}

var sampleMore = More{Version: 7, Bits: 3, Index: 5, From: 24, Number: 100}

func sampleObservation() Observation {
	return Observation{
		Labels: map[string]string{"zone": "north", "disk": "ssd"}, Subnet: "10.64.3.0/24", Draining: true,
		Images: []string{"web:1"}, CPUMillis: 4000, Memory: 8 << 30, At: 1_790_000_000_000,
		Instances: []Instance{{
			ID: "default.web-0.5f3c9a1e", Replica: "default/web-0", Revision: "5f3c9a1e", State: "Running", Ready: true,
			Address: "10.64.3.2", Since: 1_790_000_000_000, CPUMillis: 100, Memory: 64 << 20, Workload: "Deployment/default/web",
			Containers: []Container{{
				Name: "web", Image: "web:1", Generation: 2, Phase: 3, Ready: true, Restarts: 1, StartedAt: 1_790_000_000_000,
				ExitCode: -1, Reason: "Error", Detail: "last words \xff",
			}},
		}},
		Refusals: []Refusal{{Replica: "default/web-1", Revision: "5f3c9a1e", Reason: "NoRoom", ForMillis: 30_000}},
	}
}

func TestGolden(t *testing.T) {
	for _, c := range codecs() {
		path := filepath.Join("testdata", "golden", c.name+"-1.hex")
		if *update {
			if err := os.WriteFile(path, fmt.Appendf(nil, "%x\n", c.encode(c.sample)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var data []byte
		if _, err := fmt.Sscanf(string(text), "%x", &data); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(data, c.encode(c.sample)); diff != "" {
			t.Errorf("%s is coded otherwise than it was: %s", c.name, diff)
		}
		got, err := c.decode(data)
		if diff := cmp.Diff(c.sample, got, unexported()); err != nil || diff != "" {
			t.Errorf("%s: %v %s", c.name, err, diff)
		}
	}
}

func unexported() cmp.Option {
	return cmpopts.IgnoreUnexported(Seen{}, Change{}, Version{}, Known{}, Place{}, RowVersion{})
}

func TestEveryPrefixIsRefused(t *testing.T) {
	for _, c := range codecs() {
		data := c.encode(c.sample)
		for n := range data {
			if _, err := c.decode(data[:n]); err == nil {
				t.Errorf("%s: the first %d of %d bytes are taken", c.name, n, len(data))
			}
		}
		if _, err := c.decode(append(data, 0)); err == nil {
			t.Errorf("%s: a byte too many is taken", c.name)
		}
	}
}

func TestFormsAreNotTakenForEachOther(t *testing.T) {
	for _, a := range codecs() {
		for _, b := range codecs() {
			data := a.encode(a.sample)
			_, err := b.decode(data)
			if same := data[0] == b.encode(b.sample)[0]; (err == nil) != same {
				t.Errorf("%s read as %s: %v", a.name, b.name, err)
			}
		}
	}
}

func TestVersions(t *testing.T) {
	for _, c := range codecs() {
		data := c.encode(c.sample)
		data[1]++
		if _, err := c.decode(data); !errors.Is(err, ErrNewer) {
			t.Errorf("%s of a newer version: %v", c.name, err)
		}
		data[1] = 0
		if _, err := c.decode(data); err == nil || errors.Is(err, ErrNewer) {
			t.Errorf("%s of version 0: %v", c.name, err)
		}
	}
}

func TestUnknownKeysAreSkipped(t *testing.T) {
	for _, c := range codecs() {
		data := c.encode(c.sample)
		data[2]++                                // one more entry in the map
		data = append(data, 0x18, 99, 0x61, 'x') // 99: "x"
		got, err := c.decode(data)
		if diff := cmp.Diff(c.sample, got, unexported()); err != nil || diff != "" {
			t.Errorf("%s: %v %s", c.name, err, diff)
		}
	}
}

func TestHostileBytesAreRefused(t *testing.T) {
	huge := []byte{0x9b, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff} // an array of 2^40 elements
	for name, body := range map[string][]byte{
		"a count without elements":  append([]byte{0xa1, 0x05}, huge...),
		"a repeated key":            {0xa2, 0x01, 0x61, 'a', 0x01, 0x61, 'b'},
		"an indefinite length":      {0xbf, 0x01, 0x61, 'a', 0xff},
		"a tag":                     {0xa1, 0x01, 0xc1, 0x00},
		"deep nesting":              append([]byte{0xa1, 0x18, 99}, append(bytes.Repeat([]byte{0x81}, 30), 0)...),
		"a list where a map should": {0x81, 0x01},
		"text where a number":       {0xa1, 0x04, 0x61, 'a'},
		"a short key of a peer":     {0xa1, 0x05, 0x41, 0x00},
		"a peer's key as text":      append([]byte{0xa1, 0x05, 0x78, 64}, peerA...),
		"a peer that is a number":   {0xa1, 0x05, 0x07},
		"nothing":                   {},
	} {
		if op, err := DecodeOp(append([]byte{'O', 1}, body...)); err == nil {
			t.Errorf("%s is taken: %+v", name, op)
		}
	}
	short := append([]byte{'M', 1, 0xa1, 0x02, 0xa1, 0x01, 0x58, 31}, make([]byte, 31)...)
	if _, err := DecodeMessage(short); err == nil || !strings.Contains(err.Error(), "32 bytes") {
		t.Errorf("a digest of 31 bytes: %v", err)
	}
	if _, err := DecodeCertificate(make([]byte, MaxCertificate+1)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a certificate beyond the limit: %v", err)
	}
}

func TestNothingAndEmptyStayApart(t *testing.T) {
	for _, value := range [][]byte{nil, {}} {
		got, err := DecodeOp(EncodeOp(Op{Kind: "a", Name: "b", Changes: []Change{{Path: "c", Value: value}}}))
		if err != nil || (got.Changes[0].Value == nil) != (value == nil) {
			t.Errorf("a value of %#v came back as %#v, %v", value, got.Changes[0].Value, err)
		}
	}
}

func TestOpIsCompact(t *testing.T) {
	op := Op{
		Kind: "Deployment", Namespace: "default", Name: "web", Time: 1_790_000_000_000 << 16, Writer: peerA,
		Seen: []Seen{{Writer: peerA, Time: 1_780_000_000_000 << 16}}, Manager: "shoal", Changes: []Change{{Path: "spec/replicas", Value: []byte("8")}},
	}
	if n := len(EncodeOp(op)); n > 160 {
		t.Errorf("scaling a workload takes %d bytes", n)
	}
}

// fuzzForm checks that a decoder never panics and that what it takes survives being coded again.
func fuzzForm[T any](f *testing.F, encode func(T) []byte, decode func([]byte) (T, error)) {
	for _, c := range codecs() {
		if sample, ok := c.sample.(T); ok {
			f.Add(encode(sample))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := decode(data)
		if err != nil {
			return
		}
		coded := encode(value)
		again, err := decode(coded)
		if diff := cmp.Diff(value, again, unexported(), cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
		if !bytes.Equal(coded, encode(again)) {
			t.Fatal("equal values have different bytes")
		}
	})
}

func FuzzSealed(f *testing.F)      { fuzzForm(f, EncodeSealed, DecodeSealed) }
func FuzzOp(f *testing.F)          { fuzzForm(f, EncodeOp, DecodeOp) }
func FuzzRow(f *testing.F)         { fuzzForm(f, EncodeRow, DecodeRow) }
func FuzzMessage(f *testing.F)     { fuzzForm(f, EncodeMessage, DecodeMessage) }
func FuzzEnvelope(f *testing.F)    { fuzzForm(f, EncodeEnvelope, DecodeEnvelope) }
func FuzzCertificate(f *testing.F) { fuzzForm(f, EncodeCertificate, DecodeCertificate) }
func FuzzTicket(f *testing.F)      { fuzzForm(f, EncodeTicket, DecodeTicket) }
func FuzzJoinRequest(f *testing.F) { fuzzForm(f, EncodeJoinRequest, DecodeJoinRequest) }
func FuzzJoinReply(f *testing.F)   { fuzzForm(f, EncodeJoinReply, DecodeJoinReply) }
func FuzzObservation(f *testing.F) { fuzzForm(f, EncodeObservation, DecodeObservation) }
