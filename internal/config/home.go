package config

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
)

// ExpandHome makes a ~ at the beginning of a path the home directory. A shell does so
// only for a word that begins with it: not in --flag=~/x, in a variable, in a file or in
// the command lines that the AWS SDKs run. No other user's home is looked up. The path is
// in no error: it may be a password in the place of its file.
func ExpandHome(path string, getenv func(string) string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok {
		return path, nil
	}
	if rest != "" && rest[0] != '/' && (runtime.GOOS != "windows" || rest[0] != '\\') {
		return "", errors.New("of those that begin with ~ only ~/ is the home directory (write ./~… for a file of this name)")
	}
	home := homeDir(getenv)
	if home == "" {
		return "", errors.New("it begins with ~, and there is no home directory in the environment")
	}
	return filepath.Join(home, filepath.FromSlash(rest)), nil
}

func homeDir(getenv func(string) string) string {
	if runtime.GOOS == "windows" {
		return getenv("USERPROFILE")
	}
	return getenv("HOME")
}

// expand is ExpandHome for a setting's value; what can't be expanded stays, and
// checkHome says so.
func (s source) expand(value string) string {
	if path, err := ExpandHome(value, s.getenv); err == nil {
		return path
	}
	return value
}

// checkHome refuses a path with a ~ that is not the home directory, wherever it was set.
func (s source) checkHome() error {
	for _, setting := range Settings() {
		if !setting.IsPath() {
			continue
		}
		value, where := s.lookup(setting.Name)
		if _, err := ExpandHome(value, s.getenv); err != nil {
			return invalid(where, "%w", err)
		}
	}
	_, err := s.caBundle()
	return err
}

// caBundle is the file of AWS_CA_BUNDLE.
func (s source) caBundle() (string, error) {
	path, err := ExpandHome(s.getenv("AWS_CA_BUNDLE"), s.getenv)
	if err != nil {
		return "", invalid("AWS_CA_BUNDLE", "%w", err)
	}
	return path, nil
}

// AWSConfigFile is the path of the AWS config file, as the AWS CLI finds it.
func AWSConfigFile(getenv func(string) string) (string, error) {
	return awsFile(getenv, "AWS_CONFIG_FILE", "~/.aws/config")
}

// AWSCredentialsFile is that of the credentials file.
func AWSCredentialsFile(getenv func(string) string) (string, error) {
	return awsFile(getenv, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
}

func awsFile(getenv func(string) string, variable, usual string) (string, error) {
	path := getenv(variable)
	if path == "" {
		path = usual
	}
	path, err := ExpandHome(path, getenv)
	if err != nil {
		return "", invalid(variable, "%w", err)
	}
	return path, nil
}
