package pkcs12

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the MAC of most files; the password is what protects them
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"hash"
	"math/big"

	"github.com/eks-x509/eks-x509/internal/keys/pbe"
)

// macData is MacData, RFC 7292 §4.
type macData struct {
	MAC struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	Salt       []byte
	Iterations *big.Int `asn1:"optional"` // nil is 1
}

func (m macData) absent() bool { return len(m.MAC.Algorithm.Algorithm) == 0 }

func (m macData) isPBMAC1() bool {
	return m.MAC.Algorithm.Algorithm.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14})
}

// verify returns pbe.ErrWrongPassword if the MAC is another.
func (m macData) verify(content []byte, password pbe.Password, budget *pbe.Budget) error {
	newHash, key, err := m.key(password, budget)
	if err != nil {
		return err
	}
	defer clear(key)
	mac := hmac.New(newHash, key)
	mac.Write(content)
	if !hmac.Equal(mac.Sum(nil), m.MAC.Digest) {
		return pbe.ErrWrongPassword
	}
	return nil
}

func (m macData) key(password pbe.Password, budget *pbe.Budget) (func() hash.Hash, []byte, error) {
	if m.isPBMAC1() {
		return pbmac1(m.MAC.Algorithm.Parameters.FullBytes, password, budget)
	}
	newHash := digest(m.MAC.Algorithm.Algorithm.String())
	if newHash == nil {
		return nil, nil, pbe.Unsupported("MAC with digest %s (supported: SHA-1, SHA-2, PBMAC1)", m.MAC.Algorithm.Algorithm)
	}
	iterations := m.Iterations
	if iterations == nil {
		iterations = big.NewInt(1)
	}
	key, err := pbe.PKCS12(newHash, m.Salt, iterations, pbe.IDMAC, newHash().Size(), password, budget)
	return newHash, key, err
}

func digest(oid string) func() hash.Hash {
	switch oid {
	case "1.3.14.3.2.26":
		return sha1.New
	case "2.16.840.1.101.3.4.2.4":
		return sha256.New224
	case "2.16.840.1.101.3.4.2.1":
		return sha256.New
	case "2.16.840.1.101.3.4.2.2":
		return sha512.New384
	case "2.16.840.1.101.3.4.2.3":
		return sha512.New
	}
	return nil
}

// pbmac1 is RFC 9579: a key by PBKDF2 for an HMAC.
func pbmac1(der []byte, password pbe.Password, budget *pbe.Budget) (func() hash.Hash, []byte, error) {
	var params struct{ KDF, MAC pkix.AlgorithmIdentifier }
	if err := unmarshal(der, &params); err != nil {
		return nil, nil, malformed(fmt.Errorf("PBMAC1: %w", err))
	}
	newHash := pbe.HMACHash(params.MAC.Algorithm.String())
	if newHash == nil {
		return nil, nil, pbe.Unsupported("MAC %s (supported: HMAC with SHA-1 and SHA-2)", params.MAC.Algorithm)
	}
	var kdf struct {
		Salt       asn1.RawValue
		Iterations *big.Int
		KeySize    *big.Int `asn1:"optional"`
	}
	if err := unmarshal(params.KDF.Parameters.FullBytes, &kdf); err != nil {
		return nil, nil, malformed(fmt.Errorf("PBMAC1: %w", err))
	}
	// RFC 9579 §4: the length must be there, and 20 bytes or more; a short key would be found by trying. No HMAC needs
	// more than the longest hash.
	const least, most = 20, 64
	if n := kdf.KeySize; n == nil || n.Cmp(big.NewInt(least)) < 0 || n.Cmp(big.NewInt(most)) > 0 {
		return nil, nil, pbe.Unsupported("PBMAC1 key of another length than %d to %d bytes", least, most)
	}
	key, err := pbe.PBKDF2(params.KDF, password, int(kdf.KeySize.Int64()), budget)
	return newHash, key, err
}
