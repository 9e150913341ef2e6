package session

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"

	"go.uber.org/zap"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/internal/safetext"
	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

// MaxHeaderBytes is the most that a server's, or a proxy's, headers may have.
const MaxHeaderBytes = 256 << 10

// HTTPClient reaches AWS as the configuration says: its proxy, its roots. A
// redirect is not followed: a signed request goes to one host. notice takes a
// line for the person when a host is waited for; nil: nobody is told.
//
// The deadlines of a call are those of x509creds and awsapi, which read the
// answer within them.
func HTTPClient(c config.Config, files *keys.Files, log *zap.Logger, notice func(string)) (*http.Client, error) {
	client, _, err := httpClient(c, files, log, notice)
	return client, err
}

// httpClient also says which roots it trusts, as rootsOf does.
func httpClient(c config.Config, files *keys.Files, log *zap.Logger, notice func(string)) (*http.Client, string, error) {
	if files == nil {
		files = &keys.Files{}
	}
	roots, trusted, err := loadRoots(c.TLS, files)
	if err != nil {
		return nil, "", err
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
		DisableKeepAlives:      true, // one request, or a retry whose connection may be to blame
		MaxResponseHeaderBytes: MaxHeaderBytes,
		OnProxyConnectResponse: safetext.ProxyAnswer,
	}
	return &http.Client{
		Transport:     Watch(transport, log, notice),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, trusted, nil
}

// CertPool is the certificates of a PEM file.
func CertPool(data []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, errors.New("no certificate found")
	}
	return pool, nil
}
