package session_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/eks-x509/eks-x509/internal/cache"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/minica"
	"github.com/eks-x509/eks-x509/internal/sandbox"
	"github.com/eks-x509/eks-x509/internal/session"
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// startSandbox returns a sandbox that listens, and its variables.
func startSandbox(t *testing.T) (*sandbox.Sandbox, map[string]string) {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{Dir: filepath.Join(t.TempDir(), "sandbox")})
	ok(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	<-s.Ready()
	env := map[string]string{}
	for _, pair := range s.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return s, env
}

// turn is one turn of the link: it leads to who at some time in from … until, and
// before that to the one before.
type turn struct {
	who         string // the serial number
	from, until time.Time
}

// Two identities behind a link that turns all the time, while the cache is
// cleared, and calls of eight callers at once: each gets the session of one that
// the link led to while it asked.
func TestTurningLink(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("links are for the privileged")
	}
	const callers, calls = 8, 250
	s, env := startSandbox(t)
	dir := t.TempDir()
	for i := range 2 {
		template := minica.Leaf(fmt.Sprint("person ", i))
		template.Serial = big.NewInt(int64(1000 + i))
		key, err := minica.GenerateKey("p256")
		ok(t, err)
		pair, err := s.Authority().Intermediate.Issue(template, key)
		ok(t, err)
		keyPEM, err := minica.KeyPEM(pair.Key)
		ok(t, err)
		place := filepath.Join(dir, fmt.Sprint(1000+i))
		ok(t, os.Mkdir(place, 0o700))
		ok(t, os.WriteFile(filepath.Join(place, "cert.pem"), minica.CertificatePEM(append([]*x509.Certificate{pair.Certificate}, pair.Chain...)...), 0o600))
		ok(t, os.WriteFile(filepath.Join(place, "key.pem"), keyPEM, 0o600))
	}
	env["EKS_X509_CERTIFICATE"], env["EKS_X509_PRIVATE_KEY"] = filepath.Join(dir, "link", "cert.pem"), filepath.Join(dir, "link", "key.pem")
	env["EKS_X509_CACHE_DIR"] = filepath.Join(dir, "cache")
	c, err := config.Load(nil, func(name string) string { return env[name] })
	ok(t, err)
	fault, err := sandbox.ParseFault("CreateSession:slow=15ms")
	ok(t, err)
	s.SetFaults([]sandbox.Fault{fault})

	var turns []turn
	link := func(who string) {
		from := time.Now()
		ok(t, os.Symlink(filepath.Join(dir, who), filepath.Join(dir, "new")))
		ok(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "link")))
		turns = append(turns, turn{who, from, time.Now()})
	}
	link("1000")
	done, turned := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(turned)
		for i := 1; ; i++ {
			select {
			case <-done:
				return
			case <-time.After(time.Duration(5+i%4*10) * time.Millisecond):
			}
			link(fmt.Sprint(1000 + i%2))
			if i%3 == 0 {
				if _, err := cache.ClearAll(c.Cache.Dir); err != nil {
					t.Error(err)
				}
			}
		}
	}()

	type answer struct {
		key         string
		from, until time.Time
	}
	answers := make([][]answer, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range calls {
				o := session.Options{Log: zap.NewNop(), Now: time.Now, UserAgent: func() string { return "test" }, Warn: func(string) {}, Notice: func(string) {}}
				from := time.Now()
				creds, err := session.Credentials(t.Context(), c, o)
				if err != nil {
					t.Error(err)
				}
				answers[i] = append(answers[i], answer{creds.AccessKeyID, from, time.Now()})
			}
		})
	}
	wg.Wait()
	close(done)
	<-turned

	signed := map[string]string{}
	for _, r := range s.Requests() {
		if r.AccessKeyID != "" && r.Operation == "CreateSession" {
			signed[r.AccessKeyID] = r.Serial
		}
	}
	n, wrong := 0, 0
	for _, all := range answers {
		for _, a := range all {
			who, valid := signed[a.key], false
			for i, turn := range turns {
				last := i+1 == len(turns)
				valid = valid || turn.who == who && turn.from.Before(a.until) && (last || turns[i+1].until.After(a.from))
			}
			n++
			if !valid {
				wrong++
			}
		}
	}
	if n != callers*calls || wrong > 0 || len(turns) < 10 || len(signed) < 4 {
		t.Errorf("%d of %d answers are another's, after %d turns and %d sessions", wrong, n, len(turns), len(signed))
	}
	t.Logf("%d answers, %d turns, %d sessions", n, len(turns), len(signed))
}
