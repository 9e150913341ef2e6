package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/eks-x509/eks-x509/internal/minica"
	"github.com/eks-x509/eks-x509/internal/sandbox"
)

func TestMain(m *testing.M) {
	program := os.Args[0] // testscript cuts it
	testscript.Main(m, map[string]func(){"eks-x509": func() {
		ctx, stop := WithSignals(context.Background())
		defer stop()
		env, end := spied(OS())
		env.Program = program
		code := Run(ctx, env)
		end()
		os.Exit(code)
	}})
}

// promptExit: with -race each process would sleep for a second before it ends,
// in the hope of races yet to come, and the tests start some four hundred.
// https://go.dev/doc/articles/race_detector#Options
const promptExit = "GORACE=atexit_sleep_ms=0"

// Every script runs the program as a process of its own against a sandbox of
// its own, whose environment is set.
func TestScripts(t *testing.T) {
	t.Parallel()
	var looked spiedCounts
	t.Cleanup(func() {
		if scripts := flag.Lookup("test.run").Value.String(); scripts == "" && (looked.runs.Load() < 500 || looked.secrets.Load() < 200) {
			t.Errorf("too little was looked at: %d runs for %d secrets", looked.runs.Load(), looked.secrets.Load())
		}
	})
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testdata/script",
		Setup:               func(env *testscript.Env) error { return startSandbox(env, &looked) },
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(name string) (bool, error) {
			if name != "mounts" { // of one's own, for a process
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return exec.Command("unshare", "-rm", "true").Run() == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    cmdExits,
			"cert":     cmdCert,
			"subca":    cmdSubCA,
			"faults":   cmdFaults,
			"requests": cmdRequests,
			"revoke":   cmdRevoke,
			"review":   cmdReview,
			"awaits":   cmdAwaits,
			"world":    cmdWorld,
			"unsetenv": cmdUnsetenv,
			"lines":    cmdLines,
			"capture":  cmdCapture,

			"interceptor": cmdInterceptor,
		},
	})
}

type sandboxKey struct{}

func startSandbox(env *testscript.Env, looked *spiedCounts) error {
	s, err := sandbox.New(sandbox.Options{Dir: filepath.Join(env.WorkDir, "sandbox")})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	env.Defer(func() { stop(); <-served })
	select {
	case err := <-served:
		return err
	case <-s.Ready():
	}
	env.Vars = append(append(env.Vars, promptExit), s.Environ()...)
	logs, err := filepath.Abs("../../testdata/logs")
	if err != nil {
		return err
	}
	env.Setenv("LOGS", logs)
	env.Setenv("HOME", env.WorkDir)
	for _, name := range []string{"EKS_X509_CONFIG", "KUBECONFIG", "AWS_CONFIG_FILE"} {
		env.Setenv(name, "") // the usual places, below HOME
	}
	env.Setenv("EKS_X509_CACHE_DIR", filepath.Join(env.WorkDir, "cache"))
	env.Setenv("EKS_X509_NO_CACHE", "true") // but for the scripts about it
	env.Setenv("SANDBOX_PROXY", strings.Replace(s.URL(), "https:", "http:", 1))
	env.Values[sandboxKey{}] = s
	return spy(env, s, looked)
}

func sandboxOf(ts *testscript.TestScript) *sandbox.Sandbox {
	return ts.Value(sandboxKey{}).(*sandbox.Sandbox)
}

// exits CODE COMMAND…: like exec, and the exit code is that.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG ...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// subca NAME ARN CN makes NAME.pem and NAME.key, a CA below one of AWS Private CA.
func cmdSubCA(ts *testscript.TestScript, _ bool, args []string) {
	for _, ca := range sandboxOf(ts).World().CertificateAuthorities {
		if ca.ARN != args[1] {
			continue
		}
		parent, err := minica.Parse([]byte(ca.Certificate), []byte(ca.Key))
		ts.Check(err)
		sub, err := parent.Issue(minica.CA(args[2]), nil)
		ts.Check(err)
		keyPEM, err := minica.KeyPEM(sub.Key)
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), minica.CertificatePEM(sub.Certificate), 0o600))
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), keyPEM, 0o600))
		return
	}
	ts.Fatalf("no such CA")
}

// cert NAME [key=KIND] [issuer=root|intermediate|other] [FAULT…] writes
// NAME.pem, NAME.key (PKCS#8) and NAME-chain.pem.
func cmdCert(ts *testscript.TestScript, _ bool, args []string) {
	authority := sandboxOf(ts).Authority()
	issuer := authority.Intermediate
	template := minica.Leaf(args[0])
	kind := "p256"
	now := time.Now()
	for _, option := range args[1:] {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "key":
			kind = value
		case "serial":
			template.Serial, _ = new(big.Int).SetString(value, 0)
		case "issuer":
			issuer = map[string]*minica.Pair{"root": authority.Root, "other": authority.TLS}[value]
		case "expired":
			template.NotBefore, template.NotAfter = now.Add(-72*time.Hour), now.Add(-48*time.Hour)
		case "future":
			template.NotBefore, template.NotAfter = now.Add(48*time.Hour), now.Add(72*time.Hour)
		case "short":
			template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.Add(3*time.Hour)
		case "ending":
			template.NotBefore, template.NotAfter = now.Add(-85*24*time.Hour), now.Add(5*24*time.Hour+time.Hour)
		case "ca":
			template.IsCA, template.KeyUsage = true, template.KeyUsage|x509.KeyUsageCertSign
		case "nosign":
			template.KeyUsage = x509.KeyUsageKeyEncipherment
		case "sha1":
			template.SignatureAlgorithm = x509.ECDSAWithSHA1
		case "v1":
			template.Version1 = true
		case "nosubject":
			template.Subject = pkix.Name{}
		default:
			ts.Fatalf("unknown option %q", option)
		}
	}
	key, err := minica.GenerateKey(kind)
	ts.Check(err)
	pair, err := issuer.Issue(template, key)
	ts.Check(err)
	keyPEM, err := minica.KeyPEM(pair.Key)
	ts.Check(err)
	for name, data := range map[string][]byte{
		".pem":       minica.CertificatePEM(pair.Certificate),
		".key":       keyPEM,
		"-chain.pem": minica.CertificatePEM(append([]*x509.Certificate{pair.Certificate}, pair.Chain...)...),
	} {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+name), data, 0o600))
	}
}

// faults [SPEC…] sets the sandbox's faults; none: it behaves.
func cmdFaults(ts *testscript.TestScript, _ bool, args []string) {
	var faults []sandbox.Fault
	for _, spec := range args {
		f, err := sandbox.ParseFault(spec)
		ts.Check(err)
		faults = append(faults, f)
	}
	sandboxOf(ts).SetFaults(faults)
}

// requests OPERATION N: so many requests of that operation were made so far.
func cmdRequests(ts *testscript.TestScript, _ bool, args []string) {
	n := 0
	var all []string
	for _, r := range sandboxOf(ts).Requests() {
		if r.Operation == args[0] {
			n++
			all = append(all, r.String())
		}
	}
	if strconv.Itoa(n) != args[1] {
		ts.Fatalf("%d requests of %s, want %s:\n%s", n, args[0], args[1], strings.Join(all, "\n"))
	}
}

// awaits OPERATION N: until so many such requests were hit by faults, as one that
// hangs is.
func cmdAwaits(ts *testscript.TestScript, _ bool, args []string) {
	began := time.Now()
	for hit := 0; strconv.Itoa(hit) != args[1]; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			ts.Fatalf("%d requests of %s were hit, want %s", hit, args[0], args[1])
		}
		hit = 0
		for _, r := range sandboxOf(ts).Requests() {
			if r.Operation == args[0] && len(r.Faults) > 0 {
				hit++
			}
		}
	}
}

// revoke FILE puts the first certificate of FILE on the CRL.
func cmdRevoke(ts *testscript.TestScript, _ bool, args []string) {
	pair, err := minica.Parse([]byte(ts.ReadFile(args[0]+".pem")), []byte(ts.ReadFile(args[0]+".key")))
	ts.Check(err)
	ts.Check(sandboxOf(ts).Revoke(pair.Certificate.SerialNumber))
}

// world PATTERN REPLACEMENT edits world.json, in one place, as somebody in the
// account would.
func cmdWorld(ts *testscript.TestScript, _ bool, args []string) {
	s := sandboxOf(ts)
	text, err := json.MarshalIndent(s.World(), "", " ")
	ts.Check(err)
	pattern := regexp.MustCompile("(?s)" + args[0])
	if n := len(pattern.FindAll(text, -1)); n != 1 {
		ts.Fatalf("%d places with %q in:\n%s", n, args[0], text)
	}
	w, err := sandbox.ParseWorld(pattern.ReplaceAll(text, []byte(args[1])))
	ts.Check(err)
	ts.Check(s.SetWorld(w))
}

// review FILE [CLUSTER] asks the cluster's webhook about the token, or the
// ExecCredential, in FILE ("stdout": the last output) and writes its answer to
// review.json.
func cmdReview(ts *testscript.TestScript, neg bool, args []string) {
	token, err := readToken(strings.NewReader(ts.ReadFile(args[0])), nil)
	ts.Check(err)
	s := sandboxOf(ts)
	address := s.URL() + "/authenticate"
	if len(args) > 1 {
		address += "?cluster=" + args[1]
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": map[string]string{"token": token}})
	ts.Check(err)
	roots := x509.NewCertPool()
	roots.AddCert(s.Authority().TLS.Certificate)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	response, err := client.Post(address, "application/json", bytes.NewReader(body))
	ts.Check(err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("review.json"), answer, 0o600))
	if accepted := response.StatusCode == http.StatusOK; accepted == neg {
		ts.Fatalf("HTTP %d: %s", response.StatusCode, answer)
	}
}

func cmdUnsetenv(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		ts.Setenv(name, "")
	}
}

// capture NAME PATTERN: the first group of the pattern, of the last stdout.
func cmdCapture(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) != 2 {
		ts.Fatalf("no %q in stdout", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// lines FILE N: the file has so many lines.
func cmdLines(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if n := strings.Count(text, "\n"); strconv.Itoa(n) != args[1] {
		ts.Fatalf("%d lines in %s, want %s:\n%s", n, args[0], args[1], text)
	}
}
