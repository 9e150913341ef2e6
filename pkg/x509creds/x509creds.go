// Package x509creds provides AWS session credentials for an X.509 certificate:
// an aws.CredentialsProvider that calls IAM Roles Anywhere's CreateSession,
// signed by package sigv4x509.
//
//	POST /sessions
//	{"profileArn":"…","roleArn":"…","trustAnchorArn":"…"}
//
//	201 Created
//	{"credentialSet":[{"credentials":{"accessKeyId":"…","secretAccessKey":"…",
//	  "sessionToken":"…","expiration":"2026-11-23T20:48:33Z"}, …}], "subjectArn":"…"}
//
// The client is the generated one of AWS's credential helper. Nothing is cached:
// wrap the provider in [aws.CredentialsCache]. No AWS configuration file is read.
// https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-create-session.html
package x509creds

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/rolesanywhere-credential-helper/rolesanywhere"
	"github.com/aws/smithy-go/middleware"

	"github.com/eks-x509/eks-x509/pkg/sigv4x509"
)

// ProviderName is the Source of the credentials.
const ProviderName = "RolesAnywhereProvider"

// The deadlines of one call of Retrieve.
const (
	ConnectTimeout = 5 * time.Second
	AttemptTimeout = 8 * time.Second  // from the connection to the last byte of the answer
	Timeout        = 18 * time.Second // retries included: kubectl gives up after 32
)

// Options says what to ask for. The three ARNs and Region are required.
type Options struct {
	TrustAnchorARN, ProfileARN, RoleARN string

	// Region is that of the trust anchor and the profile: it chooses the
	// endpoint and stands in the signature's scope.
	Region string

	// Endpoint is a base URL that takes the place of the region's own; the two
	// switches below then say nothing.
	Endpoint              string
	UseFIPS, UseDualStack bool

	// Duration of the session, 15 minutes to 12 hours; zero leaves it to the
	// profile. AWS gives the lesser of the two.
	Duration time.Duration

	// RoleSessionName is taken only if the profile accepts one; empty leaves it
	// to AWS, which uses the certificate's serial number in hex.
	RoleSessionName string

	// HTTPClient defaults to one that connects within ConnectTimeout, honours
	// HTTPS_PROXY and follows no redirect.
	HTTPClient *http.Client

	// UserAgent is sent as the header of that name.
	UserAgent string

	// PackedPolicySize is told how much of what STS allows the session's policies
	// and tags take, in percent, if the answer says so; nil: nobody is.
	PackedPolicySize func(percent int)

	// Now is the clock that signs; time.Now if nil.
	Now func() time.Time
}

// Provider is an aws.CredentialsProvider. It is safe for concurrent use if its
// signer is.
type Provider struct {
	identity sigv4x509.Identity
	options  Options
	client   *rolesanywhere.Client
}

var _ aws.CredentialsProvider = (*Provider)(nil)

// New returns a provider for the certificate chain[0], whose private key signer
// holds; chain[1:] are its issuers, in order.
func New(signer crypto.Signer, chain []*x509.Certificate, optFns ...func(*Options)) *Provider {
	options := Options{Now: time.Now}
	for _, fn := range optFns {
		fn(&options)
	}
	if options.HTTPClient == nil {
		options.HTTPClient = defaultHTTPClient()
	}
	p := &Provider{
		identity: sigv4x509.Identity{Signer: signer, Certificate: chain[0], Chain: chain[1:]},
		options:  options,
	}
	clientOptions := rolesanywhere.Options{
		Region:     options.Region,
		HTTPClient: options.HTTPClient,
		Retryer:    newRetryer(),
		APIOptions: []func(*middleware.Stack) error{p.addMiddleware},
		// Never asked: it makes the client choose the signing scheme whose step we replace.
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("x509creds: internal error: credentials asked for")
		}),
	}
	if options.Endpoint != "" {
		clientOptions.BaseEndpoint = aws.String(options.Endpoint)
	} else {
		if options.UseFIPS {
			clientOptions.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
		}
		if options.UseDualStack {
			clientOptions.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
		}
	}
	p.client = rolesanywhere.New(clientOptions)
	return p
}

// host is that of the endpoint, by the SDK's rules if none is given.
func (o Options) host(ctx context.Context) (string, error) {
	if o.Endpoint != "" {
		u, err := url.Parse(o.Endpoint)
		if err != nil {
			return "", errors.New("malformed endpoint") // which config refuses before
		}
		return u.Host, nil
	}
	// The client's table ends before this partition, and takes it for aws.
	if strings.HasPrefix(o.Region, "eusc-") {
		return "", fmt.Errorf("no endpoint known for region %q: give one", o.Region)
	}
	found, err := rolesanywhere.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, rolesanywhere.EndpointParameters{
		Region: aws.String(o.Region), UseFIPS: aws.Bool(o.UseFIPS), UseDualStack: aws.Bool(o.UseDualStack),
	})
	if err != nil {
		return "", fmt.Errorf("finding Roles Anywhere endpoint of region %q (FIPS %t, dual-stack %t): %w", o.Region, o.UseFIPS, o.UseDualStack, err)
	}
	return found.URI.Host, nil
}

// Retrieve calls CreateSession. Every error is an [*Error].
func (p *Provider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	host, err := p.options.host(ctx)
	if err != nil {
		return aws.Credentials{}, &Error{Kind: Misconfigured, Err: err}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, Timeout, &deadlineError{after: Timeout})
	defer cancel()

	input := &rolesanywhere.CreateSessionInput{
		TrustAnchorArn: aws.String(p.options.TrustAnchorARN),
		ProfileArn:     aws.String(p.options.ProfileARN),
		RoleArn:        aws.String(p.options.RoleARN),
		Cert:           aws.String(base64.StdEncoding.EncodeToString(p.identity.Certificate.Raw)),
	}
	if p.options.Duration > 0 {
		// AWS answers what is out of its range; int32 itself must not make sense of it.
		input.DurationSeconds = aws.Int32(int32(min(p.options.Duration/time.Second, math.MaxInt32)))
	}
	if p.options.RoleSessionName != "" {
		input.RoleSessionName = aws.String(p.options.RoleSessionName)
	}
	output, err := p.client.CreateSession(ctx, input)
	if err != nil {
		return aws.Credentials{}, p.newError(ctx, host, err)
	}
	creds, err := credentials(output, p.options.Now())
	if err != nil {
		return aws.Credentials{}, &Error{Kind: Malformed, RequestID: shortLine(requestID(output.ResultMetadata), maxID), Err: err}
	}
	if size := output.CredentialSet[0].PackedPolicySize; size != nil && p.options.PackedPolicySize != nil {
		p.options.PackedPolicySize(int(*size))
	}
	return creds, nil
}

// credentials takes the first of the set, as all clients do, and refuses
// anything less than a whole credential with a future.
func credentials(output *rolesanywhere.CreateSessionOutput, now time.Time) (aws.Credentials, error) {
	if len(output.CredentialSet) == 0 || output.CredentialSet[0].Credentials == nil {
		return aws.Credentials{}, errors.New("no credentials in the answer (empty credentialSet)")
	}
	c := output.CredentialSet[0].Credentials
	creds := aws.Credentials{
		AccessKeyID:     aws.ToString(c.AccessKeyId),
		SecretAccessKey: aws.ToString(c.SecretAccessKey),
		SessionToken:    aws.ToString(c.SessionToken),
		Source:          ProviderName,
		CanExpire:       true,
	}
	if creds.AccessKeyID == "" || creds.SecretAccessKey == "" || creds.SessionToken == "" {
		return aws.Credentials{}, errors.New("incomplete credentials in the answer")
	}
	// They go into shells and headers.
	if strings.ContainsFunc(creds.AccessKeyID+creds.SecretAccessKey+creds.SessionToken, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return aws.Credentials{}, errors.New("malformed credentials in the answer")
	}
	expires, err := time.Parse(time.RFC3339, aws.ToString(c.Expiration))
	if err != nil {
		return aws.Credentials{}, errors.New("malformed expiration in the answer")
	}
	// Round(0): wall clocks are compared; the monotonic reading stops in suspend.
	if !now.Round(0).Before(expires) {
		return aws.Credentials{}, errors.New("the session in the answer ended at " + expires.UTC().Format(time.RFC3339) + " by this machine's clock")
	}
	creds.Expires = expires
	return creds, nil
}

// newRetryer is the SDK's standard one: 3 attempts with jitter on connection
// failures, throttling and 5xx. HTTP 429 counts as throttling whatever its error
// code. What will not be better in a second is never tried again: a 403 (the
// SDK would, on codes for a wrong clock) and a server that is not trusted.
func newRetryer() aws.Retryer {
	final := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			return aws.FalseTernary
		}
		if e, ok := errors.AsType[interface {
			error
			HTTPStatusCode() int
		}](err); ok && e.HTTPStatusCode() == http.StatusForbidden {
			return aws.FalseTernary
		}
		return aws.UnknownTernary
	})
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxBackoff = 5 * time.Second
		o.Retryables = append([]retry.IsErrorRetryable{final}, o.Retryables...)
		o.Retryables = append(o.Retryables, retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusTooManyRequests: {}}})
	})
}

func defaultHTTPClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: ConnectTimeout}).DialContext
	transport.TLSHandshakeTimeout = ConnectTimeout
	transport.MaxResponseHeaderBytes = 256 << 10
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
