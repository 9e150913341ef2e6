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
	status, _, err := p.describe(ctx)
	if e, ok := errors.AsType[*awsapi.Error](err); ok && e.Code == "ResourceNotFoundException" {
		return "", nil
	}
	return status, err
}

func (p PrivateCA) describe(ctx context.Context) (status, signingAlgorithm string, err error) {
	var out struct {
		CA struct {
			Status string
			Config struct{ SigningAlgorithm string } `json:"CertificateAuthorityConfiguration"`
		} `json:"CertificateAuthority"`
	}
	err = p.Client.PrivateCA(ctx, "DescribeCertificateAuthority", p.arn(), &out)
	return out.CA.Status, out.CA.Config.SigningAlgorithm, err
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
	// TemplateARN is of Private CA's templates; empty: a client's certificate.
	TemplateARN string
}

// Issue has the CA sign a request and waits for the certificate; told says that
// it still waits. It returns the certificate and the chain above it, in PEM.
//
//	https://docs.aws.amazon.com/privateca/latest/APIReference/API_IssueCertificate.html
func (p PrivateCA) Issue(ctx context.Context, i Issuance, told func(time.Duration)) (certificate, chain []byte, err error) {
	_, algorithm, err := p.describe(ctx)
	if err != nil {
		return nil, nil, err
	}
	if i.TemplateARN == "" {
		partition, _, _ := strings.Cut(strings.TrimPrefix(p.ARN, "arn:"), ":")
		i.TemplateARN = "arn:" + partition + ":acm-pca:::template/EndEntityClientAuthCertificate/V1"
	}
	now := p.Client.Now()
	in := p.arn()
	in["Csr"], in["SigningAlgorithm"], in["TemplateArn"] = i.CSR, algorithm, i.TemplateARN
	in["Validity"] = map[string]any{"Type": "ABSOLUTE", "Value": now.Add(i.Validity).Unix()}
	if day := 24 * time.Hour; i.Validity%day == 0 { // by AWS's clock: 7 days are the most that some CAs give
		in["Validity"] = map[string]any{"Type": "DAYS", "Value": int64(i.Validity / day)}
	}
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
