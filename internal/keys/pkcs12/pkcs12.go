// Package pkcs12 reads the private keys and certificates of a PKCS#12 file (RFC 7292) that a password protects.
//
// All that a file can make expensive is bounded: the key derivations by a pbe.Budget, which each is charged to when it is
// due, the number of bags, and how deep they nest. BER is read as well as DER (Firefox and Java's Bouncy Castle write it).
package pkcs12

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/eks-x509/eks-x509/internal/keys/pbe"
)

// Contents are what a file holds, in its order.
type Contents struct {
	Keys         []Key
	Certificates [][]byte // X.509, DER
}

// Key is a private key.
type Key struct {
	DER  []byte // PKCS#8, not encrypted
	Name string // friendlyName, "" if it has none
}

// Clear overwrites the keys.
func (c *Contents) Clear() {
	for _, k := range c.Keys {
		clear(k.DER)
	}
}

// A file has at most as many.
const (
	maxBags  = 4000 // a certificate of the smallest kind takes 250 bytes of a file of 1 MiB
	maxKeys  = 32
	maxNests = 8 // SafeContents within SafeContents
)

const (
	oidData          = "1.2.840.113549.1.7.1"
	oidEncryptedData = "1.2.840.113549.1.7.6"
)

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"tag:0,explicit,optional"`
}

// pfx is PFX, RFC 7292 §4.
type pfx struct {
	Version  int
	AuthSafe contentInfo
	MAC      macData `asn1:"optional"`
}

// opener is one call of Open.
type opener struct {
	budget   *pbe.Budget
	password pbe.Password
	contents Contents
	bags     int
}

// Open decrypts a file: with an empty password if that is the right one, else with what ask returns. Its errors are
// pbe.ErrUnsupported, pbe.ErrWrongPassword, those of ask as they are, and others for malformed files.
func Open(file []byte, ask func() ([]byte, error), budget *pbe.Budget) (*Contents, error) {
	var f pfx
	if err := unmarshal(file, &f); err != nil {
		return nil, malformed(err)
	}
	if f.Version != 3 {
		return nil, pbe.Unsupported("PKCS#12 version %d (supported: 3)", f.Version)
	}
	if f.AuthSafe.Type.String() != oidData {
		return nil, pbe.Unsupported("PKCS#12 file that is protected by a key pair (supported: by a password)")
	}
	safe, err := octets(f.AuthSafe.Content.Bytes)
	if err != nil {
		return nil, malformed(err)
	}
	o := &opener{budget: budget}
	defer func() { o.password.Clear() }()
	if err := o.findPassword(f.MAC, safe, ask); err != nil {
		return nil, err
	}
	if err := o.readSafe(safe); err != nil {
		o.contents.Clear()
		if errors.Is(err, pbe.ErrWrongPassword) { // the right one by the MAC, or there is none
			if f.MAC.absent() {
				return nil, pbe.Unsupported("PKCS#12 file that is encrypted without a MAC (supported: with a MAC)")
			}
			return nil, errors.New("malformed PKCS#12 file: its parts have different passwords")
		}
		return nil, err
	}
	return &o.contents, nil
}

func malformed(err error) error { return fmt.Errorf("malformed PKCS#12 file: %w", err) }

// findPassword finds by the MAC which password the file has.
func (o *opener) findPassword(mac macData, safe []byte, ask func() ([]byte, error)) error {
	o.password = pbe.NewPassword(nil)
	if mac.absent() {
		return nil
	}
	candidates := []pbe.Password{o.password}
	if !mac.isPBMAC1() { // for which they are the same
		candidates = append(candidates, pbe.NoPassword())
	}
	for _, p := range candidates {
		if err := mac.verify(safe, p, o.budget); !errors.Is(err, pbe.ErrWrongPassword) {
			o.password = p
			return err
		}
	}
	text, err := ask()
	if err != nil {
		return err
	}
	o.password = pbe.NewPassword(text)
	return mac.verify(safe, o.password, o.budget)
}

// readSafe reads AuthenticatedSafe ::= SEQUENCE OF ContentInfo.
func (o *opener) readSafe(safe []byte) error {
	parts, err := sequence(safe)
	if err != nil {
		return malformed(err)
	}
	for _, part := range parts {
		if err := o.count(); err != nil {
			return err
		}
		var info contentInfo
		if err := unmarshal(part, &info); err != nil {
			return malformed(err)
		}
		var content []byte
		switch oid := info.Type.String(); oid {
		case oidData:
			if content, err = octets(info.Content.Bytes); err != nil {
				return malformed(err)
			}
		case oidEncryptedData:
			if content, err = o.decryptData(info.Content.Bytes); err != nil {
				return err
			}
		default:
			return pbe.Unsupported("part %s of a PKCS#12 file (supported: data and encrypted data)", oid)
		}
		err := o.readBags(content, 0)
		clear(content)
		if err != nil {
			return err
		}
	}
	return nil
}

// decryptData is of EncryptedData, RFC 5652 §8.
func (o *opener) decryptData(der []byte) ([]byte, error) {
	var data struct {
		Version int
		Info    struct {
			Type      asn1.ObjectIdentifier
			Algorithm pkix.AlgorithmIdentifier
			Content   asn1.RawValue `asn1:"tag:0,optional"`
		}
	}
	if err := unmarshal(der, &data); err != nil {
		return nil, malformed(err)
	}
	content := data.Info.Content.Bytes // [0] IMPLICIT OCTET STRING
	if data.Info.Content.IsCompound {
		pieces := asn1.RawValue{Tag: asn1.TagOctetString, IsCompound: true, Bytes: content}
		der, err := asn1.Marshal(pieces)
		if err != nil {
			return nil, malformed(err)
		}
		if content, err = octets(der); err != nil {
			return nil, malformed(err)
		}
	}
	return o.decrypt(data.Info.Algorithm, content)
}

func (o *opener) decrypt(algorithm pkix.AlgorithmIdentifier, data []byte) ([]byte, error) {
	plain, err := pbe.Decrypt(algorithm, data, o.password, o.budget)
	if err == nil || errors.Is(err, pbe.ErrUnsupported) || errors.Is(err, pbe.ErrWrongPassword) {
		return plain, err
	}
	return nil, malformed(err)
}

func (o *opener) count() error {
	if o.bags++; o.bags > maxBags {
		return pbe.Unsupported("PKCS#12 file with more than %d parts", maxBags)
	}
	return nil
}

// readBags reads SafeContents ::= SEQUENCE OF SafeBag, RFC 7292 §4.2.
func (o *opener) readBags(der []byte, depth int) error {
	if depth > maxNests {
		return pbe.Unsupported("PKCS#12 file with parts that are nested more than %d deep", maxNests)
	}
	all, err := sequence(der)
	if err != nil {
		return malformed(err)
	}
	for _, part := range all {
		if err == nil {
			err = o.readBag(part, depth)
		}
		clear(part)
	}
	return err
}

func (o *opener) readBag(der []byte, depth int) error {
	if err := o.count(); err != nil {
		return err
	}
	var bag struct {
		ID         asn1.ObjectIdentifier
		Value      asn1.RawValue   `asn1:"tag:0,explicit"`
		Attributes []asn1.RawValue `asn1:"set,optional"`
	}
	if err := unmarshal(der, &bag); err != nil {
		return malformed(err)
	}
	defer clear(bag.Value.Bytes)
	switch bag.ID.String() {
	case "1.2.840.113549.1.12.10.1.1": // keyBag
		return o.addKey(bytes.Clone(bag.Value.Bytes), bag.Attributes)
	case "1.2.840.113549.1.12.10.1.2": // pkcs8ShroudedKeyBag
		return o.readShroudedKey(bag.Value.Bytes, bag.Attributes)
	case "1.2.840.113549.1.12.10.1.3": // certBag
		return o.readCertificate(bag.Value.Bytes)
	case "1.2.840.113549.1.12.10.1.6": // safeContentsBag
		return o.readBags(bag.Value.Bytes, depth+1)
	}
	return nil
}

func (o *opener) readShroudedKey(der []byte, attributes []asn1.RawValue) error {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	if err := unmarshal(der, &info); err != nil {
		return malformed(err)
	}
	key, err := o.decrypt(info.Algorithm, info.Data)
	if err != nil {
		return err
	}
	return o.addKey(key, attributes)
}

func (o *opener) addKey(der []byte, attributes []asn1.RawValue) error {
	o.contents.Keys = append(o.contents.Keys, Key{der, friendlyName(attributes)})
	if n := len(o.contents.Keys); n > maxKeys {
		return pbe.Unsupported("PKCS#12 file with more than %d private keys", maxKeys)
	}
	return nil
}

func (o *opener) readCertificate(der []byte) error {
	var bag struct {
		ID    asn1.ObjectIdentifier
		Value []byte `asn1:"tag:0,explicit"`
	}
	if err := unmarshal(der, &bag); err != nil {
		return malformed(err)
	}
	if bag.ID.String() == "1.2.840.113549.1.9.22.1" { // x509Certificate; the other is SDSI's
		o.contents.Certificates = append(o.contents.Certificates, bytes.Clone(bag.Value))
	}
	return nil
}

// friendlyName is RFC 2985 §5.5.1's.
func friendlyName(attributes []asn1.RawValue) string {
	for _, a := range attributes {
		var attribute struct {
			ID     asn1.ObjectIdentifier
			Values []asn1.RawValue `asn1:"set"`
		}
		if err := unmarshal(a.FullBytes, &attribute); err != nil || attribute.ID.String() != "1.2.840.113549.1.9.20" {
			continue
		}
		var name string
		if len(attribute.Values) == 1 && unmarshal(attribute.Values[0].FullBytes, &name) == nil {
			return name
		}
	}
	return ""
}

// unmarshal is asn1.Unmarshal for all of a BER value.
func unmarshal(ber []byte, v any) error {
	der, err := ToDER(ber)
	if err == nil {
		err = pbe.Unmarshal(der, v)
	}
	return err
}

func octets(ber []byte) (content []byte, err error) {
	err = unmarshal(ber, &content)
	return content, err
}

// sequence returns the elements of a SEQUENCE, as DER.
func sequence(ber []byte) ([][]byte, error) {
	der, err := ToDER(ber)
	if err != nil {
		return nil, err
	}
	var all []asn1.RawValue
	if _, err := asn1.Unmarshal(der, &all); err != nil {
		return nil, err
	}
	out := make([][]byte, 0, min(len(all), maxBags))
	for _, e := range all {
		out = append(out, e.FullBytes)
	}
	return out, nil
}
