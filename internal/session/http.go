package session

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

// HTTPClient reaches AWS as the configuration says: its proxy, its roots. A
// redirect is not followed: a signed request goes to one host.
func HTTPClient(c config.Config, log *zap.Logger) (*http.Client, error) {
	roots, err := caBundle(c.TLS.CABundle)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:               c.Proxy,
		DialContext:         (&net.Dialer{Timeout: x509creds.ConnectTimeout}).DialContext,
		TLSHandshakeTimeout: x509creds.ConnectTimeout,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			RootCAs:            roots,
			InsecureSkipVerify: c.TLS.NoVerify, //nolint:gosec // --no-verify-ssl; the person is warned
		},
		DisableKeepAlives: true, // one request, or a retry whose connection may be to blame
	}
	return &http.Client{
		Transport:     logged{transport, log},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// caBundle reads AWS_CA_BUNDLE, which takes the place of the system's roots, as
// in the SDKs. Nil: the system's.
func caBundle(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	where := func(err error) error { return &config.Error{Where: "AWS_CA_BUNDLE", Err: err} }
	const limit = 16 << 20 // a system's bundle is a quarter of a megabyte
	data, _, err := safefile.ReadInput(path, limit)
	if err != nil {
		return nil, where(fmt.Errorf("reading AWS_CA_BUNDLE: %w", err))
	}
	pool, err := CertPool(data)
	if err != nil {
		return nil, where(fmt.Errorf("reading AWS_CA_BUNDLE: %w in %s", err, path))
	}
	return pool, nil
}

// CertPool is the certificates of a PEM file.
func CertPool(data []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, errors.New("no certificate found")
	}
	return pool, nil
}

// logged writes a line for each attempt: what was asked of whom, and what came
// of it; never a header or a body.
type logged struct {
	next http.RoundTripper
	log  *zap.Logger
}

func (l logged) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	response, err := l.next.RoundTrip(r)
	fields := []zap.Field{zap.String("method", r.Method), zap.Stringer("url", r.URL), zap.Duration("took", time.Since(start)), zap.Error(err)}
	if err == nil {
		fields = append(fields, zap.Int("status", response.StatusCode), zap.String("request_id", response.Header.Get("X-Amzn-Requestid")))
	}
	l.log.Debug("request", fields...)
	return response, err
}
