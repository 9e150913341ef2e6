package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

// way is what became of each step on the way to a server.
type way struct {
	mu        sync.Mutex // a dial to two addresses at once
	addresses []string
	connected string
	issuer    string
	version   uint16
	stage     string // that was begun last
	proxied   bool
}

func (w *way) begin(stage string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stage = stage
}

func (w *way) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { w.begin("DNS") },
		DNSDone: func(i httptrace.DNSDoneInfo) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, a := range i.Addrs {
				w.addresses = append(w.addresses, a.String())
			}
			slices.Sort(w.addresses)
		},
		ConnectStart: func(string, string) { w.begin("TCP") },
		ConnectDone: func(_, address string, err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if err == nil && w.connected == "" {
				w.connected = address
			}
			if err == nil && w.proxied {
				w.stage = "proxy"
			}
		},
		TLSHandshakeStart: func() { w.begin("TLS") },
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			if err != nil || len(s.PeerCertificates) == 0 {
				return
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			// With a proxy that speaks TLS the last handshake is the server's.
			w.stage, w.version, w.issuer = "HTTP", s.Version, s.PeerCertificates[0].Issuer.String()
		},
	}
}

// String tells the steps that were made.
func (w *way) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var steps []string
	if len(w.addresses) > 0 {
		steps = append(steps, "DNS "+strings.Join(w.addresses, " "))
	}
	if w.connected != "" {
		steps = append(steps, "TCP "+w.connected)
	}
	if w.issuer != "" {
		steps = append(steps, fmt.Sprintf("%s, certificate by %q", tls.VersionName(w.version), w.issuer))
	}
	return strings.Join(steps, ", ")
}

// reach asks a server for anything at all, and says how far that went.
func (f *facts) reach(ctx context.Context, client *http.Client, proxy func(*http.Request) (*url.URL, error), target string) (Result, time.Time) {
	w := &way{stage: "proxy"}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, w.trace()), http.MethodGet, target, nil)
	if err != nil {
		return f.failed(err, ""), time.Time{}
	}
	r.Header.Set("User-Agent", f.Session.UserAgent())
	through := ""
	if proxy != nil {
		if p, err := proxy(r); err == nil && p != nil {
			w.proxied = true
			through = " through proxy " + p.Host // not its user and password
		}
	}
	response, err := client.Do(r)
	if err != nil {
		return f.notReached(err, w, r.URL.Host+through), time.Time{}
	}
	defer response.Body.Close()
	date, _ := http.ParseTime(response.Header.Get("Date")) // zero: it did not say
	return found(OK, "", "%s%s: %s", r.URL.Host, through, w), date
}

func (f *facts) notReached(err error, w *way, host string) Result {
	if at, ok := err.(*url.Error); ok { //nolint:errorlint // the outermost, which quotes the URL
		err = at.Err
	}
	// The hints know this type.
	r := f.failed(&x509creds.Error{Kind: x509creds.Unreachable, Err: err}, "check the network, HTTPS_PROXY and NO_PROXY")
	r.Found = fmt.Sprintf("%s: %s: %s", host, w.stage, strings.Join(strings.Fields(err.Error()), " "))
	if made := w.String(); made != "" {
		r.Found += " (after " + made + ")"
	}
	return r
}

// reachAWS adds what the person changed in whom to trust.
func (f *facts) reachAWS(ctx context.Context, target string) (Result, time.Time) {
	client, err := f.Client()
	if err != nil {
		return f.failed(err, ""), time.Time{}
	}
	r, date := f.reach(ctx, client, f.Config.Proxy, target)
	if f.Config.TLS.CABundle != "" {
		r.add(OK, "trusting "+f.Config.TLS.CABundle, "")
	}
	if f.Config.TLS.NoVerify {
		r.add(Warning, "the server's certificate is not verified", "leave out --no-verify-ssl; if a proxy ends TLS, name its CA in AWS_CA_BUNDLE")
	}
	return r, date
}
