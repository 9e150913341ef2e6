package format

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/google/go-cmp/cmp"
)

// TestMain lets the test binary be what the far side runs: a credential
// process for the AWS SDK, an exec plugin for client-go.
func TestMain(m *testing.M) {
	var err error
	switch os.Getenv("EKS_X509_TEST_AS") {
	case "credential_process":
		err = CredentialProcess(os.Stdout, session())
	case "exec plugin":
		var version string
		if version, err = ParseExecInfo(os.Getenv("KUBERNETES_EXEC_INFO")); err == nil {
			err = ExecCredential(os.Stdout, version, "k8s-aws-v1.aHR0cHM6Ly9zdHM", time.Now().Add(time.Minute))
		}
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func session() Credentials {
	return Credentials{
		AccessKeyID:     "ASIAIOSFODNN7EXAMPLE",
		SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		SessionToken:    "FwoGZXIvYXdzEBYaD+example/token==",
		Expires:         time.Date(2096, 11, 23, 23, 0, 59, 999_000_000, time.FixedZone("", 3600)),
	}
}

// failingWriter counts the writes, and refuses them.
type failingWriter struct{ writes int }

func (w *failingWriter) Write([]byte) (int, error) {
	w.writes++
	return 0, errors.New("pipe closed")
}

func TestCredentialProcess(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := CredentialProcess(&b, session()); err != nil {
		t.Fatal(err)
	}
	want := `{"Version":1,"AccessKeyId":"ASIAIOSFODNN7EXAMPLE","SecretAccessKey":"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",` +
		`"SessionToken":"FwoGZXIvYXdzEBYaD+example/token==","Expiration":"2096-11-23T22:00:59Z"}` + "\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestCredentialProcessIsReadByTheSDK(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	provider := processcreds.NewProviderCommand(processcreds.NewCommandBuilderFunc(
		func(ctx context.Context) (*exec.Cmd, error) {
			cmd := exec.CommandContext(ctx, exe)
			cmd.Env = append(os.Environ(), "EKS_X509_TEST_AS=credential_process")
			return cmd, nil
		}))
	got, err := provider.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := aws.Credentials{
		AccessKeyID:     session().AccessKeyID,
		SecretAccessKey: session().SecretAccessKey,
		SessionToken:    session().SessionToken,
		Source:          processcreds.ProviderName,
		CanExpire:       true,
		Expires:         time.Date(2096, 11, 23, 22, 0, 59, 0, time.UTC),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCredentialProcessWritesNothingWhen(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*Credentials)
		want   string
	}{
		{"the access key id is empty", func(c *Credentials) { c.AccessKeyID = "" }, "writing credentials: invalid access key id: empty"},
		{"the secret is empty", func(c *Credentials) { c.SecretAccessKey = "" }, "writing credentials: invalid secret access key: empty"},
		{"the session token is empty", func(c *Credentials) { c.SessionToken = "" }, "writing credentials: invalid session token: empty"},
		{"the session token is not text", func(c *Credentials) { c.SessionToken = "a\xff" }, "writing credentials: invalid session token: not UTF-8"},
		{"the expiry is missing", func(c *Credentials) { c.Expires = time.Time{} }, "writing credentials: no expiry found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := session()
			tc.change(&c)
			var b bytes.Buffer
			err := CredentialProcess(&b, c)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got error %v, want %q", err, tc.want)
			}
			if b.Len() > 0 {
				t.Errorf("wrote %q", b.String())
			}
		})
	}
}

func TestEveryWriterWritesOnce(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(w *failingWriter) error{
		"CredentialProcess": func(w *failingWriter) error { return CredentialProcess(w, session()) },
		"ExecCredential":    func(w *failingWriter) error { return ExecCredential(w, ExecV1, "t", session().Expires) },
		"Export":            func(w *failingWriter) error { return Export(w, Sh, []Var{{"A", "1"}, {"B", "2"}}) },
		"Unset":             func(w *failingWriter) error { return Unset(w, JSON, []string{"A", "B"}) },
	} {
		var w failingWriter
		if err := write(&w); err == nil || err.Error() != "pipe closed" || w.writes != 1 {
			t.Errorf("%s: got error %v after %d writes, want the writer's after 1", name, err, w.writes)
		}
	}
}

func TestCredentialsHideSecrets(t *testing.T) {
	t.Parallel()
	c := session()
	var shown []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown = append(shown, fmt.Sprintf(verb, c), fmt.Sprintf(verb, &c), fmt.Sprintf(verb, struct{ C Credentials }{c}))
	}
	asJSON, err := json.Marshal(map[string]any{"c": c, "p": &c})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append(shown, string(asJSON), c.String()) {
		if strings.Contains(s, c.SecretAccessKey) || strings.Contains(s, c.SessionToken) || !strings.Contains(s, c.AccessKeyID) {
			t.Errorf("got %s, want the access key id and no secret", s)
		}
	}
}
