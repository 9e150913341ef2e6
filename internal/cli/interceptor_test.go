package cli

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/eks-x509/eks-x509/internal/minica"
	"github.com/eks-x509/eks-x509/internal/sandbox"
)

// interceptor DIR starts a proxy that ends TLS for AWS's names, with a CA of its
// own, DIR/tls-ca.pem. It gives sessions that AWS does not know. $INTERCEPTOR is
// its URL.
func cmdInterceptor(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.CopyFS(dir, os.DirFS(ts.MkAbs("sandbox"))))
	key, err := minica.GenerateKey("p256")
	ts.Check(err)
	template := minica.CA("interceptor")
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	ca, err := minica.NewRoot(template, key)
	ts.Check(err)
	keyPEM, err := minica.KeyPEM(ca.Key)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, "tls-ca.pem"), minica.CertificatePEM(ca.Certificate), 0o600))
	ts.Check(os.WriteFile(filepath.Join(dir, "tls-ca.key"), keyPEM, 0o600))

	s, err := sandbox.New(sandbox.Options{Dir: dir})
	ts.Check(err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	ts.Defer(func() { stop(); <-served })
	select {
	case err := <-served:
		ts.Fatalf("%v", err)
	case <-s.Ready():
	}
	ts.Setenv("INTERCEPTOR", strings.Replace(s.URL(), "https:", "http:", 1))
}
