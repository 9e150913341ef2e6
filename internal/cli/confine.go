package cli

import (
	"cmp"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"

	"go.uber.org/zap"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/confine"
	"github.com/eks-x509/eks-x509/internal/session"
)

// confinedOptions are sessionOptions for a command that prints a session and runs
// nothing after it.
func (a *app) confinedOptions(c config.Config) session.Options {
	o := a.sessionOptions()
	if a.OwnProcess {
		o.Confine = func() { a.confine(c) }
	}
	return o
}

// confine leaves the process nothing but what makes a session: the files that c
// names, the cache, and the way to AWS.
func (a *app) confine(c config.Config) {
	ports := connectPorts(c)
	if ports == nil {
		return
	}
	access := confine.Access{
		Read: confine.System(), Home: a.Getenv("HOME"), Ports: ports,
		Named: []string{c.Certificate, c.PrivateKey, c.Intermediates, c.Password.File, c.TLS.CABundle},
	}
	for _, variable := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "ZONEINFO"} { // crypto/x509's and time's own
		access.Read = append(access.Read, filepath.SplitList(a.Getenv(variable))...)
	}
	if !c.Cache.Off && c.Cache.Dir != "" {
		access.Write = []string{c.Cache.Dir}
	}
	a.log.Debug("confined", zap.Bool("landlock", confine.Restrict(access)))
}

// connectPorts are those of AWS, of the endpoint, of the proxies and of DNS; nil
// if one can't be told.
func connectPorts(c config.Config) []uint16 {
	ports := []uint16{443, 53}
	// Whether NO_PROXY has the endpoint's host is the transport's to find out.
	for _, target := range []string{cmp.Or(c.Endpoint, "https://aws.invalid"), "https://aws.invalid", "http://aws.invalid"} {
		u, err := url.Parse(target)
		if err != nil {
			return nil
		}
		all := []*url.URL{u}
		if c.Proxy != nil {
			proxy, err := c.Proxy(&http.Request{URL: u})
			if err != nil {
				return nil
			}
			if proxy != nil {
				all = append(all, proxy)
			}
		}
		for _, u := range all {
			name := u.Port()
			if name == "" {
				name = map[string]string{"https": "443", "http": "80", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
			}
			port, err := strconv.ParseUint(name, 10, 16)
			if err != nil {
				return nil
			}
			ports = append(ports, uint16(port))
		}
	}
	return ports
}
