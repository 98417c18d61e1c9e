package wire

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Limits, in bytes.
const (
	MaxOp          = 1 << 20 // of an operation's signed bytes
	MaxRow         = 1 << 20 // of a row's signed bytes
	MaxMessage     = 8 << 20
	MaxEnvelope    = MaxMessage + 1<<20
	MaxCertificate = 4 << 10
	MaxTicket      = 4 << 10
	MaxJoin        = 1 << 20
)

// ErrNewer says that a newer version of the program made this form.
var ErrNewer = errors.New("made by a newer version of shoal")

// form says what some bytes are.
type form struct {
	letter  byte
	version byte
	name    string // for errors
	most    int    // bytes
}

var (
	formOp          = form{'O', 1, "operation", MaxOp}
	formRow         = form{'R', 1, "row", MaxRow}
	formCertificate = form{'C', 1, "certificate", MaxCertificate}
	formSealed      = form{'S', 1, "sealed form", MaxOp + 1<<10}
	formBody        = form{'B', 1, "observation", MaxRow}
	formMessage     = form{'M', 1, "message", MaxMessage}
	formEnvelope    = form{'E', 1, "envelope", MaxEnvelope}
	formTicket      = form{'T', 1, "ticket", MaxTicket}
	formRequest     = form{'J', 1, "request to join", MaxJoin}
	formReply       = form{'A', 1, "answer to a request to join", MaxJoin}
)

const (
	headerBytes = 2
	maxItems    = 1 << 16 // of a list
)

var encoding = mustEncoding()

var decoding = mustDecoding()

func mustEncoding() cbor.EncMode {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	return mode
}

func mustDecoding() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  8,
		MaxArrayElements: maxItems,
		MaxMapPairs:      1 << 12,
		UTF8:             cbor.UTF8DecodeInvalid,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}

func (f form) encode(value any) []byte {
	body, err := encoding.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("wire: cannot write a %s: %v", f.name, err))
	}
	return extend(f, append([]byte{f.letter, f.version}, body...))
}

func (f form) decode(data []byte, into any) error {
	switch {
	case len(data) > f.most:
		return fmt.Errorf("a %s of %d bytes; at most %d are taken", f.name, len(data), f.most)
	case len(data) < headerBytes:
		return fmt.Errorf("a %s cut short", f.name)
	case data[0] != f.letter:
		return fmt.Errorf("not a %s", f.name)
	case data[1] > f.version:
		return fmt.Errorf("a %s: %w", f.name, ErrNewer)
	case data[1] != f.version:
		return fmt.Errorf("a %s of version %d, which never was", f.name, data[1])
	}
	if err := decoding.Unmarshal(data[headerBytes:], into); err != nil {
		return fmt.Errorf("a %s: %w", f.name, err)
	}
	return nil
}
