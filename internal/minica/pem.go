package minica

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// CertificatePEM writes certificates one after another.
func CertificatePEM(certificates ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certificates {
		b.Write(encode("CERTIFICATE", c.Raw))
	}
	return b.Bytes()
}

// KeyPEM writes a key as PKCS#8.
func KeyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return encode("PRIVATE KEY", der), err
}

// LegacyKeyPEM writes an RSA key as PKCS#1 and an EC key as SEC 1.
func LegacyKeyPEM(key crypto.Signer) ([]byte, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k)), nil
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(k)
		return encode("EC PRIVATE KEY", der), err
	}
	return nil, fmt.Errorf("encoding key: unsupported type %T", key)
}

// Parse reads what CertificatePEM and KeyPEM wrote: the first certificate is the pair's, the rest its chain.
func Parse(certificatePEM, keyPEM []byte) (*Pair, error) {
	p := new(Pair)
	for block, rest := pem.Decode(certificatePEM); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if p.Certificate == nil {
			p.Certificate = c
		} else {
			p.Chain = append(p.Chain, c)
		}
	}
	block, _ := pem.Decode(keyPEM)
	if p.Certificate == nil || block == nil {
		return nil, errors.New("no PEM certificate with key found")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("unsupported key type %T", key)
	}
	if public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(p.Certificate.PublicKey) {
		return nil, fmt.Errorf("key is not that of certificate %q", p.Certificate.Subject)
	}
	p.Key = signer
	return p, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
