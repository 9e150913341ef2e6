// Package sigv4x509 signs an HTTP request with an X.509 certificate's key:
// AWS Signature Version 4 with the algorithms AWS4-X509-RSA-SHA256 and
// AWS4-X509-ECDSA-SHA256, as IAM Roles Anywhere takes it for CreateSession.
//
// It differs from SigV4 in three things: there is no derived signing key (the
// string to sign is signed by the private key itself), the credential names the
// certificate's serial number in decimal, and the certificates travel in the
// headers X-Amz-X509 and X-Amz-X509-Chain, which are signed.
//
// It sends nothing and checks no certificate. Specification:
// https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-sign-process.html
// and https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
package sigv4x509

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The headers of the protocol.
const (
	HeaderDate  = "X-Amz-Date"
	HeaderX509  = "X-Amz-X509"
	HeaderChain = "X-Amz-X509-Chain"
)

const (
	timeFormat      = "20060102T150405Z"
	scopeTerminator = "aws4_request"
)

// Identity is who signs.
type Identity struct {
	// Signer holds the private key of Certificate. It is called by
	// [crypto.SignMessage], so that a key which hashes by itself works.
	Signer crypto.Signer
	// Certificate is the end-entity certificate, RSA or ECDSA.
	Certificate *x509.Certificate
	// Chain holds the issuers, that of Certificate first. AWS takes at most 5;
	// empty if the trust anchor itself issued Certificate.
	Chain []*x509.Certificate
}

// Algorithm returns the name of the signature algorithm, which the
// certificate's key type decides. The hash is SHA-256 for every curve.
func (id Identity) Algorithm() (string, error) {
	if id.Certificate == nil {
		return "", errors.New("sigv4x509: no certificate")
	}
	switch key := id.Certificate.PublicKey.(type) {
	case *rsa.PublicKey:
		return "AWS4-X509-RSA-SHA256", nil
	case *ecdsa.PublicKey:
		return "AWS4-X509-ECDSA-SHA256", nil
	default:
		return "", fmt.Errorf("sigv4x509: unsupported key type %T (RSA and ECDSA are supported)", key)
	}
}

// SignHTTP signs r in place: it sets X-Amz-Date, X-Amz-X509, X-Amz-X509-Chain
// (if there is a chain) and Authorization, and replaces what they held before.
// Signed are the host, Content-Type and every X-Amz-… header; other headers may
// change on the way. payloadHash is the lower-case hex SHA-256 of the body.
//
// The arguments mirror SignHTTP of aws-sdk-go-v2/aws/signer/v4.
func SignHTTP(_ context.Context, id Identity, r *http.Request, payloadHash, service, region string, signingTime time.Time) error {
	algorithm, err := id.Algorithm()
	if err != nil {
		return err
	}
	date := signingTime.UTC().Format(timeFormat)
	scope := strings.Join([]string{date[:8], region, service, scopeTerminator}, "/")

	r.Header.Del("Authorization")
	r.Header.Set(HeaderDate, date)
	r.Header.Set(HeaderX509, base64.StdEncoding.EncodeToString(id.Certificate.Raw))
	r.Header.Del(HeaderChain)
	if len(id.Chain) > 0 {
		r.Header.Set(HeaderChain, encodeChain(id.Chain))
	}

	names := headersToSign(r.Header)
	request := canonicalRequest(r, names, payloadHash)
	signature, err := crypto.SignMessage(id.Signer, rand.Reader, stringToSign(algorithm, date, scope, request), crypto.SHA256)
	if err != nil {
		return fmt.Errorf("sigv4x509: signing: %w", err)
	}
	r.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		algorithm, id.Certificate.SerialNumber, scope, strings.Join(names, ";"), hex.EncodeToString(signature)))
	return nil
}

func encodeChain(chain []*x509.Certificate) string {
	encoded := make([]string, len(chain))
	for i, c := range chain {
		encoded[i] = base64.StdEncoding.EncodeToString(c.Raw)
	}
	return strings.Join(encoded, ",")
}

func stringToSign(algorithm, date, scope, request string) []byte {
	hash := sha256.Sum256([]byte(request))
	return []byte(algorithm + "\n" + date + "\n" + scope + "\n" + hex.EncodeToString(hash[:]))
}
