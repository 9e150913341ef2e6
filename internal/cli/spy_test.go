package cli

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/safetext"
	"github.com/eks-x509/eks-x509/internal/sandbox"
)

// spyVariable names the folder where each run of the program that a script makes
// leaves what it wrote.
const spyVariable = "TEST_SPY"

// spiedRun is one of them.
type spiedRun struct {
	Args           []string
	Passwords      []string // that it was given
	Stdout, Stderr string
}

// gives says whether its stdout is credentials, which were asked for.
func (r spiedRun) gives() bool {
	if slices.Contains(r.Args, "exec") || slices.Contains(r.Args, "--for") { // the child's
		return true
	}
	return len(r.Args) > 0 && slices.Contains([]string{"credential-process", "token", "env"}, r.Args[0]) && !slices.Contains(r.Args, "inspect")
}

// spied copies what a run writes, but to a terminal, and to a child.
func spied(env Env) (Env, func()) {
	dir := os.Getenv(spyVariable)
	if dir == "" || slices.Contains(env.Args, "exec") || slices.Contains(env.Args, "--for") {
		return env, func() {}
	}
	// Now, since a run that confines itself could open no file later; one that is killed leaves it empty.
	report, err := os.Create(filepath.Join(dir, strconv.Itoa(os.Getpid())+"-"+strconv.FormatInt(time.Now().UnixNano(), 36)))
	if err != nil {
		panic(err)
	}
	var stdout, stderr stream
	env.Stdout, env.Stderr = io.MultiWriter(env.Stdout, &stdout), io.MultiWriter(env.Stderr, &stderr)
	run := spiedRun{Args: env.Args}
	for _, name := range config.SecretVariables() {
		run.Passwords = append(run.Passwords, env.Getenv(name))
	}
	for i, arg := range env.Args {
		if value, ok := strings.CutPrefix(arg, "--pkcs8-password="); ok {
			run.Passwords = append(run.Passwords, value)
		} else if arg == "--pkcs8-password" && i+1 < len(env.Args) {
			run.Passwords = append(run.Passwords, env.Args[i+1])
		}
	}
	return env, func() {
		run.Stdout, run.Stderr = stdout.String(), stderr.String()
		data, err := json.Marshal(run)
		if err == nil {
			_, err = report.Write(data)
		}
		if err != nil {
			panic(err)
		}
	}
}

// spiedCounts are of all scripts: a test that looks at nothing finds nothing.
type spiedCounts struct{ runs, secrets atomic.Int64 }

// spy looks, when a script has ended, for secrets in all that its runs wrote: the
// secret keys and tokens of all sessions, passwords and private keys. Not in stdout
// where that is what was asked for.
func spy(env *testscript.Env, s *sandbox.Sandbox, counts *spiedCounts) error {
	dir := filepath.Join(env.WorkDir, ".spy")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	env.Setenv(spyVariable, dir)
	t := env.T().(testing.TB)
	env.Defer(func() {
		runs, files := readSpied(t, dir), filesBelow(t, env.WorkDir)
		secrets := secretsOfScript(s, runs, files)
		for _, run := range runs {
			shown := run.Stderr
			if !run.gives() {
				shown += run.Stdout
			}
			for i, arg := range run.Args {
				if arg == "--bundle" && i+1 < len(run.Args) {
					shown += files[filepath.Base(run.Args[i+1])]
				}
			}
			for secret, what := range secrets {
				if strings.Contains(shown, secret) {
					t.Errorf("%q shows a %s: %s", run.Args, what, shown)
				}
			}
			if run.Stderr != safetext.Text(run.Stderr) {
				t.Errorf("%q writes what a terminal obeys: %q", run.Args, run.Stderr)
			}
		}
		for name, text := range files {
			if !slices.Contains([]string{"config", "config.yaml", "kubeconfig", "requests.jsonl", "cloudtrail.jsonl", "audit.jsonl"}, filepath.Base(name)) {
				continue
			}
			for secret, what := range secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%s holds a %s", name, what)
				}
			}
		}
		counts.runs.Add(int64(len(runs)))
		counts.secrets.Add(int64(len(secrets)))
	})
	return nil
}

// secretsOfScript are those of the sandbox's sessions, the passwords that were
// given, the tokens, and every private key.
func secretsOfScript(s *sandbox.Sandbox, runs []spiedRun, files map[string]string) map[string]string {
	secrets := map[string]string{}
	for _, secret := range s.Secrets() {
		secrets[secret] = "session's secret"
	}
	for _, run := range runs {
		for _, password := range run.Passwords {
			if len(password) >= 8 {
				secrets[password] = "password"
			}
		}
		if run.gives() {
			maps.Copy(secrets, secretsOf(run.Stdout))
		}
	}
	for _, text := range files {
		for rest := []byte(text); ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			if strings.Contains(block.Type, "PRIVATE KEY") && !strings.Contains(block.Type, "ENCRYPTED") {
				body := base64.StdEncoding.EncodeToString(block.Bytes)
				secrets[body[:min(64, len(body))]] = "private key" // its first line
				secrets[body[len(body)/2:]] = "private key"
			}
		}
	}
	delete(secrets, "")
	return secrets
}

func readSpied(t testing.TB, dir string) []spiedRun {
	var runs []spiedRun
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		var run spiedRun
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err == nil && len(data) == 0 {
			continue // killed
		}
		if err == nil {
			err = json.Unmarshal(data, &run)
		}
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, run)
	}
	return runs
}

// filesBelow are the small files of a script, by their names below its folder.
func filesBelow(t testing.TB, dir string) map[string]string {
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Base(filepath.Dir(path)) == ".spy" {
			return nil // the script may have made it unreadable
		}
		if info, err := d.Info(); err == nil && info.Size() < 1<<20 {
			if data, err := os.ReadFile(path); err == nil {
				name, _ := filepath.Rel(dir, path)
				files[name] = string(data)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
