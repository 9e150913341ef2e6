package repotest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What comes from npm comes by a hash of a lock file, and runs no script of its own.
func TestNPM(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"test/shells", "test/e2e/js"} {
		data, err := os.ReadFile(filepath.Join(root, dir, "package-lock.json"))
		if err != nil {
			t.Fatal(err)
		}
		packages := strings.Count(string(data), `"node_modules/`)
		if hashes := strings.Count(string(data), `"integrity": "sha512-`); packages == 0 || hashes != packages {
			t.Errorf("%s: %d packages, %d hashes", dir, packages, hashes)
		}
		if strings.Contains(string(data), `"resolved"`) || strings.Contains(string(data), `"hasInstallScript"`) {
			t.Errorf("%s: a package of a named registry, or with a script", dir)
		}
	}
	command := regexp.MustCompile(`npm"?,? "?(install|i|ci|add|exec)\b|\bnpx\b`)
	for _, name := range []string{".ci/run", "Makefile", "test/e2e/clients_test.go"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if found := command.FindString(line); found != "" && (!strings.HasSuffix(found, "ci") || !strings.Contains(line, "--ignore-scripts")) {
				t.Errorf("%s: %s", name, strings.TrimSpace(line))
			}
		}
	}
}
