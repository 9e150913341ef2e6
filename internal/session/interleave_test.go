package session

import (
	"context"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/zap"

	"github.com/eks-x509/eks-x509/internal/cache"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/internal/minica"
	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

// pairs are directories with a certificate and a key, and who signs with them.
type pairs struct {
	dir   string
	names []string
	leaf  map[string]string // by name: the hash
}

func newPairs(t *testing.T) *pairs {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) // the clock of a bubble begins in 2000
	template := minica.CA("CA")
	template.NotBefore, template.NotAfter = begin, begin.AddDate(50, 0, 0)
	key, err := minica.GenerateKey("p256")
	check(err)
	ca, err := minica.NewRoot(template, key)
	check(err)
	p := &pairs{dir: t.TempDir(), leaf: map[string]string{}}
	add := func(name string, signs *minica.Pair, certificates ...*x509.Certificate) {
		keyPEM, err := minica.KeyPEM(signs.Key)
		check(err)
		check(os.Mkdir(filepath.Join(p.dir, name), 0o700))
		check(os.WriteFile(filepath.Join(p.dir, name, "cert.pem"), minica.CertificatePEM(certificates...), 0o600))
		check(os.WriteFile(filepath.Join(p.dir, name, "key.pem"), keyPEM, 0o600))
		p.names, p.leaf[name] = append(p.names, name), keys.Hash(signs.Certificate)
	}
	issue := func(name string, from *minica.Pair) *minica.Pair {
		leaf := minica.Leaf(name)
		leaf.NotBefore, leaf.NotAfter = begin, begin.AddDate(40, 0, 0)
		pair := &minica.Pair{}
		if from != nil {
			pair.Key = from.Key
		}
		pair, err := ca.Issue(leaf, pair.Key)
		check(err)
		return pair
	}
	alice, bob := issue("alice", nil), issue("bob", nil)
	renewed := issue("alice, renewed", alice)
	add("alice", alice, alice.Certificate)
	add("bob", bob, bob.Certificate)
	add("renewed", renewed, renewed.Certificate)
	add("both-alice", alice, alice.Certificate, bob.Certificate)
	add("both-bob", bob, alice.Certificate, bob.Certificate)
	return p
}

// history is what the link led to. A turn that has begun may have been seen, and
// one that is done was.
type history struct {
	mu    sync.Mutex
	turns []string
	done  int
}

func (h *history) turn(t *testing.T, p *pairs, name string) {
	h.mu.Lock()
	h.turns = append(h.turns, name)
	h.mu.Unlock()
	aside := filepath.Join(p.dir, "new")
	if err := errors.Join(os.Symlink(name, aside), os.Rename(aside, filepath.Join(p.dir, "link"))); err != nil {
		t.Error(err)
	}
	h.mu.Lock()
	h.done = len(h.turns) - 1
	h.mu.Unlock()
}

// now is the turn that is done.
func (h *history) now() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.done
}

// since are the turns that may have been seen from that one on.
func (h *history) since(from int) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.turns[from:])
}

// refusedText names who was refused, as AWS's words would.
func refusedText(leaf string) string { return "refused " + leaf }

// caller is a process: its own files, its own call.
type caller struct {
	*pairs
	*history
	config config.Config
	rng    *rand.Rand
	lines  []string
}

// steps of the lock's poll, so that many things happen at one moment.
func (c *caller) pause(most int) time.Duration {
	return time.Duration(c.rng.IntN(most)) * 10 * time.Millisecond
}

// make plays AWS: it takes its time, and refuses now and then; what it gives says
// who signed.
func (c *caller) make(ctx context.Context, _ *http.Client, key *keys.Key) (aws.Credentials, error) {
	wait, refuse, life := c.pause(30), c.rng.IntN(5) == 0, time.Duration(1+c.rng.IntN(12))*time.Minute
	if c.rng.IntN(20) == 0 {
		wait = 30 * time.Second // longer than others wait for the lock
	}
	select {
	case <-ctx.Done():
		return aws.Credentials{}, ctx.Err()
	case <-time.After(wait):
	}
	leaf := keys.Hash(key.Chain[0])
	if refuse {
		return aws.Credentials{}, &x509creds.Error{Kind: x509creds.Refused, StatusCode: 403, Code: "AccessDenied", Message: refusedText(leaf)}
	}
	return aws.Credentials{AccessKeyID: leaf, SecretAccessKey: "s", SessionToken: "t", Expires: time.Now().Add(life)}, nil
}

func (c *caller) call(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if c.rng.IntN(6) == 0 { // it is killed: the lock goes back, and nothing is written
		time.AfterFunc(c.pause(20), cancel)
	}
	say := func(line string) { c.lines = append(c.lines, line) }
	o := Options{Log: zap.NewNop(), Now: time.Now, UserAgent: func() string { return "" }, Warn: say, Notice: say}
	if c.rng.IntN(4) == 0 {
		o.Kubectl = 1 + c.rng.IntN(2)
	}
	g := &getter{config: c.config, options: o, make: c.make}
	from := c.now()
	s, err := g.get(ctx)
	led, seen := c.since(from), map[string]bool{}
	for _, name := range led {
		seen[c.leaf[name]] = true
	}
	if err != nil {
		if e, ok := errors.AsType[*x509creds.Error](err); ok {
			refused := slices.ContainsFunc(c.names, func(name string) bool { return seen[c.leaf[name]] && e.Message == refusedText(c.leaf[name]) })
			if !refused {
				t.Errorf("another's refusal: %v; the link led to %q", err, led)
			}
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("%v; the link led to %q", err, led)
		}
		return
	}
	certificate, err := s.Certificate(t.Context())
	if err != nil || keys.Hash(certificate) != s.AccessKeyID {
		t.Errorf("shown with another's certificate, %v", err)
	}
	if !seen[s.AccessKeyID] || !time.Now().Before(s.Expires) {
		t.Errorf("another's session, until %s; the link led to %q", s.Expires, led)
	}
}

// No schedule of reading, waiting for the lock, asking, writing, clearing and
// turning the link gives anybody another's session or refusal, nor leaves one in
// the cache under another's key. The code is the program's; only AWS is played.
func TestInterleavings(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("links are for the privileged")
	}
	const seeds, callers, calls = 20, 5, 12
	p := newPairs(t)
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			here := &pairs{dir: t.TempDir(), names: p.names, leaf: p.leaf}
			if err := os.CopyFS(here.dir, os.DirFS(p.dir)); err != nil {
				t.Fatal(err)
			}
			c := config.Config{Certificate: filepath.Join(here.dir, "link", "cert.pem"), PrivateKey: filepath.Join(here.dir, "link", "key.pem")}
			c.Cache.Dir = filepath.Join(here.dir, "cache")
			h := &history{}
			h.turn(t, here, "alice")
			var wg sync.WaitGroup
			stop := make(chan struct{})
			for i := range callers {
				one := &caller{pairs: here, history: h, config: c, rng: rand.New(rand.NewPCG(uint64(seed), uint64(i)))}
				wg.Go(func() {
					for range calls {
						time.Sleep(one.pause(40))
						one.call(t)
					}
				})
			}
			meddler := &caller{rng: rand.New(rand.NewPCG(uint64(seed), callers))}
			go meddler.meddle(t, here, h, c, stop)
			wg.Wait()
			close(stop)
			synctest.Wait()
			checkKept(t, here, c)
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		})
	}
}

// meddle turns the link, and clears as people do.
func (c *caller) meddle(t *testing.T, p *pairs, h *history, settings config.Config, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(10*time.Millisecond + c.pause(25)): // two turns at one moment can't be told from none
		}
		switch c.rng.IntN(8) {
		case 0:
			if _, err := cache.ClearAll(settings.Cache.Dir); err != nil {
				t.Error(err)
			}
		case 1:
			if _, err := Forget(settings, Options{}); err != nil {
				t.Error(err)
			}
		default:
			h.turn(t, p, p.names[c.rng.IntN(len(p.names))])
		}
	}
}

// checkKept: what lies under a key was signed by who that key is for.
func checkKept(t *testing.T, p *pairs, c config.Config) {
	kept, err := cache.List(c.Cache.Dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	owner := map[string]string{}
	for _, name := range p.names {
		id, err := keys.Identify(keys.Source{Certificate: filepath.Join(p.dir, name, "cert.pem"), PrivateKey: filepath.Join(p.dir, name, "key.pem")})
		if err != nil {
			t.Fatal(err)
		}
		owner[id.Lookup] = p.leaf[name]
	}
	if len(owner) != len(p.names) {
		t.Fatalf("%d identities for %d pairs", len(owner), len(p.names))
	}
	for _, k := range kept {
		if k.Leaf != k.AccessKeyID || owner[k.Key.Certificate] != k.Leaf {
			t.Errorf("the session of %s lies under the key of %s and says %s", k.AccessKeyID, owner[k.Key.Certificate], k.Leaf)
		}
	}
}
