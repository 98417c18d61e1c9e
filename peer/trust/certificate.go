package trust

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"shoal/peer/wire"
)

const nameBytesAtMost = 63

// ErrSignature says that a certificate is not signed by the issuer that it names.
var ErrSignature = errors.New("its issuer did not sign it")

// NewCertificate signs a certificate. sign signs with the issuer's key.
func NewCertificate(subject PeerID, name string, capabilities []Capability, issuer PeerID, issued time.Time, sign func([]byte) []byte) Certificate {
	c := Certificate{
		Subject: subject, Name: name, Capabilities: append([]Capability(nil), capabilities...),
		Issuer: issuer, Issued: time.UnixMilli(issued.UnixMilli()).UTC(),
	}
	form := wire.Certificate{
		Subject: wire.Peer(subject), Name: name, Issuer: wire.Peer(issuer), Issued: issued.UnixMilli(),
	}
	for _, capability := range capabilities {
		form.Capabilities = append(form.Capabilities, string(capability))
	}
	c.Signed = wire.EncodeCertificate(form)
	c.Signature = sign(c.Signed)
	return c
}

// EncodeCertificate gives the form that is stored and sent.
func EncodeCertificate(c Certificate) []byte {
	return wire.EncodeSealed(wire.Sealed{Signed: c.Signed, Signature: c.Signature})
}

// DecodeCertificate checks form and signature, not whether the issuer may.
func DecodeCertificate(data []byte) (Certificate, error) {
	if len(data) > 2*wire.MaxCertificate {
		return Certificate{}, errors.New("a certificate that is too long")
	}
	sealed, err := wire.DecodeSealed(data)
	if err != nil {
		return Certificate{}, err
	}
	form, err := wire.DecodeCertificate(sealed.Signed)
	if err != nil {
		return Certificate{}, err
	}
	c := Certificate{
		Subject: PeerID(form.Subject), Name: form.Name, Issuer: PeerID(form.Issuer),
		Issued: time.UnixMilli(form.Issued).UTC(), Signed: sealed.Signed, Signature: sealed.Signature,
	}
	for _, capability := range form.Capabilities {
		c.Capabilities = append(c.Capabilities, Capability(capability))
	}
	return c, c.check()
}

func (c Certificate) check() error {
	switch {
	case publicKey(c.Subject) == nil:
		return fmt.Errorf("a certificate for %q, which is no key", c.Subject)
	case len(c.Name) > nameBytesAtMost:
		return fmt.Errorf("a certificate with a name of %d bytes", len(c.Name))
	case !Verify(c.Issuer, c.Signed, c.Signature):
		return fmt.Errorf("certificate of %q (%s): %w", c.Name, c.Subject, ErrSignature)
	}
	return nil
}

// publicKey returns nil where id is not the one way to write 32 bytes.
func publicKey(id PeerID) []byte {
	if len(id) != 2*ed25519.PublicKeySize || strings.ToLower(string(id)) != string(id) {
		return nil
	}
	key, err := hex.DecodeString(string(id))
	if err != nil {
		return nil
	}
	return key
}
