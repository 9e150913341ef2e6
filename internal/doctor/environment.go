package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

// readSmall reads a regular file of at most a megabyte.
func readSmall(path string) ([]byte, error) { return safefile.ReadExisting(path, 1<<20) }

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func checkEnvironment(_ context.Context, f *facts) Result {
	var r Result
	set := func(name string) bool { return f.Getenv(name) != "" }
	for _, v := range f.Settings {
		for _, variable := range v.Ignored {
			r.add(Note, fmt.Sprintf("%s is ignored: the profile of --profile sets %s", variable, v.Name), "unset it; to use another value than the profile's, give the flag")
		}
	}
	if f.Profile != "" && !f.ProfileGiven {
		for _, s := range config.FileSettings() {
			if set(s.Env) {
				r.add(Warning, fmt.Sprintf("%s overrides profile %q", s.Env, f.Profile), "unset it to have the profile's, or choose the profile with --profile")
			}
		}
	}
	if set("AWS_ACCESS_KEY_ID") {
		r.add(Note, "AWS_ACCESS_KEY_ID is set: AWS's tools use those keys and no profile, and we do not", "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN")
	}
	if set("AWS_PROFILE") {
		r.add(Note, "AWS_PROFILE is set: AWS's tools heed it, and we do not", "our profiles are chosen by --profile or EKS_X509_PROFILE")
	}
	either := func(name string) bool { return set(name) || set(strings.ToLower(name)) }
	if either("ALL_PROXY") && !either("HTTPS_PROXY") {
		r.add(Note, "ALL_PROXY is set and HTTPS_PROXY is not: eks-x509 and kubectl do not use ALL_PROXY", "set HTTPS_PROXY if AWS is reached through a proxy")
	}
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ROLESANYWHERE", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_EKS"} {
		if set(name) {
			r.add(Note, fmt.Sprintf("%s leads to %s", name, safetext.URL(f.Getenv(name))), "unset it unless a private endpoint or the sandbox needs it")
		}
	}
	for _, name := range config.PathVariables() {
		if err := config.CheckPathList(name, f.Getenv(name)); err != nil {
			r.add(Failed, err.Error(), "write it to a file, and give that file's name")
			r.Class = Misuse
			return r // the value must not be shown
		}
	}
	bundle, err := config.ExpandHome(f.Getenv("AWS_CA_BUNDLE"), f.Getenv)
	if err != nil {
		r.add(Failed, "invalid AWS_CA_BUNDLE: "+err.Error(), "write the whole path")
		r.Class = Misuse
	} else if path := bundle; path != "" && missing(path) {
		r.add(Failed, "AWS_CA_BUNDLE names a file that is not there: "+path, "unset AWS_CA_BUNDLE, or name the file with your proxy's CA")
		r.Class = Misuse
	}
	if path := f.Getenv("SSL_CERT_FILE"); path != "" && missing(path) {
		r.add(Warning, "SSL_CERT_FILE names a file that is not there: "+path, "unset SSL_CERT_FILE")
	}
	for _, path := range filepath.SplitList(f.Getenv("KUBECONFIG")) {
		if strings.HasPrefix(path, "~") {
			r.add(Warning, fmt.Sprintf("KUBECONFIG has %q, and kubectl does not expand ~ there", path), "write the whole path, or $HOME in place of ~")
		} else if path != "" && missing(path) {
			r.add(Note, "KUBECONFIG names a file that is not there: "+path, "take it out of KUBECONFIG, or write it: eks-x509 kubeconfig update --cluster-name NAME")
		}
	}
	if r.Found == "" {
		return found(OK, "", "no variable that fights with ours")
	}
	return r
}
