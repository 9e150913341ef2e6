package certs

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/eks-x509/eks-x509/internal/sessiontag"
)

// Tag is a session tag that Roles Anywhere sets, a key of aws:PrincipalTag.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	// Dropped: STS would not take the value, so that AWS leaves the tag out and
	// says nothing. A condition with StringEquals then never holds.
	Dropped bool `json:"dropped,omitempty"`
}

// SessionName is what AWS calls a session if no name is asked for: the serial
// number in hex. It ends the assumed role's ARN, in CloudTrail and in the
// cluster's audit log.
func SessionName(c *x509.Certificate) string { return hex.EncodeToString(c.SerialNumber.Bytes()) }

// Name is a distinguished name in DER as RFC 4514 writes it. pkix.Name's String
// puts attributes of one kind into one RDN.
func Name(raw []byte) string {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &rdns); err != nil || len(rest) > 0 {
		return ""
	}
	return rdns.String()
}

// SourceIdentity is what AWS sets as sts:SourceIdentity, at most 64 characters.
func SourceIdentity(c *x509.Certificate) string {
	const longest, prefix = 64, "CN="
	switch n := len(c.Subject.CommonName); {
	case n == 0 || n > longest:
		return "ID=" + SessionName(c)
	case n+len(prefix) > longest:
		return c.Subject.CommonName
	}
	return prefix + c.Subject.CommonName
}

// SessionTags are those that Roles Anywhere sets by the attribute mappings of a
// new profile: all names of subject and issuer, and the first DNS name, URI and
// directory name among the alternative names. Several values of one attribute
// are joined by a slash, in the certificate's order. Attributes other than the
// six that AWS documents are left out.
func SessionTags(c *x509.Certificate) []Tag {
	var tags []Tag
	add := func(key string, values []string) {
		if value := strings.Join(values, "/"); value != "" {
			tags = append(tags, Tag{key, value, !sessiontag.IsTag(value)})
		}
	}
	addName := func(prefix string, n pkix.Name) {
		for _, a := range attributes() {
			var values []string
			for _, v := range n.Names {
				if text, ok := v.Value.(string); ok && v.Type.Equal(a.oid) {
					values = append(values, text)
				}
			}
			add(prefix+a.name, values)
		}
	}
	addName("x509Subject/", c.Subject)
	addName("x509Issuer/", c.Issuer)
	add("x509SAN/DNS", c.DNSNames[:min(1, len(c.DNSNames))])
	add("x509SAN/URI", texts(c.URIs[:min(1, len(c.URIs))]))
	if names := DirectoryNames(c); len(names) > 0 {
		addName("x509SAN/Name/", names[0])
	}
	return tags
}

type attribute struct {
	name string
	oid  asn1.ObjectIdentifier
}

// attributes are X.520's, by the names that RFC 4514 §3 gives them.
func attributes() []attribute {
	return []attribute{
		{"CN", asn1.ObjectIdentifier{2, 5, 4, 3}}, {"O", asn1.ObjectIdentifier{2, 5, 4, 10}}, {"OU", asn1.ObjectIdentifier{2, 5, 4, 11}},
		{"C", asn1.ObjectIdentifier{2, 5, 4, 6}}, {"ST", asn1.ObjectIdentifier{2, 5, 4, 8}}, {"L", asn1.ObjectIdentifier{2, 5, 4, 7}},
	}
}

func texts(all []*url.URL) []string {
	out := make([]string, len(all))
	for i, u := range all {
		out[i] = u.String()
	}
	return out
}

// DirectoryNames are those among the alternative names (RFC 5280 §4.2.1.6),
// which x509 does not parse: GeneralName ::= CHOICE { …, directoryName [4] Name, … }.
func DirectoryNames(c *x509.Certificate) []pkix.Name {
	var found []pkix.Name
	for _, e := range c.Extensions {
		if !e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			continue
		}
		var all []asn1.RawValue
		if _, err := asn1.Unmarshal(e.Value, &all); err != nil {
			continue
		}
		for _, v := range all {
			var rdns pkix.RDNSequence
			if v.Class != asn1.ClassContextSpecific || v.Tag != 4 {
				continue
			}
			if rest, err := asn1.Unmarshal(v.Bytes, &rdns); err != nil || len(rest) > 0 {
				continue
			}
			var n pkix.Name
			n.FillFromRDNSequence(&rdns)
			found = append(found, n)
		}
	}
	return found
}

// anchorPlaceholder stands for a trust anchor that is not known. IAM matches it with none.
const anchorPlaceholder = "arn:aws:rolesanywhere:REGION:ACCOUNT:trust-anchor/ID"

// TrustCondition is the Condition of a role's trust policy, by operator and key,
// that lets in this certificate's subject from this issuer and, by this trust
// anchor, nobody else. If AWS sets no session tags that tell the subject or the
// issuer from others, there is none: what is left would let in everybody whom the
// CA has certified. The error says why, and what to do instead.
func TrustCondition(c *x509.Certificate, trustAnchorARN string) (map[string]map[string]string, error) {
	if before, _, isAlias := strings.Cut(trustAnchorARN, ":alias/"); isAlias {
		trustAnchorARN = before + ":trust-anchor/ID" // IAM compares with the ID, never with an alias
	} else if trustAnchorARN == "" {
		trustAnchorARN = anchorPlaceholder
	}
	equals := map[string]string{}
	for _, n := range []struct {
		what, tag string
		name      pkix.Name
	}{{"subject", "x509Subject/CN", c.Subject}, {"issuer", "x509Issuer/CN", c.Issuer}} {
		value, err := onlyCommonName(n.name)
		if err == nil {
			err = sessiontag.Check(value)
		}
		if err != nil {
			return nil, fmt.Errorf("the %s's common name can't be compared: %w; %s", n.what, err, insteadOf(c, n.what))
		}
		equals["aws:PrincipalTag/"+n.tag] = value
	}
	return map[string]map[string]string{"StringEquals": equals, "ArnEquals": {"aws:SourceArn": trustAnchorARN}}, nil
}

// onlyCommonName: AWS joins several by a slash, which one name may have, too.
func onlyCommonName(n pkix.Name) (string, error) {
	var found []string
	for _, a := range n.Names {
		if text, ok := a.Value.(string); ok && a.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 3}) {
			found = append(found, text)
		}
	}
	switch len(found) {
	case 0:
		return "", errors.New("there is none")
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("there are %d", len(found))
}

// insteadOf says what else may tell a certificate's subject or issuer from others.
func insteadOf(c *x509.Certificate, what string) string {
	var other []string
	for _, t := range SessionTags(c) {
		unique := t.Key == "x509SAN/DNS" || t.Key == "x509SAN/URI"
		if what == "issuer" {
			unique = strings.HasPrefix(t.Key, "x509Issuer/") && t.Key != "x509Issuer/CN"
		}
		if unique && !t.Dropped {
			other = append(other, fmt.Sprintf("aws:PrincipalTag/%s (%q)", t.Key, t.Value))
		}
	}
	again := "have the certificate issued again with one common name of " + sessiontag.Allowed
	if what == "issuer" {
		again = "use a CA with one common name of " + sessiontag.Allowed
	}
	if len(other) > 0 {
		return "compare " + strings.Join(other, " or ") + " if it is the " + what + "'s alone, or " + again
	}
	return again
}

// KeyUsages are the names of RFC 5280 §4.2.1.3.
func KeyUsages(c *x509.Certificate) []string {
	var found []string
	for i, name := range []string{"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
		"keyCertSign", "cRLSign", "encipherOnly", "decipherOnly"} {
		if c.KeyUsage&(1<<i) != 0 {
			found = append(found, name)
		}
	}
	return found
}

// ExtKeyUsages are the names of RFC 5280 §4.2.1.12, else object identifiers.
func ExtKeyUsages(c *x509.Certificate) []string {
	names := map[x509.ExtKeyUsage]string{
		x509.ExtKeyUsageAny: "anyExtendedKeyUsage", x509.ExtKeyUsageServerAuth: "serverAuth", x509.ExtKeyUsageClientAuth: "clientAuth",
		x509.ExtKeyUsageCodeSigning: "codeSigning", x509.ExtKeyUsageEmailProtection: "emailProtection",
		x509.ExtKeyUsageTimeStamping: "timeStamping", x509.ExtKeyUsageOCSPSigning: "OCSPSigning",
	}
	var found []string
	for _, u := range c.ExtKeyUsage {
		name := names[u]
		if name == "" {
			name = u.OID().String()
		}
		found = append(found, name)
	}
	for _, oid := range c.UnknownExtKeyUsage {
		found = append(found, oid.String())
	}
	return found
}
