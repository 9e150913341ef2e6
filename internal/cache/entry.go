package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

const (
	// version 1 did not say who had signed.
	version = 2
	// maxSize is far over the longest session token (4 KiB today).
	maxSize = 64 << 10
	// refreshBefore and the tenth of its life: when a session is renewed though
	// it lives. The SDKs do so 5 minutes before the end.
	refreshBefore = 5 * time.Minute
	// maxLife of a session is 12 hours; an entry that claims more is not ours.
	maxLife = 12*time.Hour + refreshBefore
	// maxSkew is how far in the future an entry may have been made: beyond it
	// our clock has jumped back, and says nothing about what still lives.
	maxSkew = 5 * time.Minute
)

// entry is what is known for a key.
type entry struct {
	Key     Key
	Leaf    string // SHA-256 in hex of the certificate that signed, or was refused
	Issued  time.Time
	Session *session
	Failure *Failure
}

type session struct {
	AccessKeyID     string    `json:"accessKeyId"`
	SecretAccessKey string    `json:"secretAccessKey"`
	SessionToken    string    `json:"sessionToken"`
	Expires         time.Time `json:"expires"`
	// Certificate is the one that signed, in DER: it may be in a file that can't be read without a password. Empty: it was not kept.
	Certificate []byte `json:"certificate,omitempty"`
}

// Format shows nothing but who and until when.
func (s session) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "session %q until %s", s.AccessKeyID, s.Expires.UTC().Format(time.RFC3339))
}

func newSession(s Session) *session {
	return &session{s.AccessKeyID, s.SecretAccessKey, s.SessionToken, s.Expires, []byte(s.Certificate)}
}

func (e *entry) served() Session {
	s := e.Session
	return Session{aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey, SessionToken: s.SessionToken,
		Source: "cache", CanExpire: true, Expires: s.Expires}, e.Leaf, string(s.Certificate)}
}

func (e *entry) alive(now time.Time) bool { return e.Session != nil && now.Before(e.Session.Expires) }

// fresh: alive, and not yet due for renewal.
func (e *entry) fresh(now time.Time) bool {
	return e.Session != nil && e.Session.Expires.Sub(now) >= max(refreshBefore, e.Session.Expires.Sub(e.Issued)/10)
}

// young: made so lately that a refusal by a cluster is not the session's fault.
func (e *entry) young(now time.Time) bool { return e.Session != nil && now.Sub(e.Issued) < time.Minute }

// file is the form on disk.
type file struct {
	Version int       `json:"version"`
	Key     Key       `json:"key"`
	Leaf    string    `json:"leaf"`
	Issued  time.Time `json:"issued"`
	Session *session  `json:"session,omitempty"`
	Failure *Failure  `json:"failure,omitempty"`
}

func (e *entry) file() file {
	return file{version, e.Key, e.Leaf, e.Issued.Round(0).UTC(), e.Session, e.Failure}
}

// read returns the entry at path, nil for whatever is not one of that key and of
// one of these leaves: it is replaced. The error is that of a file that is there
// and can't be read.
func (c *Cache) read(path string, key Key, leaves []string) (*entry, error) {
	data, err := safefile.Read(path+".json", maxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e, err := decode(data, c.Now().Round(0))
	if err != nil || e.Key != key || !admits(leaves, e.Leaf) {
		return nil, nil
	}
	return e, nil
}

// decode reads an entry strictly. The errors say nothing of the content, which
// may hold secrets.
func decode(data []byte, now time.Time) (*entry, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var f file
	if err := d.Decode(&f); err != nil {
		return nil, errors.New("malformed")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("malformed: more than one value")
	}
	switch s := f.Session; {
	case f.Version != version:
		return nil, versionError(f.Version)
	case !isHash(f.Leaf):
		return nil, errors.New("malformed: no certificate")
	case s == nil && f.Failure == nil:
		return nil, errors.New("malformed: empty")
	case s != nil && (s.AccessKeyID == "" || s.SecretAccessKey == "" || s.SessionToken == ""):
		return nil, errors.New("malformed: incomplete session")
	case s != nil && (!f.Issued.Before(s.Expires) || s.Expires.Sub(f.Issued) > maxLife):
		return nil, errors.New("malformed: a session of impossible length")
	case s != nil && len(s.Certificate) > 0 && hash(s.Certificate) != f.Leaf:
		return nil, errors.New("malformed: no certificate")
	case f.Issued.Unix() < 0: // nor could a year before 0 be written again
		return nil, errors.New("malformed: made before 1970")
	case f.Issued.Sub(now) > maxSkew:
		return nil, errors.New("made in the future")
	case f.Failure != nil && f.Failure.Until.Sub(now) > time.Minute:
		return nil, errors.New("malformed: a refusal remembered for too long")
	}
	return &entry{f.Key, f.Leaf, f.Issued, f.Session, f.Failure}, nil
}

// versionError is an entry of another version of this program.
type versionError int

func (e versionError) Error() string { return fmt.Sprintf("unsupported version %d", int(e)) }

func hash(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// isHash says whether s is a SHA-256 in hex.
func isHash(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }
