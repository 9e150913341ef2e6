package peers

import (
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/eks-x509/eks-x509/internal/minica"
	"github.com/eks-x509/eks-x509/internal/sandbox"
)

const roleARN = "arn:aws:iam::123456789012:role/"

// files are those of one client, in a directory of their own.
type files struct {
	dir  string
	pair *minica.Pair
}

func (f files) write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pem writes certificate, key and intermediates as both programs take them.
func (f files) pem(t *testing.T, key []byte) []string {
	t.Helper()
	args := []string{
		"--certificate", f.write(t, "client.pem", minica.CertificatePEM(f.pair.Certificate)),
		"--private-key", f.write(t, "client.key", key),
	}
	if len(f.pair.Chain) > 0 {
		args = append(args, "--intermediates", f.write(t, "intermediates.pem", minica.CertificatePEM(f.pair.Chain...)))
	}
	return args
}

// flags are those of both programs but for the files; more of them after these win.
func (s *testSandbox) flags() []string {
	w := s.World()
	return []string{
		"--endpoint", s.URL(), "--region", w.Region,
		"--trust-anchor-arn", w.TrustAnchors[0].ARN, "--profile-arn", w.Profiles[0].ARN, "--role-arn", w.Roles[0].ARN,
	}
}

func (s *testSandbox) profileARN(t *testing.T, name string) string {
	t.Helper()
	profiles := s.World().Profiles
	i := slices.IndexFunc(profiles, func(p sandbox.Profile) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("no profile %q", name)
	}
	return profiles[i].ARN
}

// issue makes a client's certificate; a nil issuer is the sandbox's intermediate CA.
func (s *testSandbox) issue(t *testing.T, issuer *minica.Pair, kind string, change func(*minica.Template)) *minica.Pair {
	t.Helper()
	if issuer == nil {
		issuer = s.Authority().Intermediate
	}
	key, err := minica.GenerateKey(kind)
	if err != nil {
		t.Fatal(err)
	}
	template := minica.Leaf("peer")
	if change != nil {
		change(&template)
	}
	pair, err := issuer.Issue(template, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// credentialProcess is what a credential_process prints, version 1:
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
type credentialProcess struct {
	Version                                    int
	AccessKeyId, SecretAccessKey, SessionToken string
	Expiration                                 time.Time
}

func parseCredentials(t *testing.T, r result) credentialProcess {
	t.Helper()
	if r.code != 0 {
		t.Fatalf("exit status %d\n%s", r.code, r.stderr)
	}
	var c credentialProcess
	d := json.NewDecoder(strings.NewReader(r.stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		t.Fatal(err)
	}
	if c.Version != 1 {
		t.Errorf("version %d", c.Version)
	}
	return c
}

func (c credentialProcess) provider() aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: c.AccessKeyId, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}, nil
	})
}

// callerARN asks STS, by the SDK and at STS's real name, whose credentials these are.
func callerARN(t *testing.T, c credentialProcess) string {
	t.Helper()
	client := sts.New(sts.Options{Region: "us-east-1", Credentials: c.provider(), HTTPClient: http.DefaultClient})
	out, err := client.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Arn
}

func keyPEM(t *testing.T, write func(crypto.Signer) ([]byte, error), key crypto.Signer) []byte {
	t.Helper()
	data, err := write(key)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const password = "correct horse"

func encryptedPKCS8(t *testing.T, key crypto.Signer, kdf pkcs8.KDFOpts) []byte {
	t.Helper()
	der, err := pkcs8.MarshalPrivateKey(key, []byte(password), &pkcs8.Opts{Cipher: pkcs8.AES256CBC, KDFOpts: kdf})
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der})
}

// keyFormats are the files that the helper reads. Of PKCS#12 it takes only the old algorithms and no password.
func keyFormats() map[string]func(*testing.T, files) []string {
	encrypted := func(kdf pkcs8.KDFOpts) func(*testing.T, files) []string {
		return func(t *testing.T, f files) []string {
			return append(f.pem(t, encryptedPKCS8(t, f.pair.Key, kdf)), "--pkcs8-password", password)
		}
	}
	return map[string]func(*testing.T, files) []string{
		"PKCS#8":            func(t *testing.T, f files) []string { return f.pem(t, keyPEM(t, minica.KeyPEM, f.pair.Key)) },
		"PKCS#1 or SEC 1":   func(t *testing.T, f files) []string { return f.pem(t, keyPEM(t, minica.LegacyKeyPEM, f.pair.Key)) },
		"PKCS#8 and PBKDF2": encrypted(pkcs8.PBKDF2Opts{SaltSize: 16, IterationCount: 2048, HMACHash: crypto.SHA256}),
		"PKCS#8 and scrypt": encrypted(pkcs8.ScryptOpts{SaltSize: 16, CostParameter: 16384, BlockSize: 8, ParallelizationParameter: 1}),
		"PKCS#12": func(t *testing.T, f files) []string {
			data, err := pkcs12.LegacyDES.Encode(f.pair.Key, f.pair.Certificate, f.pair.Chain, "")
			if err != nil {
				t.Fatal(err)
			}
			return []string{"--certificate", f.write(t, "client.p12", data)}
		},
	}
}

// Our program must do what the helper does, by the helper's flags.
func TestAWSHelperSucceeds(t *testing.T) {
	t.Parallel()
	s := shared.sandbox
	programs := map[string]string{"the helper": requireAWSHelper(t), "eks-x509": requireEKSX509(t)}
	for _, kind := range []string{"rsa2048", "rsa3072", "rsa4096", "p256", "p384", "p521"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			pair := s.issue(t, nil, kind, nil)
			want := "arn:aws:sts::123456789012:assumed-role/eks-x509-sandbox/" + hex.EncodeToString(pair.Certificate.SerialNumber.Bytes())
			for format, args := range keyFormats() {
				args := slices.Concat([]string{"credential-process"}, s.flags(), args(t, files{t.TempDir(), pair}))
				for program, path := range programs {
					t.Run(format+", "+program, func(t *testing.T) {
						t.Parallel()
						c := parseCredentials(t, runProgram(t, []string{s.caBundle()}, "", path, args...))
						if got := callerARN(t, c); got != want {
							t.Errorf("credentials of %s, want %s", got, want)
						}
						if left := time.Until(c.Expiration); left < 59*time.Minute || left > time.Hour {
							t.Errorf("%s left of a session of an hour", left)
						}
					})
				}
			}
		})
	}
}

func TestSessionNameAndDuration(t *testing.T) {
	t.Parallel()
	s := shared.sandbox
	pair := s.issue(t, nil, "p256", nil)
	args := slices.Concat([]string{"credential-process"}, s.flags(), files{t.TempDir(), pair}.pem(t, keyPEM(t, minica.KeyPEM, pair.Key)),
		[]string{"--profile-arn", s.profileARN(t, "named"), "--role-session-name", "alice", "--session-duration", "900", "--no-verify-ssl"})
	for program, path := range map[string]string{"the helper": requireAWSHelper(t), "eks-x509": requireEKSX509(t)} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			c := parseCredentials(t, runProgram(t, nil, "", path, args...))
			if got, want := callerARN(t, c), "arn:aws:sts::123456789012:assumed-role/eks-x509-sandbox/alice"; got != want {
				t.Errorf("credentials of %s, want %s", got, want)
			}
			if left := time.Until(c.Expiration); left < 14*time.Minute || left > 15*time.Minute {
				t.Errorf("%s left of a session of 15 minutes", left)
			}
		})
	}
}

// The helper asks AWS about everything. Our program asks only about what it can't see for itself: where offline is set it exits
// with 3 and sends nothing, else with 4 and AWS's words.
func TestCertificatesThatMustFail(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	helper, ours := requireAWSHelper(t), requireEKSX509(t)
	const (
		insufficient = "AccessDeniedException: Untrusted certificate. Insufficient certificate"
		noChain      = "AccessDeniedException: Untrusted signing certificate"
	)
	leaf := func(change func(*minica.Template)) func(*testing.T) *minica.Pair {
		return func(t *testing.T) *minica.Pair { return s.issue(t, nil, "p256", change) }
	}
	// under makes a leaf below a CA of this template, itself below the sandbox's root.
	under := func(ca minica.Template, kind string, change func(*minica.Template)) func(*testing.T) *minica.Pair {
		return func(t *testing.T) *minica.Pair {
			issuer := s.issue(t, s.Authority().Root, kind, func(t *minica.Template) { *t = ca })
			return s.issue(t, issuer, "p256", change)
		}
	}
	expiredCA := minica.CA("expired CA")
	expiredCA.NotAfter = time.Now().Add(-time.Minute)
	w := s.World()

	for _, row := range []struct {
		name    string
		pair    func(*testing.T) *minica.Pair
		args    []string
		aws     string // in the helper's message, and in ours unless it is
		offline string // in our message
	}{
		{"expired", leaf(func(t *minica.Template) { t.NotAfter = time.Now().Add(-30 * time.Minute) }), nil,
			"AccessDeniedException: Untrusted certificate. Certificate has expired", "expired 30 minutes ago"},
		{"not yet valid", leaf(func(t *minica.Template) { t.NotBefore = time.Now().Add(time.Hour) }), nil,
			"AccessDeniedException: Untrusted certificate. Certificate is not yet valid", "not valid for another"},
		{"a CA", leaf(func(t *minica.Template) { t.IsCA = true }), nil, insufficient, "it is a CA's certificate"},
		{"no keyUsage", leaf(func(t *minica.Template) { t.KeyUsage = 0 }), nil, insufficient, "keyUsage lacks digitalSignature"},
		{"no digitalSignature", leaf(func(t *minica.Template) { t.KeyUsage = x509.KeyUsageKeyEncipherment }), nil, insufficient,
			"keyUsage lacks digitalSignature"},
		{"signed with SHA-1", under(minica.CA("RSA CA"), "rsa2048", func(t *minica.Template) { t.SignatureAlgorithm = x509.SHA1WithRSA }), nil,
			insufficient, "it is signed with SHA1-RSA"},
		{"version 1", leaf(func(t *minica.Template) { t.Version1 = true }), nil, insufficient, "unsupported X.509 version 1"},
		{"empty subject", leaf(func(t *minica.Template) { t.Subject = pkix.Name{}; t.DNSNames = []string{"a.example"} }), nil, insufficient,
			"its subject is empty"},
		{"an Ed25519 key", func(t *testing.T) *minica.Pair { return s.issue(t, nil, "ed25519", nil) }, nil,
			"unable to parse private key", "unsupported"}, // the helper sees this one itself
		{"the key of another certificate", func(t *testing.T) *minica.Pair {
			pair := *s.issue(t, nil, "p256", nil)
			pair.Key = s.Authority().Intermediate.Key
			return &pair
		}, nil, "AccessDeniedException: Invalid signature", "private key"},

		{"of another CA", foreign, nil, noChain, ""},
		{"intermediate not sent", func(t *testing.T) *minica.Pair {
			pair := *s.issue(t, nil, "p256", nil)
			pair.Chain = nil
			return &pair
		}, nil, noChain, ""},
		{"issued by an expired CA", under(expiredCA, "p256", func(t *minica.Template) { t.NotAfter = time.Now().Add(time.Hour) }), nil, noChain, ""},
		{"issued by a client's certificate", under(minica.Leaf("not a CA"), "p256", nil), nil, noChain, ""},
		{"revoked", func(t *testing.T) *minica.Pair {
			pair := s.issue(t, nil, "p256", nil)
			if err := s.Revoke(pair.Certificate.SerialNumber); err != nil {
				t.Fatal(err)
			}
			return pair
		}, nil, "AccessDeniedException: Untrusted certificate. Certificate has been revoked", ""},
		{"issued by a revoked CA", func(t *testing.T) *minica.Pair {
			ca := minica.CA("revoked CA")
			ca.Serial = big.NewInt(4711)
			pair := under(ca, "p256", nil)(t)
			revokeByRoot(t, s, ca.Serial)
			return pair
		}, nil, "AccessDeniedException: Untrusted certificate. Certificate has been revoked", ""},

		{"disabled trust anchor", leaf(nil), []string{"--trust-anchor-arn", w.TrustAnchors[1].ARN},
			"AccessDeniedException: Trust anchor is not enabled", ""},
		{"unknown trust anchor", leaf(nil), []string{"--trust-anchor-arn", w.TrustAnchors[0].ARN + "f"},
			"ResourceNotFoundException: Trust anchor not found", ""},
		{"disabled profile", leaf(nil), []string{"--profile-arn", s.profileARN(t, "disabled")}, "AccessDeniedException: Profile is not enabled", ""},
		{"role of no profile", leaf(nil), []string{"--role-arn", roleARN + "no-profile"},
			"AccessDeniedException: Unable to assume role for " + roleARN + "no-profile", ""},
		{"role without the trust policy", leaf(nil), []string{"--role-arn", roleARN + "untrusted"},
			"AccessDeniedException: Unable to assume role for " + roleARN + "untrusted", ""},
		{"session name not allowed", leaf(nil), []string{"--role-session-name", "alice"},
			"AccessDeniedException: Not authorized to set roleSessionName", ""},
		{"longer than the role allows", leaf(nil),
			[]string{"--profile-arn", s.profileARN(t, "long"), "--role-arn", roleARN + "short", "--session-duration", "7200"},
			"AccessDeniedException: Unable to assume role for " + roleARN + "short. The requested DurationSeconds exceeds the MaxSessionDuration", ""},
	} {
		t.Run(row.name, func(t *testing.T) { // one after the other, so that requests can be counted
			pair := row.pair(t)
			args := slices.Concat([]string{"credential-process"}, s.flags(), files{t.TempDir(), pair}.pem(t, keyPEM(t, minica.KeyPEM, pair.Key)), row.args)

			got := runProgram(t, []string{s.caBundle()}, "", helper, args...)
			if got.code == 0 || got.stdout != "" || !strings.Contains(got.stderr, row.aws) {
				t.Errorf("the helper: exit status %d, %d bytes on stdout\n%s\nwant %q", got.code, len(got.stdout), got.stderr, row.aws)
			}

			before := len(s.Requests())
			got = runProgram(t, []string{s.caBundle()}, "", ours, args...)
			code, sent, message := 4, 1, row.aws
			if row.offline != "" {
				code, sent, message = 3, 0, row.offline
			}
			if got.code != code || got.stdout != "" || !strings.Contains(firstLine(got.stderr, "eks-x509: error: "), message) {
				t.Errorf("ours: exit status %d, %d bytes on stdout\n%s\nwant %d, %q", got.code, len(got.stdout), got.stderr, code, message)
			}
			if n := len(s.Requests()) - before; n != sent {
				t.Errorf("ours sent %d requests, want %d", n, sent)
			}
		})
	}
}

// firstLine finds the line with this prefix.
func firstLine(text, prefix string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
	return ""
}

// foreign is a certificate of a CA that the sandbox does not know, with an intermediate of the same name as the sandbox's.
func foreign(t *testing.T) *minica.Pair {
	t.Helper()
	template := minica.CA("eks-x509 sandbox root CA")
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	key, err := minica.GenerateKey("p256")
	if err != nil {
		t.Fatal(err)
	}
	root, err := minica.NewRoot(template, key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := root.Issue(minica.CA("eks-x509 sandbox intermediate CA"), nil)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(minica.Leaf("peer"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// revokeByRoot puts a serial on a CRL of the root, in the first trust anchor.
func revokeByRoot(t *testing.T, s *testSandbox, serial *big.Int) {
	t.Helper()
	crl, err := s.Authority().Root.CRL([]*big.Int{serial}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w := s.World()
	w.TrustAnchors[0].CRLs = append(w.TrustAnchors[0].CRLs, string(crl))
	if err := s.SetWorld(w); err != nil {
		t.Fatal(err)
	}
}
