package doctor

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/eks-x509/eks-x509/internal/awsfiles"
	"github.com/eks-x509/eks-x509/internal/config"
)

// awsFiles are the AWS config file and the credentials file; what can't be read holds
// nothing.
type awsFiles struct {
	configPath, credentialsPath string
	config, credentials         []byte
}

func (f *facts) awsFiles() awsFiles {
	var a awsFiles
	for _, file := range []struct {
		find func(func(string) string) (string, error)
		path *string
		data *[]byte
	}{{config.AWSConfigFile, &a.configPath, &a.config}, {config.AWSCredentialsFile, &a.credentialsPath, &a.credentials}} {
		path, err := file.find(f.Getenv)
		if err != nil {
			continue
		}
		*file.path = path
		*file.data, _ = readSmall(path)
	}
	return a
}

func runsUs(command string) bool { return strings.Contains(command, "eks-x509") }

// checkAWSProfiles looks at the profiles of the AWS tools whose credential_process is
// eks-x509.
func checkAWSProfiles(_ context.Context, f *facts) Result {
	files := f.awsFiles()
	var r Result
	var ours []string
	for _, p := range awsfiles.Processes(files.config) {
		if !runsUs(p.Command) {
			continue
		}
		ours = append(ours, fmt.Sprintf("%q", p.Profile))
		for _, rival := range awsfiles.Rivals(files.config, files.credentials, files.configPath, files.credentialsPath, p.Profile) {
			r.add(Warning, rival+", which AWS tools use instead of credential_process", "remove it, or choose another name: eks-x509 config aws --name NAME")
		}
		if awsfiles.HasBackslash(p.Command) {
			r.add(Warning, fmt.Sprintf(`credential_process of profile %q in %s has a "\", which AWS tools take for an escape character`, p.Profile, files.configPath),
				`write / in place of \ there, or double it`)
			continue
		}
		words := awsfiles.Words(p.Command)
		if _, err := f.LookPath(words[0]); err != nil {
			r.add(Warning, fmt.Sprintf("profile %q in %s runs %q, which is not there", p.Profile, files.configPath, words[0]),
				"eks-x509 config aws writes a new path")
		}
	}
	if len(ours) == 0 {
		return found(OK, "", "no profile of the AWS tools runs eks-x509")
	}
	if r.Found == "" {
		return found(OK, "", "profiles of the AWS tools: %s", strings.Join(ours, ", "))
	}
	return r
}

func checkHelpers(_ context.Context, f *facts) Result {
	var r Result
	files := f.awsFiles()
	for _, p := range awsfiles.Processes(files.config) {
		words := awsfiles.Words(p.Command)
		if runsUs(p.Command) || len(words) == 0 {
			continue
		}
		if strings.Contains(filepath.Base(words[0]), "aws_signing_helper") {
			r.add(Note, fmt.Sprintf("profile %q in %s runs aws_signing_helper", p.Profile, files.configPath), "eks-x509 config aws makes a profile that runs us")
		}
		if _, err := f.LookPath(words[0]); err != nil {
			r.add(Warning, fmt.Sprintf("profile %q in %s runs %q, which is not there", p.Profile, files.configPath, words[0]), "fix or remove that profile")
		}
	}
	for _, e := range iniValues(files.credentialsPath, "aws_session_token") {
		r.add(Note, fmt.Sprintf("[%s] in %s holds the keys of a session, which end, and which AWS's tools prefer to a credential_process of that name", e.section, files.credentialsPath),
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
