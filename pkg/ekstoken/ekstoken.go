// Package ekstoken makes the bearer token that an Amazon EKS cluster accepts,
// takes one apart and checks it.
//
//	k8s-aws-v1.<base64url without padding of a presigned URL>
//
//	https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15
//	  &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=…&X-Amz-Date=…&X-Amz-Expires=60
//	  &X-Amz-Security-Token=…&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature=…
//
// The cluster sends that GET with the header X-K8s-Aws-Id set to its own name,
// so a token for one cluster is refused by another, and learns from STS who
// signed it. Nothing here uses the network. The format is that of
// https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster
package ekstoken

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Prefix begins every token.
const Prefix = "k8s-aws-v1."

const (
	// MaxLength is the longest token, prefix included, that aws-iam-authenticator
	// takes (maxTokenLenBytes); it answers a longer one with a bare 401.
	MaxLength = 4096

	// Lifetime is how long STS honours a presigned GetCallerIdentity after its
	// X-Amz-Date; X-Amz-Expires is not heeded.
	Lifetime = 15 * time.Minute

	// margin is taken off Lifetime in Token.Expires, as the AWS CLI does:
	// kubectl asks for a new token only after that time.
	margin = time.Minute

	// ClusterHeader carries the cluster's name; the signature covers it.
	ClusterHeader = "x-k8s-aws-id"
)

const (
	algorithm     = "AWS4-HMAC-SHA256"
	signedHeaders = "host;" + ClusterHeader
	dateFormat    = "20060102T150405Z"
	emptyHash     = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // SHA-256 of ""
)

// Options says for which cluster and through which STS endpoint.
type Options struct {
	// Cluster is the cluster's name; for a local cluster on Outposts its id.
	Cluster string
	// Region of the STS endpoint. It need not be the cluster's.
	Region                string
	UseFIPS, UseDualStack bool
	// SignedAt is the token's X-Amz-Date. Credentials, cluster, host and second
	// being the same, the token is the same.
	SignedAt time.Time
}

// Token is a bearer token.
type Token struct {
	Value string
	// Expires is the earlier of 14 minutes after signing and the end of the
	// credentials.
	Expires time.Time
}

// String hides the value: a token is a secret.
func (t Token) String() string { return "EKS token until " + t.Expires.UTC().Format(time.RFC3339) }

// GoString is String, for %#v.
func (t Token) GoString() string { return t.String() }

// TooLongError says that no cluster would take the token, whose session token
// is too long.
type TooLongError struct{ Length, SessionTokenLength int }

func (e *TooLongError) Error() string {
	return fmt.Sprintf("making token: %d bytes long, and a cluster takes at most %d (the session token alone has %d)",
		e.Length, MaxLength, e.SessionTokenLength)
}

// New makes a token. The name of the cluster is checked first, the length last
// (a *TooLongError).
func New(creds aws.Credentials, o Options) (Token, error) {
	if err := CheckClusterName(o.Cluster); err != nil {
		return Token{}, err
	}
	host, err := Host(o.Region, o.UseFIPS, o.UseDualStack)
	if err != nil {
		return Token{}, err
	}
	expires := o.SignedAt.Add(Lifetime - margin)
	if creds.CanExpire && creds.Expires.Before(expires) {
		expires = creds.Expires
	}
	value := Prefix + base64.RawURLEncoding.EncodeToString([]byte(presign(creds, host, o)))
	if len(value) > MaxLength {
		return Token{}, &TooLongError{Length: len(value), SessionTokenLength: len(creds.SessionToken)}
	}
	return Token{Value: value, Expires: expires}, nil
}

// presign signs GET https://host/ in the query (SigV4, "authentication
// information in the query string"). The parameters stand in the order of their
// names, which is the canonical order.
func presign(creds aws.Credentials, host string, o Options) string {
	date := o.SignedAt.UTC().Format(dateFormat)
	scope := date[:8] + "/" + o.Region + "/sts/aws4_request"
	query := "Action=GetCallerIdentity&Version=2011-06-15" +
		"&X-Amz-Algorithm=" + algorithm +
		"&X-Amz-Credential=" + encode(creds.AccessKeyID+"/"+scope) +
		"&X-Amz-Date=" + date +
		"&X-Amz-Expires=60"
	if creds.SessionToken != "" {
		query += "&X-Amz-Security-Token=" + encode(creds.SessionToken)
	}
	query += "&X-Amz-SignedHeaders=" + encode(signedHeaders)

	canonical := strings.Join([]string{
		"GET", "/", query, "host:" + host, ClusterHeader + ":" + o.Cluster, "", signedHeaders, emptyHash,
	}, "\n")
	hash := sha256.Sum256([]byte(canonical))
	toSign := strings.Join([]string{algorithm, date, scope, hex.EncodeToString(hash[:])}, "\n")

	key := []byte("AWS4" + creds.SecretAccessKey)
	for _, part := range []string{date[:8], o.Region, "sts", "aws4_request"} {
		key = hmacSHA256(key, part)
	}
	return "https://" + host + "/?" + query + "&X-Amz-Signature=" + hex.EncodeToString(hmacSHA256(key, toSign))
}

func hmacSHA256(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

// encode is AWS's UriEncode; a "/" is encoded too.
func encode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Host returns the STS host, always the regional one, as the SDK's endpoint rules
// do. Dual-stack hosts that a cluster refuses are an error.
func Host(region string, useFIPS, useDualStack bool) (string, error) {
	// The rules put whatever they are given into the host's name.
	if !isRegion(region) {
		return "", fmt.Errorf("invalid region %q", region)
	}
	service, domain := "sts", ""
	for _, p := range partitions() {
		if strings.HasPrefix(region, p.prefix) {
			domain = p.domain
			if useDualStack {
				domain = p.dualStack
			}
			break
		}
	}
	if domain == "" {
		return "", fmt.Errorf("unsupported dual-stack STS endpoint in region %q: a cluster refuses it in this partition", region)
	}
	// In GovCloud the plain endpoint is the FIPS one.
	if useFIPS && (useDualStack || !strings.HasPrefix(region, "us-gov-")) {
		service = "sts-fips"
	}
	return service + "." + region + "." + domain, nil
}

type partition struct{ prefix, domain, dualStack string }

// partitions are AWS's, each with the beginning of its regions' names, the last
// for all others. They are written here, and held against the SDK's rules by a
// test, since those cost every start of the program a tenth of a millisecond.
// Dual-stack domains that a cluster refuses are left out.
func partitions() []partition {
	return []partition{
		{"cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
		{"us-iso-", "c2s.ic.gov", ""},
		{"us-isob-", "sc2s.sgov.gov", ""},
		{"us-isof-", "csp.hci.ic.gov", ""},
		{"eu-isoe-", "cloud.adc-e.uk", ""},
		{"eusc-", "amazonaws.eu", "api.amazonwebservices.eu"},
		{"", "amazonaws.com", "api.aws"},
	}
}

// isRegion: words and a number, such as us-gov-west-1.
func isRegion(s string) bool {
	parts := strings.Split(s, "-")
	for _, word := range parts[:len(parts)-1] {
		if !only(word, lower, 1, 16) {
			return false
		}
	}
	return len(parts) >= 3 && only(parts[len(parts)-1], digits, 1, 2)
}

func hasSuffix(s string, suffixes ...string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(s, suffix) {
			return true
		}
	}
	return false
}

// CheckClusterName says whether EKS could have a cluster of that name.
func CheckClusterName(name string) error {
	switch {
	case name == "":
		return errors.New("invalid cluster name: it is empty")
	case strings.HasPrefix(name, "arn:"):
		return fmt.Errorf("invalid cluster name %q: an ARN, of which the name is the part after the last slash", name)
	case !only(name, digits+lower+upper+"_-", 1, 100), strings.ContainsAny(name[:1], "_-"):
		return fmt.Errorf("invalid cluster name %q: 1 to 100 letters, digits, hyphens and underscores, the first a letter or a digit", name)
	}
	return nil
}
