package awsapi

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/eks-x509/eks-x509/pkg/ekstoken"
)

// CheckServer tells whether kubectl and this program may send a token to a URL:
// https, a host by name or address, a port and a plain path, nothing else. It is
// the rule for --server, for what EKS answers, and for each connection. The URL
// is not quoted: it may hold a password.
func CheckServer(server string) error {
	const longest = 2048
	if len(server) > longest || strings.ContainsFunc(server, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New("a URL such as https://host is needed, without spaces and control characters")
	}
	u, err := url.Parse(server)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("a URL such as https://host is needed")
	case u.Scheme != "https":
		return errors.New("https is needed")
	case u.User != nil:
		return errors.New("a user name before the host is not allowed")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(server, "#"):
		return errors.New("a query or fragment is not allowed")
	case !isHost(u.Hostname()) || strings.HasPrefix(u.Host, "[") != strings.Contains(u.Hostname(), ":"):
		return errors.New("a host name or an IP address is needed")
	case !isPlainPath(u.EscapedPath()):
		return errors.New("unsupported path")
	}
	if _, port, found := strings.Cut(u.Host[strings.LastIndexByte(u.Host, ']')+1:], ":"); found {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return errors.New("a port from 1 to 65535 is needed")
		}
	}
	return nil
}

// isHost: an IP address without a zone, or a name of RFC 1123 §2.1.
func isHost(host string) bool {
	if net.ParseIP(host) != nil {
		return true
	}
	const longestName, longestLabel = 253, 63
	if len(host) == 0 || len(host) > longestName {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > longestLabel || label[0] == '-' || label[len(label)-1] == '-' || !only(label, "-") {
			return false
		}
	}
	return true
}

func isPlainPath(path string) bool {
	for _, step := range strings.Split(strings.TrimSuffix(path, "/"), "/")[1:] {
		if step == "" || step == "." || step == ".." || !only(step, "-._~") {
			return false
		}
	}
	return true
}

// only tells whether s has no characters but ASCII letters, digits and more.
func only(s, more string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune(more, r)
	})
}

// isWord: printable ASCII without spaces, as long as an ARN may be.
func isWord(s string) bool {
	const longest = 2048
	return s != "" && len(s) <= longest && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// ParseAuthority returns the certificates of a cluster's certificate authority as
// PEM, and nothing of what stands around them: it goes into a kubeconfig.
func ParseAuthority(data []byte) ([]byte, error) {
	const largest, most = 256 << 10, 64
	if len(data) > largest {
		return nil, fmt.Errorf("the certificate authority is larger than %d bytes", largest)
	}
	var clean bytes.Buffer
	count := 0
	for rest := data; ; count++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, errors.New("the certificate authority holds a PEM block that is not a certificate")
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, errors.New("malformed certificate in the certificate authority")
		}
		if err := pem.Encode(&clean, &pem.Block{Type: block.Type, Bytes: block.Bytes}); err != nil {
			return nil, err
		}
	}
	if count == 0 {
		return nil, errors.New("no certificate found in the cluster's certificate authority")
	}
	if count > most || bytes.Count(data, []byte("-----BEGIN ")) != count {
		return nil, errors.New("malformed PEM in the certificate authority")
	}
	return clean.Bytes(), nil
}

// AccountOf is the account in an ARN, empty if there is none.
func AccountOf(s string) string {
	parsed, _ := arn.Parse(s)
	return parsed.AccountID
}

// check compares what EKS says of a cluster with what was asked, and looks at all
// that a kubeconfig, a token or a terminal gets of it. Why never quotes it.
func (c *Cluster) check(name, region, account string) error {
	id, err := arn.Parse(c.ARN)
	switch {
	case c.Name != name:
		return errors.New("the answer is about another cluster")
	case err != nil || id.Service != "eks" || !strings.HasPrefix(id.Partition, "aws") || !only(id.Partition, "-") || len(id.AccountID) != 12 || strings.Trim(id.AccountID, "0123456789") != "":
		return errors.New("malformed ARN in the answer")
	case id.Resource != "cluster/"+name:
		return errors.New("the ARN in the answer is that of another cluster")
	case id.Region != region:
		return errors.New("the ARN in the answer is of another region")
	case account != "" && id.AccountID != account:
		return errors.New("the ARN in the answer is of another account")
	case c.ID != "" && ekstoken.CheckClusterName(c.ID) != nil:
		return errors.New("malformed cluster id in the answer")
	}
	const longest = 64
	for _, word := range []string{c.Status, c.Version, c.AuthenticationMode} {
		if len(word) > longest || !only(word, "-._+") {
			return errors.New("malformed status, version or authentication mode in the answer")
		}
	}
	up := c.Status == "ACTIVE" || c.Status == "UPDATING"
	if c.Endpoint != "" || up {
		if err := CheckServer(c.Endpoint); err != nil {
			return fmt.Errorf("invalid endpoint in the answer: %w", err)
		}
	}
	if len(c.CertificateAuthority) > 0 || up {
		if c.CertificateAuthority, err = ParseAuthority(c.CertificateAuthority); err != nil {
			return fmt.Errorf("invalid certificate authority in the answer: %w", err)
		}
	}
	return nil
}
