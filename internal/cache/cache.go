// Package cache shares sessions between processes: one file for each session,
// in a directory of the user's own, and a lock that is held across the call
// that makes a session, so that many processes at once make one call.
//
// A refusal is remembered for a few seconds in the same way, for callers such as
// kubectl that run a failing plugin five times.
//
// The secrets lie in the file as they are, mode 0600: whoever can read the
// user's files can read the private key, too. It knows nothing of AWS but that
// credentials end.
package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

const (
	// lockTimeout is how long a process waits for another's call. kubectl gives
	// up on an API call after 32 s, an SDK on a credential_process after 60.
	lockTimeout = 20 * time.Second
	// noticeAfter is when a waiting process says so.
	noticeAfter = 2 * time.Second
)

// Key is everything that changes the credential. Each field counts.
type Key struct {
	// Certificate is the SHA-256 of the certificate in hex, or what stands for
	// certificate and key where the files hold several or are encrypted.
	Certificate     string `json:"certificate"`
	Roots           string `json:"roots"` // whom the client trusts to be AWS
	TrustAnchorARN  string `json:"trustAnchorArn"`
	ProfileARN      string `json:"profileArn"`
	RoleARN         string `json:"roleArn"`
	Region          string `json:"region"`
	Endpoint        string `json:"endpoint"`
	FIPS            bool   `json:"fips"`
	DualStack       bool   `json:"dualStack"`
	DurationSeconds int    `json:"durationSeconds"`
	RoleSessionName string `json:"roleSessionName"`
}

// id names the files of a key: the hash of its one JSON form.
func (k Key) id() string {
	data, err := json.Marshal(k)
	if err != nil {
		panic("cache: internal error: " + err.Error()) // strings, bools and an int
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Cache is a directory of sessions.
type Cache struct {
	Dir string
	Now func() time.Time
	// Warn takes a line for the person about what could not be kept; Notice one
	// that must be said at once.
	Warn, Notice func(string)
	// Asker is the pid of the kubectl that runs us, 0 if none does: one that
	// asks again and again for the same session has had its token refused.
	Asker int
}

// Session is credentials, and the SHA-256 in hex of the certificate that signed
// for them.
type Session struct {
	aws.Credentials
	Leaf string
	// Certificate is that certificate in DER, or "".
	Certificate string
}

// Fetch makes a session. If it fails, Failure is what to remember of it, nil for
// nothing, and Session.Leaf the certificate that was refused, if it came so far.
type Fetch func(context.Context) (Session, *Failure, error)

// ErrOtherIdentity says that the files are another identity's by now, for whom
// the key is another one: nothing is kept, and the caller starts over.
var ErrOtherIdentity = errors.New("certificate and key are being replaced")

// Failure is a refusal worth remembering.
type Failure struct {
	Until  time.Time       `json:"until"`
	Detail json.RawMessage `json:"detail"` // for the caller to make the error of again
}

// RememberedError says that the answer was a refusal a moment ago. The call was
// not made again.
type RememberedError struct{ Failure Failure }

func (e *RememberedError) Error() string {
	return "refused a moment ago; not asked again before " + e.Failure.Until.UTC().Format(time.RFC3339)
}

// Get returns the session of key: the one that is kept, or a new one by fetch,
// whose error it returns. What goes wrong with the files is a warning: the
// session is delivered all the same.
//
// leaves are the certificates that may have signed for it, as SHA-256 in hex; nil
// if the caller can't tell without the key. A session of another certificate is
// neither served nor kept.
func (c *Cache) Get(ctx context.Context, key Key, leaves []string, fetch Fetch) (Session, error) {
	dir, err := safefile.OwnDir(c.Dir)
	if err != nil {
		c.Warn(fmt.Sprintf("sessions are not kept: %v", err))
		made, _, err := fetch(ctx)
		return made, err
	}
	path := filepath.Join(dir, key.id())
	renew := c.Asker != 0 && c.refusedByCluster(path)
	kept, _ := c.read(path, key, leaves) // once more under the lock, where a bad file is told
	if done, session, err := c.serve(kept, renew); done {
		return session, err
	}

	unlock, alone := c.lock(ctx, path)
	defer unlock()
	if err := ctx.Err(); err != nil {
		return Session{}, err
	}
	// Another process may have made it while we waited.
	kept, err = c.read(path, key, leaves)
	if err != nil {
		c.Warn(fmt.Sprintf("the kept session is not used: %v", err))
	}
	if done, session, err := c.serve(kept, renew); done {
		return session, err
	}
	issued := c.Now()
	made, failure, err := fetch(ctx)
	if err == nil && !admits(leaves, made.Leaf) {
		err = ErrOtherIdentity
	}
	e := &entry{Key: key, Leaf: made.Leaf, Issued: issued}
	if err != nil {
		e.Failure = failure
		return c.fetchFailed(ctx, path, e, kept, err, alone)
	}
	if e.Session = newSession(made); !alone {
		c.write(path, e)
	}
	return made, nil
}

// admits says whether a certificate is among those that a caller has in hand.
func admits(leaves []string, leaf string) bool {
	return isHash(leaf) && (leaves == nil || slices.Contains(leaves, leaf))
}

// serve decides what an entry answers: fresh credentials, a refusal that is not
// over, or nothing. renew: a cluster refuses the session, which is served only
// if it is young.
func (c *Cache) serve(e *entry, renew bool) (done bool, session Session, err error) {
	if e == nil {
		return false, Session{}, nil
	}
	now := c.Now().Round(0) // wall clocks: the monotonic one stops in suspend
	if e.Failure != nil && now.Before(e.Failure.Until) {
		if e.alive(now) {
			return true, e.served(), nil
		}
		return true, Session{}, &RememberedError{*e.Failure}
	}
	if e.fresh(now) && (!renew || e.young(now)) {
		return true, e.served(), nil
	}
	return false, Session{}, nil
}

// fetchFailed keeps a session that still lives, and remembers the refusal. Both
// are of one certificate, or the session is not served.
func (c *Cache) fetchFailed(ctx context.Context, path string, e, kept *entry, err error, alone bool) (Session, error) {
	if ctx.Err() != nil || errors.Is(err, ErrOtherIdentity) { // it was broken off, not refused
		return Session{}, err
	}
	alive := kept != nil && kept.alive(c.Now().Round(0)) && (e.Leaf == "" || e.Leaf == kept.Leaf)
	e.Issued = c.Now()
	if alive {
		e.Leaf, e.Issued, e.Session = kept.Leaf, kept.Issued, kept.Session
	}
	if e.Failure != nil && isHash(e.Leaf) && !alone {
		c.write(path, e)
	}
	if alive {
		c.Warn(fmt.Sprintf("the session could not be renewed and goes on until %s: %v", kept.Session.Expires.UTC().Format(time.RFC3339), err))
		return e.served(), nil
	}
	return Session{}, err
}

// lock waits for the lock of path. alone: there is none to be had, and what is
// made must not be written.
func (c *Cache) lock(ctx context.Context, path string) (unlock func(), alone bool) {
	nothing := func() {}
	lockPath := path + ".lock"
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	soon, cancelSoon := context.WithTimeout(ctx, noticeAfter)
	defer cancelSoon()
	l, err := safefile.WaitLock(soon, lockPath)
	if errors.Is(err, context.DeadlineExceeded) {
		holder := "another process"
		if pid := safefile.LockHolder(lockPath); pid != 0 {
			holder = fmt.Sprintf("process %d", pid)
		}
		c.Notice(fmt.Sprintf("waiting for %s, which is making this session", holder))
		l, err = safefile.WaitLock(ctx, lockPath)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		c.Warn(fmt.Sprintf("the process that is making this session has not done so in %s; this one is not kept", lockTimeout))
		return nothing, true
	case err != nil && ctx.Err() == nil:
		c.Warn(fmt.Sprintf("sessions are not kept: locking %q: %v", lockPath, err))
		return nothing, true
	case err != nil:
		return nothing, true
	}
	return func() { _ = l.Unlock() }, false
}

func (c *Cache) write(path string, e *entry) {
	data, err := json.Marshal(e.file())
	if err == nil {
		err = safefile.WriteSecret(path+".json", data)
	}
	if err != nil {
		c.Warn(fmt.Sprintf("the session is not kept: %v", err))
	}
}
