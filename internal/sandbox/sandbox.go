// Package sandbox plays AWS's side in one process, for tests and demos: Roles Anywhere CreateSession, STS GetCallerIdentity, EKS
// DescribeCluster and ListClusters, the TokenReview webhook that a cluster would ask about a token, and the part of a cluster's API
// that says who one is and what one may do.
//
// It verifies for itself, from AWS's pages and not with the client's code, and as strictly as those pages say: an emulator that
// shares the client's code agrees with the client's bugs. Where AWS's own answer is not documented it refuses. It has as much of IAM,
// CloudFormation and Private CA as eks-x509 setup needs, keeps sessions in memory, and listens on loopback only.
//
// AWS: https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication.html and
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
package sandbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

// lazy compiles a pattern when it is first used: it is linked into a program that kubectl starts on every call.
func lazy(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// Options of New.
type Options struct {
	Dir      string           // made if it is not there; absolute in what is written
	Now      func() time.Time // nil: time.Now
	Requests io.Writer        // one line for each request, with its verdict; may be nil
	World    *World           // nil: world.json in Dir, else DefaultWorld
}

// Sandbox is AWS's side. Its methods may be called from many goroutines.
type Sandbox struct {
	dir      string
	now      func() time.Time
	requests io.Writer
	ca       *Authority
	minter   *minter
	ready    chan struct{}

	mu       sync.Mutex
	url      string
	world    *World
	sessions map[string]*session
	// administrator is one of them.
	administrator *session
	faults        []Fault
	entries       history[Entry]
	events        history[Event]
	audit         history[auditRecord]
	lookups       bucket
	insights      map[string]*insightsQuery
	executions    map[string]*execution
}

// New makes or takes up again the files in Options.Dir: CA, client certificate and world.
func New(o Options) (*Sandbox, error) {
	s := &Sandbox{now: o.Now, requests: o.Requests, ready: make(chan struct{}), sessions: map[string]*session{},
		insights: map[string]*insightsQuery{}, executions: map[string]*execution{}}
	if s.now == nil {
		s.now = time.Now
	}
	var err error
	if s.dir, err = claim(o.Dir); err != nil {
		return nil, fmt.Errorf("opening sandbox: %w", err)
	}
	if s.ca, err = openAuthority(s.dir, s.now()); err != nil {
		return nil, err
	}
	if s.minter, err = newMinter(s.ca.TLS); err != nil {
		return nil, err
	}
	world := o.World
	if world == nil {
		if world, err = readWorld(s.path("world.json")); err != nil {
			return nil, err
		}
	}
	if err := s.SetWorld(world); err != nil {
		return nil, err
	}
	s.newAdministrator()
	if err := safefile.Remove(s.path("ready")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return s, nil
}

// Authority gives tests the keys to make more certificates with.
func (s *Sandbox) Authority() Authority { return *s.ca }

// Ready is closed when Serve listens and all files are written.
func (s *Sandbox) Ready() <-chan struct{} { return s.ready }

// URL is where Serve listens, https://127.0.0.1:PORT; empty before Ready.
func (s *Sandbox) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

// World is a copy of the present world.
func (s *Sandbox) World() *World {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.world.clone()
}

// SetWorld replaces the world, here and in world.json.
func (s *Sandbox) SetWorld(w *World) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.setWorld(w.clone())
}

func (s *Sandbox) setWorld(w *World) error {
	for i, a := range w.TrustAnchors {
		if len(a.Certificates) == 0 {
			w.TrustAnchors[i].Certificates = []string{s.ca.rootPEM()}
		}
	}
	if err := w.validate(); err != nil {
		return err
	}
	if err := errors.Join(writeJSON(s.path("world.json"), w), s.writeARNs(w)); err != nil {
		return err
	}
	s.world = w
	return nil
}

// SetFaults replaces the faults.
func (s *Sandbox) SetFaults(faults []Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.Clone(faults)
}

// Faults are those still in force.
func (s *Sandbox) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.faults)
}

// Requests are the latest, oldest first.
func (s *Sandbox) Requests() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.entries.items)
}

// Events are the latest, as CloudTrail would hold them.
func (s *Sandbox) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events.items)
}

// Handler answers in-process, as the sandbox does at this host: the name of an AWS endpoint or, for any other, the loopback name.
func (s *Sandbox) Handler(host string) http.Handler {
	at := newRealm(host)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, at) })
}

// EnvFile is the path of env.sh.
func (s *Sandbox) EnvFile() string { return s.path("env.sh") }

// Environ is what env.sh sets, as NAME=value: the first anchor, profile and role of the world. Valid after Ready.
func (s *Sandbox) Environ() []string {
	w, url := s.World(), s.URL()
	env := []string{
		"EKS_X509_CERTIFICATE=" + s.path("client-chain.pem"),
		"EKS_X509_PRIVATE_KEY=" + s.path("client.key"),
		"AWS_REGION=" + w.Region,
		"AWS_DEFAULT_REGION=" + w.Region, // botocore 1 reads no other
		"AWS_ENDPOINT_URL=" + url,
		"AWS_CA_BUNDLE=" + s.path("tls-ca.pem"),
		"EKS_X509_SANDBOX=" + url,
		"EKS_X509_CACHE_DIR=" + s.path("cache"),
		// What the person has configured is neither read nor written.
		"EKS_X509_CONFIG=" + s.path("config.yaml"),
		"KUBECONFIG=" + s.path("kubeconfig"),
		"AWS_CONFIG_FILE=" + s.path("aws-config"),
		"AWS_EC2_METADATA_DISABLED=true",                           // the machine's own role is real
		"AWS_SHARED_CREDENTIALS_FILE=" + s.path("aws-credentials"), // only the administrator's, under that name
	}
	if len(w.TrustAnchors) > 0 {
		env = append(env, "EKS_X509_TRUST_ANCHOR_ARN="+w.TrustAnchors[0].ARN)
	}
	if len(w.Profiles) > 0 {
		env = append(env, "EKS_X509_PROFILE_ARN="+w.Profiles[0].ARN)
	}
	if len(w.Roles) > 0 {
		env = append(env, "EKS_X509_ROLE_ARN="+w.Roles[0].ARN)
	}
	return env
}
