package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func anEntry() *entry {
	return &entry{
		Key: aKey(), Leaf: aLeaf(), Issued: noon(),
		Session: &session{"ASIAEXAMPLE", "secret-access-key", "session-token", noon().Add(time.Hour), nil},
		Failure: &Failure{Until: noon().Add(5 * time.Second), Detail: json.RawMessage(`{"code":"AccessDenied"}`)},
	}
}

func encode(t testing.TB, e *entry) string {
	t.Helper()
	data, err := json.Marshal(e.file())
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestPrintedEntryShowsNoSecret(t *testing.T) {
	t.Parallel()
	e := anEntry()
	for _, v := range []any{e, *e, e.file(), e.Session, *e.Session, []session{*e.Session}, map[string]*session{"a": e.Session}, struct{ S session }{*e.Session}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			got := fmt.Sprintf(verb, v)
			for _, secret := range []string{e.Session.SecretAccessKey, e.Session.SessionToken, fmt.Sprintf("%x", e.Session.SecretAccessKey)} {
				if strings.Contains(got, secret) {
					t.Errorf("%s of %T: %s", verb, v, got)
				}
			}
		}
	}
	if got, want := fmt.Sprint(e.Session), `session "ASIAEXAMPLE" until 2026-11-24T13:00:00Z`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The form on disk is a contract with every version that is out there.
func TestFormOnDisk(t *testing.T) {
	t.Parallel()
	want := `{"version":2,"key":{"certificate":"c","roots":"system","trustAnchorArn":"t","profileArn":"p","roleArn":"r","region":"us-east-1","endpoint":"e",` +
		`"fips":false,"dualStack":false,"durationSeconds":3600,"roleSessionName":"n"},"leaf":"` + aLeaf() + `","issued":"2026-11-24T12:00:00Z",` +
		`"session":{"accessKeyId":"ASIAEXAMPLE","secretAccessKey":"secret-access-key","sessionToken":"session-token","expires":"2026-11-24T13:00:00Z"},` +
		`"failure":{"until":"2026-11-24T12:00:05Z","detail":{"code":"AccessDenied"}}}`
	if got := encode(t, anEntry()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	e, err := decode([]byte(want), noon())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(anEntry(), e); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, old, new, want string }{
		{"a version of the future", `"version":2`, `"version":3`, "unsupported version 3"},
		{"no version", `"version":2,`, ``, "unsupported version 0"},
		{"an unknown field", `"version":2`, `"version":2,"x":1`, "malformed"},
		{"an unknown field of the session", `"accessKeyId"`, `"x":1,"accessKeyId"`, "malformed"},
		{"a version that did not say who had signed", `"version":2`, `"version":1`, "unsupported version 1"},
		{"no certificate", `"leaf":"` + aLeaf() + `",`, ``, "malformed: no certificate"},
		{"a certificate that is none", `"leaf":"aa`, `"leaf":"AA`, "malformed: no certificate"},
		{"a truncated file", `"}}}`, `"`, "malformed"},
		{"something after it", `"}}}`, `"}}}{}`, "malformed: more than one value"},
		{"garbage after it", `"}}}`, `"}}}x`, "malformed: more than one value"},
		{"an incomplete session", `"session-token"`, `""`, "malformed: incomplete session"},
		{"a session that ended before it began", `T13:00:00Z"}`, `T12:00:00Z"}`, "malformed: a session of impossible length"},
		{"a session of 13 hours", `24T13:00:00Z"}`, `25T01:00:00Z"}`, "malformed: a session of impossible length"},
		{"a session without an end", `,"expires":"2026-11-24T13:00:00Z"`, ``, "malformed: a session of impossible length"},
		{"one made in the future", `"issued":"2026-11-24T12:00:00Z"`, `"issued":"2026-11-24T12:05:01Z"`, "made in the future"},
		{"a refusal that lasts too long", `T12:00:05Z`, `T12:01:01Z`, "malformed: a refusal remembered for too long"},
		{"a number that is too large", `3600`, `1e999`, "malformed"},
		{"a time that is none", `"2026-11-24T12:00:00Z"`, `"noon"`, "malformed"},
		{"a string for a number", `3600`, `"3600"`, "malformed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			good := encode(t, anEntry())
			bad := strings.Replace(good, row.old, row.new, 1)
			if bad == good {
				t.Fatal("nothing replaced")
			}
			if _, err := decode([]byte(bad), noon()); err == nil || err.Error() != row.want {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
	leaf := `{"version":2,"leaf":"` + aLeaf() + `"`
	for data, want := range map[string]string{
		"": "malformed", "null": "unsupported version 0", "[]": "malformed", "{}": "unsupported version 0", `"x"`: "malformed",
		`{"version":2}`: "malformed: no certificate", leaf + `}`: "malformed: empty", leaf + `,"session":null}`: "malformed: empty",
		leaf + `,"session":{}}`: "malformed: incomplete session",
		leaf + `,"failure":{}}`: "malformed: made before 1970",
	} {
		if _, err := decode([]byte(data), noon()); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", data, err, want)
		}
	}
}

var errSkip = errors.New("not here")

// What is not an entry of this key is as if absent, and replaced whole; what is
// not a file of ours is said once.
func TestBadFilesAreReplaced(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no modes and links")
	}
	for _, row := range []struct {
		name string
		make func(path string) error
		said string
	}{
		{"empty", func(p string) error { return os.WriteFile(p, nil, 0o600) }, ""},
		{"truncated", func(p string) error { return os.WriteFile(p, []byte(`{"version":2,"key":{"cert`), 0o600) }, ""},
		{"foreign JSON", func(p string) error { return os.WriteFile(p, []byte(`{"Credentials":{}}`), 0o600) }, ""},
		{"binary", func(p string) error { return os.WriteFile(p, []byte{0, 1, 0xff, 0xfe}, 0o600) }, ""},
		{"huge", func(p string) error { return os.WriteFile(p, make([]byte, 10<<20), 0o600) }, "larger than 65536 bytes"},
		{"another owner's", func(p string) error {
			if os.Geteuid() != 0 {
				return errSkip
			}
			return errors.Join(os.WriteFile(p, []byte(encode(t, anEntry())), 0o644), os.Chown(p, 1, 1))
		}, "owned by user 1, not by the current user (0)"},
		{"a symbolic link", func(p string) error { return os.Symlink(filepath.Join(filepath.Dir(p), "elsewhere"), p) }, "the kept session is not used: open "},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			elsewhere := filepath.Join(w.Dir, "elsewhere")
			if err := os.MkdirAll(w.Dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(elsewhere, []byte(encode(t, anEntry())), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := row.make(w.path(aKey(), ".json")); errors.Is(err, errSkip) {
				t.Skip("only root can give a file away")
			} else if err != nil {
				t.Fatal(err)
			}
			w.get(t, aKey())
			if row.said != "" {
				w.expect(t, row.said)
			}
			if got := w.get(t, aKey()); got != "ASIA1" || w.calls != 1 {
				t.Errorf("%s after %d calls", got, w.calls)
			}
			w.expect(t)
			if read(t, elsewhere) != encode(t, anEntry()) {
				t.Error("the link was followed")
			}
		})
	}
}

func TestAnotherKeysEntryIsNotServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := aKey()
	other.RoleARN = "another"
	w.get(t, other)
	if err := os.Rename(w.path(other, ".json"), w.path(aKey(), ".json")); err != nil {
		t.Fatal(err)
	}
	if got := w.get(t, aKey()); got != "ASIA2" {
		t.Errorf("got %s", got)
	}
	w.expect(t)
}

// A person whose cache can't be used has a session all the same, and one line.
func TestSessionIsDeliveredWithoutAPlace(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		make func(w *world) error
		said []string
	}{
		{"a file in the directory's place", func(w *world) error { return os.WriteFile(w.Dir, nil, 0o600) }, []string{"sessions are not kept: "}},
		{"a directory that can't be written", func(w *world) error {
			if os.Geteuid() == 0 || runtime.GOOS == "windows" {
				return errSkip
			}
			return os.Mkdir(w.Dir, 0o500)
		}, []string{"sessions are not kept: locking "}},
		{"a directory in the file's place", func(w *world) error { return os.MkdirAll(w.path(aKey(), ".json"), 0o700) },
			[]string{"the kept session is not used: ", "the session is not kept: "}},
		{"a directory in the lock's place", func(w *world) error { return os.MkdirAll(w.path(aKey(), ".lock"), 0o700) },
			[]string{"sessions are not kept: locking "}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if err := row.make(w); errors.Is(err, errSkip) {
				t.Skip("root can write everywhere")
			} else if err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				if got, want := w.get(t, aKey()), fmt.Sprintf("ASIA%d", i+1); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				w.expect(t, row.said...)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	good := encode(f, anEntry())
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(strings.Replace(good, `"version":2`, `"version":3`, 1))
	f.Add(strings.Replace(good, `"version":2`, `"version":2,"version":2,"VERSION":1`, 1))
	f.Add(strings.Replace(good, `"version":2`, `"version":2,"unknown":true`, 1))
	f.Add(strings.Replace(good, `3600`, `-9223372036854775808`, 1))
	f.Add(strings.Replace(good, `3600`, `1e400`, 1))
	f.Add(strings.Replace(good, `{"code":"AccessDenied"}`, `null`, 1))
	f.Add(strings.Replace(good, `{"code":"AccessDenied"}`, `"<\ud800\u0000&>"`, 1))
	f.Add(strings.Replace(good, `T12:00:00Z`, `T13:59:00.123456789+01:59`, 1))
	f.Add(`{"version":2,"issued":"0000-01-01T00:00:00+23:59","failure":{"until":"0000-01-01T00:00:00+23:59"}}`)
	f.Add(`{"version":2,"issued":"2026-11-24T12:00:00Z","failure":{}}`)
	f.Add(`{"Credentials":{"AccessKeyId":"ASIA","Expiration":"2026-11-24T13:00:00Z"}}`)
	f.Add(`null`)
	f.Add(`{"version":2,"key":null,"session":null,"failure":null}`)
	f.Fuzz(func(t *testing.T, data string) {
		e, err := decode([]byte(data), noon())
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r{") {
				t.Errorf("the error tells of the content: %v", err)
			}
			return
		}
		first := encode(t, e)
		again, err := decode([]byte(first), noon())
		if err != nil {
			t.Fatalf("%v: %s", err, first)
		}
		if second := encode(t, again); second != first {
			t.Errorf("got  %s\nwant %s", second, first)
		}
		if again.Key != e.Key || again.alive(noon()) != e.alive(noon()) || again.fresh(noon()) != e.fresh(noon()) {
			t.Errorf("decoded again it says something else: %s", first)
		}
	})
}

// The certificate in an entry is the one that the entry names, or the entry is not read.
func TestDecodeCertificate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for certificate, ok := range map[string]bool{"": true, "der": true, "another": false} {
		e := entry{Leaf: hash([]byte("der")), Issued: now, Session: &session{"ASIA", "secret", "token", now.Add(time.Hour), []byte(certificate)}}
		data, err := json.Marshal(e.file())
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(data, now)
		if (err == nil) != ok || ok && got.served().Certificate != certificate {
			t.Errorf("certificate %q: %v", certificate, err)
		}
	}
}
