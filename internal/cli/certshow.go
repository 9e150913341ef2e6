package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/certs"
	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/internal/sessiontag"
)

// certificateView is what cert show prints as JSON.
type certificateView struct {
	SchemaVersion  int               `json:"schemaVersion"`
	Subject        string            `json:"subject"`
	Issuer         string            `json:"issuer"`
	Serial         string            `json:"serial"`    // decimal, as in the Authorization header
	SerialHex      string            `json:"serialHex"` // as in session names and CloudTrail
	NotBefore      time.Time         `json:"notBefore"`
	NotAfter       time.Time         `json:"notAfter"`
	DaysLeft       int               `json:"daysLeft"`
	PublicKey      string            `json:"publicKey"`
	Signature      string            `json:"signatureAlgorithm"`
	KeyUsage       []string          `json:"keyUsage"`
	ExtKeyUsage    []string          `json:"extKeyUsage"`
	DNSNames       []string          `json:"dnsNames"`
	URIs           []string          `json:"uris"`
	EmailAddresses []string          `json:"emailAddresses"`
	IPAddresses    []string          `json:"ipAddresses"`
	DirectoryNames []string          `json:"directoryNames"`
	Chain          []certificateStep `json:"chain"`
	SessionName    string            `json:"sessionName"`
	SourceIdentity string            `json:"sourceIdentity"`
	SessionTags    []certs.Tag       `json:"sessionTags"`
	TrustPolicy    any               `json:"trustPolicyCondition"`         // null if none would let in this subject alone
	NoTrustPolicy  string            `json:"trustPolicyProblem,omitempty"` // why
	Accepted       bool              `json:"accepted"`                     // as far as can be seen without AWS
	Problems       []string          `json:"problems"`
}

type certificateStep struct {
	Subject  string    `json:"subject"`
	Issuer   string    `json:"issuer"`
	NotAfter time.Time `json:"notAfter"`
}

func newCertShowCmd(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "show [FILE]",
		Short: "Show a certificate as Roles Anywhere sees it",
		Long: `Show a certificate, that of the configuration or of FILE: its names, its serial
number as it will stand in session names, CloudTrail and the cluster's audit log,
its chain, the session tags that Roles Anywhere sets from it (by the attribute
mappings of a new profile), and the condition for a role's trust policy that lets
in this subject and nobody else. If AWS sets no session tag for the common name of
the subject or the issuer, there is no such condition, and the reason is shown. No
private key is needed.`,
		Example: "  eks-x509 cert show\n  eks-x509 cert show --output json | grep -F sessionTags",
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			c, err := a.configured(cmd, args)
			if err != nil {
				return err
			}
			key, err := keys.OpenCertificate(cmd.Context(), a.keySource(c))
			if err != nil {
				return err
			}
			for _, w := range key.Warnings {
				a.warn(w)
			}
			// The configuration's trust anchor is that of its own certificate. Another may be of another CA.
			anchor, flags := c.TrustAnchorARN, given(cmd)
			if flags["trust-anchor-arn"] == "" && (len(args) > 0 || flags["certificate"] != "") {
				anchor = ""
			}
			v := a.viewCertificate(key, anchor)
			if output == "json" {
				return a.out.json(v)
			}
			return a.writeCertificate(v)
		},
	}
	addOutput(cmd, &output)
	addKeyFiles(cmd)
	addSetting(cmd, "trust-anchor-arn")
	return cmd
}

func (a *app) viewCertificate(key *keys.Key, anchor string) certificateView {
	leaf := key.Chain[0]
	v := certificateView{
		SchemaVersion: 1,
		Subject:       certs.Name(leaf.RawSubject), Issuer: certs.Name(leaf.RawIssuer),
		Serial: leaf.SerialNumber.String(), SerialHex: certs.SessionName(leaf),
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(), DaysLeft: int(leaf.NotAfter.Sub(a.Now()).Hours() / 24),
		PublicKey: keys.KeyName(leaf.PublicKey), Signature: leaf.SignatureAlgorithm.String(),
		KeyUsage: nonNil(certs.KeyUsages(leaf)), ExtKeyUsage: nonNil(certs.ExtKeyUsages(leaf)),
		DNSNames: nonNil(leaf.DNSNames), URIs: []string{}, EmailAddresses: nonNil(leaf.EmailAddresses), IPAddresses: []string{}, DirectoryNames: []string{},
		Chain:       []certificateStep{},
		SessionName: certs.SessionName(leaf), SourceIdentity: certs.SourceIdentity(leaf), SessionTags: certs.SessionTags(leaf),
		Problems: []string{},
	}
	if condition, err := certs.TrustCondition(leaf, anchor); err != nil {
		v.NoTrustPolicy = err.Error()
	} else {
		v.TrustPolicy = condition
	}
	for _, u := range leaf.URIs {
		v.URIs = append(v.URIs, u.String())
	}
	for _, ip := range leaf.IPAddresses {
		v.IPAddresses = append(v.IPAddresses, ip.String())
	}
	for _, n := range certs.DirectoryNames(leaf) {
		v.DirectoryNames = append(v.DirectoryNames, n.String())
	}
	for _, c := range key.Chain[1:] {
		v.Chain = append(v.Chain, certificateStep{certs.Name(c.RawSubject), certs.Name(c.RawIssuer), c.NotAfter.UTC()})
	}
	problems, err := key.Check(a.Now())
	v.Problems, v.Accepted = append(v.Problems, problems...), err == nil
	if err != nil {
		v.Problems = append(v.Problems, err.Error())
	}
	return v
}

func nonNil(all []string) []string { return append([]string{}, all...) }

func (a *app) writeCertificate(v certificateView) error {
	rows := [][]string{
		{"subject", v.Subject},
		{"issuer", v.Issuer},
		{"serial", v.Serial},
		{"serial in hex", v.SerialHex + " (the default session name)"},
		{"valid from", v.NotBefore.Format(time.RFC3339)},
		{"valid until", v.NotAfter.Format(time.RFC3339) + " (" + relative(v.NotAfter.Sub(a.Now())) + ")"},
		{"key", v.PublicKey},
		{"signed with", v.Signature},
	}
	add := func(name string, values []string) {
		if len(values) > 0 {
			rows = append(rows, []string{name, strings.Join(values, ", ")})
		}
	}
	add("key usage", v.KeyUsage)
	add("extended key usage", v.ExtKeyUsage)
	add("DNS names", v.DNSNames)
	add("URIs", v.URIs)
	add("e-mail addresses", v.EmailAddresses)
	add("IP addresses", v.IPAddresses)
	add("directory names", v.DirectoryNames)
	for _, c := range v.Chain {
		rows = append(rows, []string{"issued by", c.Subject + " (until " + c.NotAfter.Format(time.RFC3339) + ")"})
	}
	rows = append(rows, []string{"source identity", v.SourceIdentity})
	for _, t := range v.SessionTags {
		value := t.Value
		if t.Dropped {
			value += " (not set by AWS: " + sessiontag.Allowed + " are allowed, at most 256)"
		}
		rows = append(rows, []string{"tag " + t.Key, value})
	}
	verdict := "yes, as far as can be seen from here"
	if !v.Accepted {
		verdict = "no: not accepted by Roles Anywhere"
	}
	rows = append(rows, []string{"accepted", verdict})
	for _, p := range v.Problems {
		rows = append(rows, []string{"problem", p})
	}
	if err := a.out.table(rows); err != nil {
		return err
	}
	if v.NoTrustPolicy != "" {
		return a.out.print("\nNo condition for a role's trust policy: %s\n", v.NoTrustPolicy)
	}
	if err := a.out.print("\nCondition of a role's trust policy:\n"); err != nil {
		return err
	}
	return a.out.json(v.TrustPolicy)
}
