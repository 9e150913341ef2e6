package doctor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

// readSmall reads at most a megabyte of a regular file.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New(path + " is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func checkEnvironment(_ context.Context, f *facts) Result {
	var r Result
	set := func(name string) bool { return f.Getenv(name) != "" }
	if f.Profile != "" {
		for _, s := range config.FileSettings() {
			if set(s.Env) {
				r.add(Warning, fmt.Sprintf("%s overrides profile %q", s.Env, f.Profile), "unset it to have the profile's")
			}
		}
	}
	if set("AWS_ACCESS_KEY_ID") {
		r.add(Note, "AWS_ACCESS_KEY_ID is set: AWS's tools use those keys and no profile, and we do not", "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN")
	}
	if set("AWS_PROFILE") {
		r.add(Note, "AWS_PROFILE is set: AWS's tools heed it, and we do not", "our profiles are chosen by --profile or EKS_X509_PROFILE")
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
	if path := f.Getenv("AWS_CA_BUNDLE"); path != "" && missing(path) {
		r.add(Failed, "AWS_CA_BUNDLE names a file that is not there: "+path, "unset AWS_CA_BUNDLE, or name the file with your proxy's CA")
		r.Class = Misuse
	}
	if path := f.Getenv("SSL_CERT_FILE"); path != "" && missing(path) {
		r.add(Warning, "SSL_CERT_FILE names a file that is not there: "+path, "unset SSL_CERT_FILE")
	}
	for _, path := range filepath.SplitList(f.Getenv("KUBECONFIG")) {
		if path != "" && missing(path) {
			r.add(Note, "KUBECONFIG names a file that is not there: "+path, "take it out of KUBECONFIG, or eks-x509 kubeconfig update writes it")
		}
	}
	if r.Found == "" {
		return found(OK, "", "no variable that fights with ours")
	}
	return r
}

func checkHelpers(_ context.Context, f *facts) Result {
	var r Result
	file := func(variable, name string) string {
		if path := f.Getenv(variable); path != "" {
			return path
		}
		return filepath.Join(f.home(), ".aws", name)
	}
	if f.home() == "" && f.Getenv("AWS_CONFIG_FILE") == "" {
		return found(OK, "", "no home directory in the environment to look in")
	}
	path := file("AWS_CONFIG_FILE", "config")
	for _, e := range iniValues(path, "credential_process") {
		command := firstWord(e.value)
		if strings.Contains(filepath.Base(command), "aws_signing_helper") {
			r.add(Note, fmt.Sprintf("[%s] in %s runs aws_signing_helper", e.section, path), "eks-x509 config aws makes a profile that runs us")
		}
		if _, err := f.LookPath(command); err != nil && command != "" {
			r.add(Warning, fmt.Sprintf("[%s] in %s runs %q, which is not there", e.section, path, command), "mend or remove that profile")
		}
	}
	credentials := file("AWS_SHARED_CREDENTIALS_FILE", "credentials")
	for _, e := range iniValues(credentials, "aws_session_token") {
		r.add(Note, fmt.Sprintf("[%s] in %s holds the keys of a session, which end, and which AWS's tools prefer to a credential_process of that name", e.section, credentials),
			"remove that section if nothing renews it")
	}
	if dir := filepath.Join(f.home(), ".kube", "cache", "aws-iam-authenticator"); f.home() != "" && !missing(dir) {
		r.add(Note, dir+" holds sessions that aws-iam-authenticator kept", "remove it if you no longer use that")
	}
	if r.Found == "" {
		return found(OK, "", "nothing left by another helper")
	}
	return r
}

type iniValue struct{ section, value string }

// iniValues are the values of a key in each section of an AWS file. One that
// can't be read has none.
func iniValues(path, key string) []iniValue {
	data, err := readSmall(path)
	if err != nil {
		return nil
	}
	var all []iniValue
	section := ""
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if name, ok := strings.CutPrefix(line, "["); ok {
			section, _, _ = strings.Cut(name, "]")
			continue
		}
		if name, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(name) == key && !slices.Contains(all, iniValue{section, value}) {
			all = append(all, iniValue{section, strings.TrimSpace(value)})
		}
	}
	return all
}

// firstWord of a command line, which may be in double quotes.
func firstWord(s string) string {
	if rest, quoted := strings.CutPrefix(s, `"`); quoted {
		word, _, _ := strings.Cut(rest, `"`)
		return word
	}
	word, _, _ := strings.Cut(s, " ")
	return word
}
