// Package session is the one way from a certificate to AWS credentials, which
// every output takes: the session that is kept, else open the key, check it
// offline, and have Roles Anywhere make one.
package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/zap"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

// Options are what a session needs from the program around it.
type Options struct {
	// AskPassword asks the person; it is called only when the key is encrypted
	// and the configuration has no password. Nil: there is nobody to ask.
	AskPassword func(ctx context.Context, prompt string) ([]byte, error)
	// Warn takes one line for the person, Notice one that can't wait.
	Warn, Notice func(string)
	// Secret is told of the secrets of a session, so that they can be taken out of
	// what is shown: a server may echo them. Nil: nobody asks.
	Secret func(...string)
	// Kubectl is the pid of the kubectl that runs us, 0 if none does.
	Kubectl int
	// Confine is called once it is known that a session must be made, before the key and the network are used; nil: nothing is.
	// A cached session costs no confinement, which takes a tenth of a warm start.
	Confine   func()
	Log       *zap.Logger
	Now       func() time.Time
	UserAgent func() string
	// PackedPolicySize is told of a session that is made; see x509creds.Options.
	PackedPolicySize func(percent int)
	// Files is where certificate and key are read through, so that all parts of
	// the program see the same. Nil: they are read for each call.
	Files *keys.Files
}

// Credentials is Get for a caller that does not tell whose they are.
func Credentials(ctx context.Context, c config.Config, o Options) (aws.Credentials, error) {
	s, err := Get(ctx, c, o)
	return s.Credentials, err
}

// Create makes a session with a key that is open, and caches nothing.
func Create(ctx context.Context, c config.Config, key *keys.Key, o Options) (aws.Credentials, error) {
	client, _, err := httpClient(c, o.Files, o.Log, o.Notice)
	if err != nil {
		return aws.Credentials{}, err
	}
	return createWith(ctx, client, c, key, o)
}

func createWith(ctx context.Context, client *http.Client, c config.Config, key *keys.Key, o Options) (aws.Credentials, error) {
	provider := x509creds.New(key.Signer, key.Chain, func(p *x509creds.Options) {
		p.TrustAnchorARN, p.ProfileARN, p.RoleARN = c.TrustAnchorARN, c.ProfileARN, c.RoleARN
		p.Region, p.Endpoint, p.UseFIPS, p.UseDualStack = c.SessionRegion, c.Endpoint, c.UseFIPS, c.UseDualStack
		p.Duration, p.RoleSessionName = c.SessionDuration, c.RoleSessionName
		p.HTTPClient, p.UserAgent, p.Now, p.PackedPolicySize = client, o.UserAgent(), o.Now, o.PackedPolicySize
	})
	creds, err := provider.Retrieve(ctx)
	o.secret(creds)
	return creds, err
}

// secret tells of what must never be shown.
func (o Options) secret(creds aws.Credentials) {
	if o.Secret != nil {
		o.Secret(creds.SecretAccessKey, creds.SessionToken)
	}
}

// WarnPassword warns of a password that was a flag.
func WarnPassword(p config.Password, warn func(string)) {
	if p.OnCommandLine {
		warn("--pkcs8-password shows the password to every user of this machine; use --key-password-file or EKS_X509_KEY_PASSWORD")
	}
}

// OpenKey opens the key and checks all that can be checked without a network.
func OpenKey(ctx context.Context, c config.Config, o Options) (*keys.Key, error) {
	WarnPassword(c.Password, o.Warn)
	key, err := keys.Open(ctx, source(c, o))
	if err != nil {
		return nil, err
	}
	warnings, err := key.Check(o.Now())
	if err != nil {
		return nil, err
	}
	for _, w := range append(key.Warnings, warnings...) {
		o.Warn(w)
	}
	leaf := key.Chain[0]
	o.Log.Debug("key opened", zap.Stringer("subject", leaf.Subject), zap.Stringer("serial", leaf.SerialNumber),
		zap.Time("not_after", leaf.NotAfter), zap.Int("intermediates", len(key.Chain)-1))
	return key, nil
}

func source(c config.Config, o Options) keys.Source {
	return keys.Source{
		Certificate: c.Certificate, PrivateKey: c.PrivateKey, Intermediates: c.Intermediates,
		Password: PasswordSource(c.Password, o.Files, o.AskPassword), Files: o.Files, Now: o.Now,
	}
}

type passwordFunc = func(ctx context.Context, prompt string) ([]byte, error)

// PasswordSource is where the configuration says that passwords come from, or ask. A
// file is read through files, if there are any.
func PasswordSource(p config.Password, files *keys.Files, ask passwordFunc) passwordFunc {
	if files == nil {
		files = &keys.Files{}
	}
	switch {
	case p.Inline != "":
		return func(context.Context, string) ([]byte, error) { return []byte(p.Inline), nil }
	case p.File != "":
		return func(context.Context, string) ([]byte, error) { return readPasswordFile(p.File, files) }
	default:
		return ask
	}
}

// readPasswordFile takes the first line, as OpenSSL's -passin file: does, in UTF-8 or
// UTF-16.
func readPasswordFile(path string, files *keys.Files) ([]byte, error) {
	const limit = 64 << 10
	data, _, err := files.Read(path, limit)
	if err != nil {
		return nil, passwordFileError(path, err)
	}
	defer clear(data)
	text := keys.DecodeText(data) // a copy
	line, rest, _ := bytes.Cut(text, []byte("\n"))
	clear(rest)
	return bytes.TrimSuffix(line, []byte("\r")), nil
}

// passwordFileError names the file only if it is there: what is no file's name may
// be the password itself.
func passwordFileError(path string, err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	if _, missing := os.Lstat(path); missing != nil {
		return fmt.Errorf("opening password file: %w", err)
	}
	return fmt.Errorf("opening password file %q: %w", path, err)
}
