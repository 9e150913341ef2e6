package provision

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/awsapi"
)

// PrivateCA is one of AWS Private CA.
type PrivateCA struct {
	Client awsapi.Client
	ARN    string
	Wait   func(context.Context, time.Duration) error
}

// Status is such as ACTIVE, DISABLED or DELETED; empty: there is no such CA.
func (p PrivateCA) Status(ctx context.Context) (string, error) {
	ca, err := p.describe(ctx)
	status := ca.Status
	if e, ok := errors.AsType[*awsapi.Error](err); ok && e.Code == "ResourceNotFoundException" {
		return "", nil
	}
	return status, err
}

// described is what AWS says of a CA.
type described struct {
	Status    string
	UsageMode string
	NotAfter  float64                           // seconds since 1970
	Config    struct{ SigningAlgorithm string } `json:"CertificateAuthorityConfiguration"`
}

func (p PrivateCA) describe(ctx context.Context) (described, error) {
	var out struct {
		CA described `json:"CertificateAuthority"`
	}
	err := p.Client.PrivateCA(ctx, "DescribeCertificateAuthority", p.arn(), &out)
	return out.CA, err
}

func (p PrivateCA) arn() map[string]any { return map[string]any{"CertificateAuthorityArn": p.ARN} }

// Retire disables the CA and has it deleted in that many days, 7 to 30. One that
// is disabled or deleted already is no error.
func (p PrivateCA) Retire(ctx context.Context, days int) error {
	status, err := p.Status(ctx)
	if err != nil || status == "" || status == "DELETED" {
		return err
	}
	if status == "ACTIVE" {
		in := p.arn()
		in["Status"] = "DISABLED"
		if err := p.Client.PrivateCA(ctx, "UpdateCertificateAuthority", in, nil); err != nil {
			return err
		}
	}
	in := p.arn()
	in["PermanentDeletionTimeInDays"] = days
	return p.Client.PrivateCA(ctx, "DeleteCertificateAuthority", in, nil)
}

// Users are the trust anchors of the CA in this account and region, but for the
// one with that id.
func (p PrivateCA) Users(ctx context.Context, but string) ([]string, error) {
	all, err := p.Client.TrustAnchors(ctx)
	var found []string
	for _, a := range all {
		if a.Source.Data.AcmPcaARN == p.ARN && (but == "" || !strings.HasSuffix(a.ARN, ":trust-anchor/"+but)) {
			found = append(found, a.ARN)
		}
	}
	return found, err
}

// Issuance is what a certificate is asked for.
type Issuance struct {
	CSR      []byte // PEM
	Validity time.Duration
	// ByDefault: nobody asked for that validity, so that a CA of short-lived certificates gives 7 days.
	ByDefault bool
	// Notice is told when the certificate is asked for a shorter time than Validity.
	Notice func(why string)
	// TemplateARN is of Private CA's templates; empty: a client's certificate.
	TemplateARN string
}

// validity is what is asked for: never more than the CA can give.
//
//	https://docs.aws.amazon.com/privateca/latest/userguide/short-lived-certificates.html
func (i *Issuance) validity(ca described, now time.Time) map[string]any {
	const day, most = 24 * time.Hour, 7 * 24 * time.Hour
	notice := func(why string) {
		if i.Notice != nil {
			i.Notice(why)
		}
	}
	if i.ByDefault && ca.UsageMode == "SHORT_LIVED_CERTIFICATE" && i.Validity > most {
		i.Validity = most
		notice("the CA issues short-lived certificates: this one is asked for 7 days")
	}
	if end := time.Unix(int64(ca.NotAfter), 0); ca.NotAfter > 0 && now.Before(end) && now.Add(i.Validity).After(end) {
		notice("the CA ends on " + end.UTC().Format(time.RFC3339) + ", and so will the certificate")
		return map[string]any{"Type": "ABSOLUTE", "Value": end.Unix()}
	}
	if i.Validity%day == 0 { // by AWS's clock: 7 days are the most that some CAs give
		return map[string]any{"Type": "DAYS", "Value": int64(i.Validity / day)}
	}
	return map[string]any{"Type": "ABSOLUTE", "Value": now.Add(i.Validity).Unix()}
}

// Issue has the CA sign a request and waits for the certificate; told says that
// it still waits. It returns the certificate and the chain above it, in PEM.
//
//	https://docs.aws.amazon.com/privateca/latest/APIReference/API_IssueCertificate.html
func (p PrivateCA) Issue(ctx context.Context, i Issuance, told func(time.Duration)) (certificate, chain []byte, err error) {
	ca, err := p.describe(ctx)
	if err != nil {
		return nil, nil, err
	}
	if i.TemplateARN == "" {
		partition, _, _ := strings.Cut(strings.TrimPrefix(p.ARN, "arn:"), ":")
		i.TemplateARN = "arn:" + partition + ":acm-pca:::template/EndEntityClientAuthCertificate/V1"
	}
	now := p.Client.Now()
	in := p.arn()
	in["Csr"], in["SigningAlgorithm"], in["TemplateArn"] = i.CSR, ca.Config.SigningAlgorithm, i.TemplateARN
	in["Validity"] = i.validity(ca, now)
	// The same request within minutes is the same certificate, also when an answer was lost.
	in["IdempotencyToken"] = fmt.Sprintf("%x", sha256.Sum256(append(fmt.Appendf(nil, "%d|%s|%d|", now.Unix()/300, i.TemplateARN, i.Validity), i.CSR...)))[:36]
	var issued struct {
		ARN string `json:"CertificateArn"`
	}
	if err := p.Client.PrivateCA(ctx, "IssueCertificate", in, &issued); err != nil {
		return nil, nil, err
	}
	in = p.arn()
	in["CertificateArn"] = issued.ARN
	var waited time.Duration
	for n := 0; ; n++ {
		var out struct{ Certificate, CertificateChain string }
		err := p.Client.PrivateCA(ctx, "GetCertificate", in, &out)
		e, refused := errors.AsType[*awsapi.Error](err)
		switch {
		case err == nil:
			return []byte(out.Certificate), []byte(out.CertificateChain), nil
		case !refused || e.Code != "RequestInProgressException":
			return nil, nil, err
		}
		if waited += interval(n); waited > longestWait {
			return nil, nil, awsapi.Overdue("Private CA", "IssueCertificate", longestWait)
		}
		told(p.Client.Now().Sub(now))
		if err := p.Wait(ctx, interval(n)); err != nil {
			return nil, nil, err
		}
	}
}
