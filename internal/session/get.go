package session

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/zap"

	"github.com/eks-x509/eks-x509/internal/cache"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/keys"
)

// mostTries bounds how often Get starts over while certificate and key are being
// replaced.
const mostTries = 6

// Session is credentials, and the certificate that signed for them.
type Session struct {
	aws.Credentials
	certificate func(context.Context) (*x509.Certificate, error)
}

// Certificate is the one that signed. It is at hand, unless a session was cached
// without it and it is in an encrypted file: that is opened then.
func (s Session) Certificate(ctx context.Context) (*x509.Certificate, error) {
	return s.certificate(ctx)
}

// Get returns the session that is cached, or makes one. Errors are *keys.Error,
// *x509creds.Error and *config.Error.
//
// For a cached session only the certificate is read: the key is not opened, no
// password is asked for, the network is not used. A certificate's file with
// several end-entity certificates does not say who signs: then the key's file is
// read as well, but not opened.
//
// Whose session it is follows one rule: what is looked up is the identity of the
// files as they were read; what is made is made with those bytes; if another
// certificate comes out, it is looked up as that one's.
func Get(ctx context.Context, c config.Config, o Options) (Session, error) {
	g := &getter{config: c, options: o}
	g.make = func(ctx context.Context, client *http.Client, key *keys.Key) (aws.Credentials, error) {
		return createWith(ctx, client, c, key, o)
	}
	s, err := g.get(ctx)
	if g.key != nil { // it has signed, and the certificate is at hand
		g.options.Files.Wipe()
	}
	o.secret(s.Credentials)
	o.Log.Debug("session", zap.String("access_key_id", s.AccessKeyID), zap.String("source", s.Source), zap.Time("expires", s.Expires), zap.Error(err))
	return s, err
}

// getter is one call of Get.
type getter struct {
	config  config.Config
	options Options
	key     *keys.Key // once it is open
	// make asks for a session.
	make func(context.Context, *http.Client, *keys.Key) (aws.Credentials, error)
}

func (g *getter) get(ctx context.Context) (Session, error) {
	if g.options.Files == nil {
		g.options.Files = &keys.Files{}
	}
	if !g.cached() {
		g.confine()
		client, _, err := httpClient(g.config, g.options.Files, g.options.Log, g.options.Notice) // first, since it asks for nothing
		if err != nil {
			return Session{}, err
		}
		made, err := g.open(ctx)
		if err != nil {
			return Session{}, err
		}
		made.Credentials, err = g.make(ctx, client, g.key)
		return g.session(keys.Identity{}, made), err
	}
	for range mostTries {
		id, err := g.identity()
		if err != nil {
			return Session{}, err
		}
		key := cacheKey(g.config, id)
		o := g.options
		kept := cache.Cache{Dir: g.config.Cache.Dir, Now: o.Now, Warn: o.Warn, Notice: o.Notice, Asker: o.Kubectl}
		found, err := kept.Get(ctx, key, id.Hashes(), func(ctx context.Context) (cache.Session, *cache.Failure, error) { return g.fetch(ctx, key) })
		if errors.Is(err, cache.ErrOtherIdentity) {
			continue
		}
		if remembered, ok := errors.AsType[*cache.RememberedError](err); ok {
			return Session{}, recall(remembered)
		}
		if err != nil {
			return Session{}, err
		}
		g.warnOfKey(found.Expires)
		return g.session(id, found), nil
	}
	return Session{}, &keys.Error{Reason: keys.KeyMismatch, Doing: "opening certificate", File: g.config.Certificate,
		Err: fmt.Errorf("certificate, key or CA bundle were replaced %d times while they were read", mostTries)}
}

// warnOfKey says that the private key's file is missing while a cached session
// hides it. The file is not opened.
func (g *getter) warnOfKey(until time.Time) {
	if g.key != nil || g.config.PrivateKey == "" {
		return
	}
	if _, err := os.Stat(g.config.PrivateKey); err != nil {
		g.options.Warn(fmt.Sprintf("private key %q: %v; the cached session is used until %s, and without the key there is no new one",
			g.config.PrivateKey, pathless(err), until.UTC().Format(time.RFC3339)))
	}
}

// pathless is the cause of a *fs.PathError.
func pathless(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// identity is that of the key once it is open: the files may have been read again.
func (g *getter) identity() (keys.Identity, error) {
	if g.key != nil {
		return g.key.Identity, nil
	}
	return keys.Identify(source(g.config, g.options))
}

// confine is done once, before the key is opened and a server is asked.
func (g *getter) confine() {
	if g.options.Confine != nil {
		g.options.Confine()
		g.options.Confine = nil
	}
}

// cached says whether a session is looked up and kept. What was learned without
// verifying the server is not kept.
func (g *getter) cached() bool {
	if g.config.Cache.Off || g.config.TLS.NoVerify {
		return false
	}
	if g.config.Cache.Dir == "" {
		g.options.Warn("sessions are not kept: no home directory in the environment; --cache-dir names a place")
	}
	return g.config.Cache.Dir != ""
}

// open opens the key, once. The session still lacks its credentials.
func (g *getter) open(ctx context.Context) (cache.Session, error) {
	if g.key == nil {
		var err error
		if g.key, err = OpenKey(ctx, g.config, g.options); err != nil {
			return cache.Session{}, err
		}
	}
	const most = 16 << 10 // which the cache has room for
	s := cache.Session{Leaf: keys.Hash(g.key.Chain[0])}
	if raw := g.key.Chain[0].Raw; len(raw) <= most && g.key.Identity.Leaves == nil {
		s.Certificate = string(raw)
	}
	return s, nil
}

// fetch makes a session for want, unless the files are another identity's by now.
func (g *getter) fetch(ctx context.Context, want cache.Key) (cache.Session, *cache.Failure, error) {
	g.confine()
	client, roots, err := httpClient(g.config, g.options.Files, g.options.Log, g.options.Notice) // first, since it asks for nothing
	if err != nil {
		return cache.Session{}, nil, err
	}
	made, err := g.open(ctx)
	if err != nil {
		return made, nil, err
	}
	// Opening the key reads the files again if they are being replaced.
	id := g.key.Identity
	if now := cacheKey(g.config, id); now != want || roots != want.Roots || id.Leaves != nil && id.Leaf(made.Leaf) == nil {
		return made, nil, cache.ErrOtherIdentity
	}
	made.Credentials, err = g.make(ctx, client, g.key)
	if g.config.TLS.CABundle == "" && systemRoots(g.config.TLS) != want.Roots { // Go reads these at their first use
		return made, nil, cache.ErrOtherIdentity
	}
	return made, failure(err, g.options.Now()), err
}

// session says who signed.
func (g *getter) session(id keys.Identity, found cache.Session) Session {
	return Session{found.Credentials, func(ctx context.Context) (*x509.Certificate, error) {
		if leaf := id.Leaf(found.Leaf); leaf != nil {
			return leaf, nil
		}
		if leaf, err := x509.ParseCertificate([]byte(found.Certificate)); err == nil && keys.Hash(leaf) == found.Leaf {
			return leaf, nil
		}
		if _, err := g.open(ctx); err != nil {
			return nil, err
		}
		if leaf := g.key.Chain[0]; keys.Hash(leaf) == found.Leaf {
			return leaf, nil
		}
		return nil, &keys.Error{Reason: keys.KeyMismatch, Doing: "opening certificate", File: g.config.Certificate,
			Err: errors.New("it was replaced since the session was made")}
	}}
}

// cacheKey holds everything that changes what CreateSession gives.
func cacheKey(c config.Config, id keys.Identity) cache.Key {
	return cache.Key{
		Certificate:     id.Lookup,
		Roots:           rootsOf(c.TLS),
		TrustAnchorARN:  c.TrustAnchorARN,
		ProfileARN:      c.ProfileARN,
		RoleARN:         c.RoleARN,
		Region:          c.SessionRegion,
		Endpoint:        c.Endpoint,
		FIPS:            c.UseFIPS,
		DualStack:       c.UseDualStack,
		DurationSeconds: int(c.SessionDuration / time.Second),
		RoleSessionName: c.RoleSessionName,
	}
}

// Forget removes the session that is cached for c, and says whether there was one.
func Forget(c config.Config, o Options) (bool, error) {
	id, err := keys.Identify(source(c, o))
	if err != nil {
		return false, err
	}
	return cache.Clear(c.Cache.Dir, cacheKey(c, id))
}
