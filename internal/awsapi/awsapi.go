// Package awsapi is what we ask of AWS with the credentials of a session, STS
// GetCallerIdentity and EKS DescribeCluster, and of a cluster with a token of
// that session: who am I, and what may I do.
//
// The SDK's clients for the two cost every start of the program more than the
// rest of it, so the requests are made here; the SDK's signer signs them.
//
//	https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
//	https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeCluster.html
//	https://kubernetes.io/docs/reference/kubernetes-api/
package awsapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/eks-x509/eks-x509/pkg/ekstoken"
)

// Client asks AWS. All fields but the endpoints and the two switches are needed.
type Client struct {
	HTTP        *http.Client // should follow no redirect: a signed request goes to one host
	Credentials aws.Credentials
	Region      string

	UseFIPS, UseDualStack bool
	// Base URLs that take the place of the region's own; the two switches then
	// say nothing.
	STSEndpoint, EKSEndpoint string
	// Endpoint gives those of the services that an administrator asks, by the
	// name in their host; nil or an empty answer: the region's own.
	Endpoint func(service string) string

	// Account is whose clusters are asked about; empty: any.
	Account string

	// MaxAnswer is how many bytes of an administrator's answer are read; 0: 1 MiB.
	MaxAnswer int64

	// Waits makes the calls of an administrator those of a long command: where AWS throttles or is in trouble they are made up to 9 times, and
	// Waits is told of each pause. The request stays the same, with its idempotency token.
	Waits func(text string)

	UserAgent string
	Now       func() time.Time
}

// Identity is who STS says we are.
type Identity struct {
	Account string    `json:"account"`
	ARN     string    `json:"arn"`
	UserID  string    `json:"userId"`
	Date    time.Time `json:"-"` // the server's clock; zero if it did not say
}

// CallerIdentity asks STS who signs.
func (c Client) CallerIdentity(ctx context.Context) (Identity, error) {
	base, err := c.stsBase()
	if err != nil {
		return Identity{}, err
	}
	q := query{service: "STS", operation: "GetCallerIdentity", client: c.HTTP, now: c.Now, secrets: c.secrets()}
	q.newRequest = func(ctx context.Context) (*http.Request, error) {
		return c.request(ctx, "sts", http.MethodPost, base+"/", "Action=GetCallerIdentity&Version=2011-06-15")
	}
	a, err := q.do(ctx)
	if err != nil {
		return Identity{}, err
	}
	type result struct {
		Account string `json:"Account" xml:"Account"`
		ARN     string `json:"Arn" xml:"Arn"`
		UserID  string `json:"UserId" xml:"UserId"`
	}
	var found result
	if bytes.HasPrefix(a.body, []byte("<")) {
		var envelope struct {
			Result result `xml:"GetCallerIdentityResult"`
		}
		err = xml.Unmarshal(a.body, &envelope)
		found = envelope.Result
	} else {
		var envelope struct {
			Response struct {
				Result result `json:"GetCallerIdentityResult"`
			} `json:"GetCallerIdentityResponse"`
		}
		err = json.Unmarshal(a.body, &envelope)
		found = envelope.Response.Result
	}
	if err != nil {
		return Identity{}, q.malformed(a, "malformed answer")
	}
	if found.ARN == "" || found.Account == "" {
		return Identity{}, q.malformed(a, "no identity in the answer")
	}
	// They go to terminals and into other programs.
	if id, err := arn.Parse(found.ARN); err != nil || id.AccountID != found.Account || !isWord(found.ARN) || !isWord(found.UserID) && found.UserID != "" {
		return Identity{}, q.malformed(a, "malformed identity in the answer")
	}
	return Identity{found.Account, found.ARN, found.UserID, a.date}, nil
}

// Cluster is what EKS tells of a cluster. One that is being made has neither
// endpoint nor certificate authority.
type Cluster struct {
	Name                 string `json:"name"`
	ARN                  string `json:"arn"`
	Status               string `json:"status"`
	Version              string `json:"version"`
	Endpoint             string `json:"endpoint"`
	CertificateAuthority []byte `json:"-"`            // PEM
	ID                   string `json:"id,omitempty"` // of a local cluster on Outposts, for its tokens
	// AuthenticationMode is API, API_AND_CONFIG_MAP or CONFIG_MAP.
	AuthenticationMode string `json:"-"`
}

// DescribeCluster asks EKS about a cluster of the region.
func (c Client) DescribeCluster(ctx context.Context, name string) (Cluster, error) {
	if err := ekstoken.CheckClusterName(name); err != nil {
		return Cluster{}, err
	}
	base, err := c.eksBase()
	if err != nil {
		return Cluster{}, err
	}
	q := query{service: "EKS", operation: "DescribeCluster", client: c.HTTP, now: c.Now, secrets: c.secrets(), waits: c.Waits}
	if c.Waits != nil {
		q.attempt, q.whole = adminAttemptTimeout, patientCallTimeout
	}
	q.newRequest = func(ctx context.Context) (*http.Request, error) {
		return c.request(ctx, "eks", http.MethodGet, base+"/clusters/"+name, "")
	}
	a, err := q.do(ctx)
	if err != nil {
		return Cluster{}, err
	}
	var out struct {
		Cluster struct {
			Cluster
			CA struct {
				Data string `json:"data"`
			} `json:"certificateAuthority"`
			Access struct {
				Mode string `json:"authenticationMode"`
			} `json:"accessConfig"`
		} `json:"cluster"`
	}
	if json.Unmarshal(a.body, &out) != nil {
		return Cluster{}, q.malformed(a, "malformed answer")
	}
	found := out.Cluster.Cluster
	found.AuthenticationMode = out.Cluster.Access.Mode
	if found.Name == "" || found.Status == "" {
		return Cluster{}, q.malformed(a, "no cluster in the answer")
	}
	if found.CertificateAuthority, err = base64.StdEncoding.DecodeString(out.Cluster.CA.Data); err != nil {
		return Cluster{}, q.malformed(a, "malformed certificate authority in the answer")
	}
	if err := found.check(name, c.Region, c.Account); err != nil {
		return Cluster{}, q.malformed(a, err.Error())
	}
	return found, nil
}

func (c Client) secrets() []string {
	return []string{c.Credentials.SecretAccessKey, c.Credentials.SessionToken}
}

// request makes a signed one.
func (c Client) request(ctx context.Context, service, method, url, form string) (*http.Request, error) {
	header := http.Header{"Accept": {"application/json"}} // STS answers in XML unless asked so
	if form != "" {
		header.Set("Content-Type", formType)
	}
	return c.signed(ctx, service, method, url, form, header)
}

const formType = "application/x-www-form-urlencoded; charset=utf-8"

func (c Client) signed(ctx context.Context, service, method, url, body string, header http.Header) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header = header
	r.Header.Set("User-Agent", c.UserAgent)
	sum := sha256.Sum256([]byte(body))
	return r, v4.NewSigner().SignHTTP(ctx, c.Credentials, r, hex.EncodeToString(sum[:]), service, c.Region, c.Now())
}

func (c Client) stsBase() (string, error) {
	if c.STSEndpoint != "" {
		return strings.TrimSuffix(c.STSEndpoint, "/"), nil
	}
	host, err := ekstoken.Host(c.Region, c.UseFIPS, c.UseDualStack)
	return "https://" + host, err
}

func (c Client) eksBase() (string, error) {
	if c.EKSEndpoint != "" {
		return strings.TrimSuffix(c.EKSEndpoint, "/"), nil
	}
	host, err := EKSHost(c.Region, c.UseFIPS, c.UseDualStack)
	return "https://" + host, err
}

// EKSHost is the host of the region's EKS endpoint, by the SDK's rules
// (service/eks, endpoints.go).
func EKSHost(region string, useFIPS, useDualStack bool) (string, error) {
	sts, err := ekstoken.Host(region, false, useDualStack)
	if err != nil && useDualStack {
		return "", errors.New("unsupported dual-stack EKS endpoint in region " + fmt.Sprintf("%q", region))
	}
	if err != nil {
		return "", err
	}
	domain := strings.TrimPrefix(sts, "sts."+region+".")
	gov := strings.HasPrefix(region, "us-gov-")
	switch {
	case !useFIPS, gov && !useDualStack: // in GovCloud the plain endpoint is the FIPS one
		return "eks." + region + "." + domain, nil
	case domain == "amazonaws.com":
		return "fips.eks." + region + "." + domain, nil
	default:
		return "eks-fips." + region + "." + domain, nil
	}
}
