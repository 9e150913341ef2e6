package sigv4x509

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var authorizationRE = regexp.MustCompile(`^(\S+) Credential=([^/]+)/([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]+)$`)

func hexSHA256(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func verify(pub crypto.PublicKey, message, signature []byte) bool {
	h := sha256.Sum256(message)
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(pub, crypto.SHA256, h[:], signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(pub, h[:], signature)
	}
	return false
}

// The recorded requests were signed by AWS's own helper: our canonical form is
// right if its signatures verify over what we compute.
func TestCanonicalRequestAgreesWithRecordedSignatures(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../testdata/vectors/*.http")
	if err != nil || len(files) != 4 {
		t.Fatalf("vectors: %v %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			der, err := base64.StdEncoding.DecodeString(r.Header.Get(HeaderX509))
			if err != nil {
				t.Fatal(err)
			}
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			auth := authorizationRE.FindStringSubmatch(r.Header.Get("Authorization"))
			if auth == nil {
				t.Fatal("no Authorization")
			}
			signature, err := hex.DecodeString(auth[5])
			if err != nil {
				t.Fatal(err)
			}
			algorithm, err := Identity{Certificate: cert}.Algorithm()
			if err != nil || algorithm != auth[1] {
				t.Errorf("algorithm %q (%v), recorded %q", algorithm, err, auth[1])
			}
			if got := cert.SerialNumber.String(); got != auth[2] {
				t.Errorf("serial %s, recorded %s", got, auth[2])
			}
			request := canonicalRequest(r, strings.Split(auth[4], ";"), hexSHA256(body))
			message := stringToSign(auth[1], r.Header.Get(HeaderDate), auth[3], request)
			if !verify(cert.PublicKey, message, signature) {
				t.Errorf("recorded signature does not verify over\n%s", request)
			}
			message[len(message)-1] ^= 1
			if verify(cert.PublicKey, message, signature) {
				t.Error("a changed message verifies")
			}
		})
	}
}

func selfSigned(t *testing.T, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(123456789), Subject: pkix.Name{CommonName: "t"}, NotAfter: time.Now().Add(time.Hour),
	}, &x509.Certificate{}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestSignHTTPVerifiesForEveryKeyType(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]crypto.Signer{"AWS4-X509-RSA-SHA256 2048": rsaKey}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys["AWS4-X509-ECDSA-SHA256 "+curve.Params().Name] = key
	}
	for name, key := range keys {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cert := selfSigned(t, key)
			body := []byte(`{"a":1}`)
			r, err := http.NewRequest("POST", "https://rolesanywhere.us-east-1.amazonaws.com/sessions?b=2&a=%3D", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("User-Agent", "x")
			r.Header.Set("Authorization", "stale")
			id := Identity{Signer: key, Certificate: cert, Chain: []*x509.Certificate{cert, cert}}
			at := time.Date(2026, 11, 23, 23, 59, 59, 0, time.FixedZone("", 3600))
			if err := SignHTTP(t.Context(), id, r, hexSHA256(body), "rolesanywhere", "us-east-1", at); err != nil {
				t.Fatal(err)
			}
			auth := authorizationRE.FindStringSubmatch(r.Header.Get("Authorization"))
			if auth == nil {
				t.Fatalf("malformed %q", r.Header.Get("Authorization"))
			}
			want := []string{strings.Fields(name)[0], "123456789", "20261123/us-east-1/rolesanywhere/aws4_request",
				"content-type;host;x-amz-date;x-amz-x509;x-amz-x509-chain"}
			if diff := cmp.Diff(want, auth[1:5]); diff != "" {
				t.Error(diff)
			}
			der := base64.StdEncoding.EncodeToString(cert.Raw)
			request := "POST\n/sessions\na=%3D&b=2\ncontent-type:application/json\nhost:rolesanywhere.us-east-1.amazonaws.com\n" +
				"x-amz-date:20261123T225959Z\nx-amz-x509:" + der + "\nx-amz-x509-chain:" + der + "," + der + "\n\n" + want[3] + "\n" + hexSHA256(body)
			message := fmt.Sprintf("%s\n20261123T225959Z\n%s\n%s", want[0], want[2], hexSHA256([]byte(request)))
			signature, _ := hex.DecodeString(auth[5])
			if !verify(key.Public(), []byte(message), signature) {
				t.Error("the signature does not verify")
			}
		})
	}
}

func TestUnsupportedKeyTypeIsRefused(t *testing.T) {
	t.Parallel()
	block, _ := pem.Decode([]byte(ed25519PEM))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequest("GET", "https://example.com", nil)
	err = SignHTTP(t.Context(), Identity{Certificate: cert}, r, "", "s", "r", time.Now())
	if err == nil || !strings.Contains(err.Error(), "unsupported key type ed25519.PublicKey") {
		t.Errorf("got %v", err)
	}
	if len(r.Header) != 0 {
		t.Errorf("a refused request has headers %v", r.Header)
	}
}

const ed25519PEM = `-----BEGIN CERTIFICATE-----
MIIBLjCB4aADAgECAhQezKt+aHPOWppu2hhowv7HJT/KwjAFBgMrZXAwDDEKMAgG
A1UEAwwBdDAgFw0yNjExMjMyMjM1MDlaGA8yMTI1MDYxNzIyMzUwOVowDDEKMAgG
A1UEAwwBdDAqMAUGAytlcAMhAOAqnid5PhR11EjraOfOSLPc+K56HlimYCX+rdlg
PbMVo1MwUTAdBgNVHQ4EFgQU1EaYc5PsT9RVYZEJXC5hjAkZTYYwHwYDVR0jBBgw
FoAU1EaYc5PsT9RVYZEJXC5hjAkZTYYwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXAD
QQDVqGkM49Sqsyn6KKFDHpxKkyQwvGQ9OL/Z6TdhUP56WWctvZEji3f/VJ5Cu4ku
TKNbfBsmSFJ0BZweTvg1tFgD
-----END CERTIFICATE-----`

func TestCanonicalParts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, url, path, query string }{
		{"an empty path is the root", "https://h", "/", ""},
		{"a trailing slash stays", "https://h/a/", "/a/", ""},
		{"dot segments and empty segments go", "https://h/a/./b//../c", "/a/c", ""},
		{"a path above the root stops there", "https://h/../..", "/", ""},
		{"segments are encoded twice", "https://h/a%20b/é", "/a%2520b/%25C3%25A9", ""},
		{"parameters are sorted by name then value", "https://h/?b=1&a=2&a=1&c", "/", "a=1&a=2&b=1&c="},
		{"names sort after encoding", "https://h/?a.=1&a=2", "/", "a=2&a.=1"},
		{"a plus is a space", "https://h/?a=b+c%2B", "/", "a=b%20c%2B"},
		{"an equals sign in a value is encoded once", "https://h/?a=b=c", "/", "a=b%3Dc"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequest("GET", row.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := canonicalPath(r.URL); got != row.path {
				t.Errorf("path %q, want %q", got, row.path)
			}
			if got := canonicalQuery(r.URL.RawQuery); got != row.query {
				t.Errorf("query %q, want %q", got, row.query)
			}
		})
	}
	r, _ := http.NewRequest("GET", "https://h", nil)
	r.Header["X-Amz-Meta"] = []string{"  a   b ", "c"}
	if got := headerValue(r, "x-amz-meta"); got != "a b,c" {
		t.Errorf("header value %q", got)
	}
	r.Host = "virtual:8443"
	if got := headerValue(r, "host"); got != "virtual:8443" {
		t.Errorf("host %q", got)
	}
}
