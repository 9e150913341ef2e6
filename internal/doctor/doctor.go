// Package doctor looks at everything between a person's certificate and their
// cluster, and says of each thing what it found, why that matters and what to do.
//
// Every check runs, even when another has failed; those that can't without it are
// skipped. Nothing is changed, kept or printed. No secret is in a report: paths,
// ARNs, names and addresses are.
package doctor

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/safetext"
	"github.com/eks-x509/eks-x509/internal/session"
)

// Input is the world that is looked at.
type Input struct {
	Config      config.Config
	ConfigErr   error    // why there is no Config
	ConfigFiles []string // that are looked at, whether they are there or not
	Profile     string   // as chosen; empty: none
	// ProfileGiven: it was chosen by the flag, which wins over variables.
	ProfileGiven bool
	Settings     []config.Value
	Cluster      string // as named; empty: the one that the current context asks for with this profile
	Offline      bool   // leave out what needs a network

	Getenv  func(string) string
	Environ []string // names of the variables that are set
	Now     func() time.Time
	Session session.Options // Warn and Notice are replaced
	// Client makes the client for requests to AWS.
	Client func() (*http.Client, error)
	// Base URLs that take the place of the region's own; Roles Anywhere's is in Config.
	STSEndpoint, EKSEndpoint string

	Kubeconfig    []string // paths, whether they are there or not
	KubeconfigErr error    // why KubeContexts is not all
	KubeContexts  []KubeContext
	LookPath      func(string) (string, error)
	RunCommand    func(ctx context.Context, name string, args ...string) ([]byte, error) // its stdout

	Hint func(error) []string // advice on an error
}

// KubeContext is a context of a kubeconfig whose user has an exec entry.
type KubeContext struct {
	Name, File           string
	Server               string
	CertificateAuthority []byte // PEM; empty: none, or not read
	User                 string
	APIVersion, Command  string
	Args                 []string
	InteractiveMode      string
	Cluster, Profile     string // the EKS cluster's name and our profile's, if the entry says them
	Ours, Current        bool
}

// Status is what a check came to.
type Status string

// The statuses, from good to bad.
const (
	OK      Status = "ok"
	Skipped Status = "skipped"
	Note    Status = "note"
	Warning Status = "warning"
	Failed  Status = "failed"
)

func (s Status) rank() int { return slices.Index([]Status{OK, Skipped, Note, Warning, Failed}, s) }

// Class is what kind of failure it is, as the exit codes tell them apart.
type Class string

// The classes. A report without a failure has none.
const (
	Misuse      Class = "misuse"      // a flag, a variable or a configuration file
	KeyUnusable Class = "key"         // key or certificate
	Refused     Class = "refused"     // AWS or the cluster said no
	Unreachable Class = "unreachable" // AWS or the cluster did not say anything
	Other       Class = "failed"
)

// Result is what a check found.
type Result struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Found  string `json:"found"`
	Why    string `json:"why"`
	Remedy string `json:"remedy,omitempty"`
	Class  Class  `json:"class,omitempty"` // of a failed one
}

// Report is all results, in an order that does not change.
type Report struct {
	SchemaVersion int       `json:"schemaVersion"`
	Time          time.Time `json:"time"`
	Status        Status    `json:"status"`          // the worst
	Class         Class     `json:"class,omitempty"` // of the first that failed: the later ones may come of it
	Results       []Result  `json:"checks"`
	variables     []string
}

// Check is one thing that is looked at.
type Check struct {
	Name string
	Why  string
	// Needs are checks without whose success this one says nothing; After are
	// those that it waits for, however they end.
	Needs, After []string
	Network      bool
	run          func(context.Context, *facts) Result
}

// networkTimeout bounds each check that asks somebody.
const networkTimeout = 10 * time.Second

// Checks are all of them, in the order of the report.
func Checks() []Check {
	return slices.Concat(localChecks(), awsChecks(), clusterChecks(), kubectlChecks())
}

// Run makes every check, those at the same time that do not wait for another.
func Run(ctx context.Context, in Input) Report {
	var list []Check
	for _, c := range Checks() {
		if !c.Network || !in.Offline {
			list = append(list, c)
		}
	}
	f := newFacts(in)
	index, done := map[string]int{}, make([]chan struct{}, len(list))
	for i, c := range list {
		index[c.Name], done[i] = i, make(chan struct{})
	}
	results := make([]Result, len(list))
	for i, c := range list {
		go func() {
			defer close(done[i])
			skip := ""
			for _, name := range slices.Concat(c.Needs, c.After) {
				at, known := index[name]
				if !known {
					continue // left out
				}
				<-done[at]
				if s := results[at].Status; skip == "" && (s == Failed || s == Skipped) && slices.Contains(c.Needs, name) {
					skip = name
				}
			}
			results[i] = f.check(ctx, c, skip)
		}()
	}
	for _, d := range done {
		<-d
	}
	return newReport(in, results)
}

func (f *facts) check(ctx context.Context, c Check, skip string) Result {
	r := Result{Status: Skipped, Found: "needs " + skip}
	if skip == "" {
		if c.Network {
			bounded, cancel := context.WithTimeout(ctx, networkTimeout)
			defer cancel()
			ctx = bounded
		}
		r = c.run(ctx, f)
	}
	r.Name, r.Why = c.Name, c.Why
	if r.Status == "" {
		r.Status = OK
	}
	return r
}

func newReport(in Input, results []Result) Report {
	r := Report{SchemaVersion: 1, Time: in.Now().UTC().Truncate(time.Second), Status: OK, Results: results}
	for i := range results {
		// The last guard: no finding holds a secret, but text from outside may.
		one := &results[i]
		one.Found, one.Remedy = safetext.Scrub(one.Found), safetext.Scrub(one.Remedy)
		if one.Status.rank() > r.Status.rank() && one.Status != Skipped {
			r.Status = one.Status
		}
		if r.Class == "" {
			r.Class = one.Class
		}
	}
	for _, name := range in.Environ {
		for _, prefix := range []string{"AWS_", "EKS_X509_", "KUBE", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
			if strings.HasPrefix(strings.ToUpper(name), prefix) {
				r.variables = append(r.variables, name)
				break
			}
		}
	}
	slices.Sort(r.variables)
	return r
}

// onlyOnce asks the person once for each password, though two checks open the key.
func onlyOnce(ask func(context.Context, string) ([]byte, error)) func(context.Context, string) ([]byte, error) {
	if ask == nil {
		return nil
	}
	var mu sync.Mutex
	given := map[string][]byte{}
	return func(ctx context.Context, prompt string) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		if p, ok := given[prompt]; ok {
			return slices.Clone(p), nil // the caller may wipe its own
		}
		p, err := ask(ctx, prompt)
		if err == nil {
			given[prompt] = slices.Clone(p)
		}
		return p, err
	}
}
