package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

// facts are what checks leave for those that wait for them: each field is
// written by one check.
type facts struct {
	Input
	entry        *KubeContext // of Cluster, if there is one
	otherProfile string       // what the current context names, if it is not the one that is looked at

	key          *keys.Key
	credentials  aws.Credentials
	skew         *time.Duration // the server's clock minus ours
	cluster      *awsapi.Cluster
	api          *awsapi.KubeAPI // where to ask the cluster
	token        string
	kubectlMinor int // 0: unknown
}

func newFacts(in Input) *facts {
	f := &facts{Input: in}
	f.Session.AskPassword = onlyOnce(in.Session.AskPassword)
	f.Session.Warn, f.Session.Notice = func(string) {}, func(string) {}
	if i := slices.IndexFunc(in.KubeContexts, func(k KubeContext) bool { return k.Ours && k.Current }); i >= 0 && in.Cluster == "" {
		if k := in.KubeContexts[i]; k.Profile == "" || k.Profile == cmp.Or(in.Profile, config.DefaultProfile) {
			f.Cluster = k.Cluster
		} else {
			f.otherProfile = k.Profile
		}
	}
	for i, k := range in.KubeContexts {
		if k.Ours && f.Cluster != "" && k.Cluster == f.Cluster && (f.entry == nil || k.Current) {
			f.entry = &in.KubeContexts[i]
		}
	}
	return f
}

// add joins one more finding to a result, whose status is the worst of them.
func (r *Result) add(s Status, found, remedy string) {
	if s.rank() > r.Status.rank() {
		r.Status = s
	}
	join := func(all *string, one, with string) {
		if one != "" && *all != "" && !strings.Contains(*all, one) {
			*all += with + one
		} else if *all == "" {
			*all = one
		}
	}
	join(&r.Found, found, "; ")
	join(&r.Remedy, remedy, "; ")
	if s == Failed && r.Class == "" {
		r.Class = Other
	}
}

func found(s Status, remedy, format string, args ...any) Result {
	var r Result
	r.add(s, fmt.Sprintf(format, args...), remedy)
	return r
}

// failed takes the remedy from the program's one place for advice, or the one
// given where it has none.
func (f *facts) failed(err error, otherwise string) Result {
	r := Result{Status: Failed, Found: err.Error(), Class: classOf(err), Remedy: otherwise}
	if hints := f.Hint(err); len(hints) > 0 {
		r.Remedy = strings.Join(hints, "; ")
	}
	return r
}

func classOf(err error) Class {
	if _, ok := errors.AsType[*config.Error](err); ok {
		return Misuse
	}
	if _, ok := errors.AsType[*keys.Error](err); ok {
		return KeyUnusable
	}
	if e, ok := errors.AsType[*x509creds.Error](err); ok {
		switch e.Kind {
		case x509creds.Refused:
			return Refused
		case x509creds.Unsigned:
			return KeyUnusable
		case x509creds.Misconfigured:
			return Misuse
		default:
			return Unreachable
		}
	}
	if e, ok := errors.AsType[*awsapi.Error](err); ok {
		if e.Kind == awsapi.Refused {
			return Refused
		}
		return Unreachable
	}
	return Other
}

// home is the person's home directory, or "".
func (f *facts) home() string {
	if runtime.GOOS == "windows" {
		return f.Getenv("USERPROFILE")
	}
	return f.Getenv("HOME")
}

// access says what is wrong with who may touch a file: bits of its mode that
// it should not have, or an owner who is neither us nor root.
func access(path string, info fs.FileInfo, bits fs.FileMode) string {
	if runtime.GOOS == "windows" { // it has no such modes
		return ""
	}
	if uid := ownerOf(info); uid > 0 && uid != os.Getuid() {
		return fmt.Sprintf("%s belongs to user %d, not to us (%d)", path, uid, os.Getuid())
	}
	open := info.Mode().Perm() & bits
	switch {
	case open&0o022 != 0:
		return fmt.Sprintf("%s is writable by group or others (mode %04o)", path, info.Mode().Perm())
	case open != 0:
		return fmt.Sprintf("%s is readable by group or others (mode %04o)", path, info.Mode().Perm())
	}
	return ""
}
