package audit

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// What grows with a log is bounded: actions are sorted on disk; sessions, refused
// calls, and what is told of them, are in memory up to maxHeld.
const (
	// maxHeld is for all sessions, in bytes. It is enough for about 300,000.
	maxHeld = 512 << 20
	// sessionCost is that of a session besides its texts: itself, its places in the
	// index, its findings, and the certificate's line.
	sessionCost = 1536
	// seenCost is that of an event ID besides its text.
	seenCost = 64
	// maxText is how much of a text of a log is held, in bytes. The longest that
	// AWS and Kubernetes write, an ARN, a user agent or a path, is shorter.
	maxText = 4 << 10
	// maxRoles is how many roles of a certificate are told.
	maxRoles = 100
	// maxCompared is with how many sessions of an access key another is compared.
	maxCompared = 1000
	// maxCertificates is how many parsed certificates each worker remembers.
	maxCertificates = 10_000
)

// TooManyError: the sessions of the logs do not fit into maxHeld.
type TooManyError struct{ Bytes int64 }

func (e *TooManyError) Error() string {
	return fmt.Sprintf("the logs hold more sessions than fit into %d MiB of memory", e.Bytes>>20)
}

// held counts what is in memory. It may be used from many goroutines.
type held struct {
	limit int64
	taken atomic.Int64
}

func (h *held) take(n int) { h.taken.Add(int64(n)) }

// err is an error once more was taken than there is.
func (h *held) err() error {
	if h.taken.Load() > h.limit {
		return &TooManyError{h.limit}
	}
	return nil
}

// cost is about what s takes.
func (s *Session) cost() int {
	c := &s.Certificate
	return sessionCost + len(s.AccessKeyID) + len(s.AssumedRoleARN) + len(s.RoleARN) + len(s.Name) + len(s.SourceIdentity) + len(s.Parent) + len(s.TrustAnchorARN) +
		len(s.ProfileARN) + len(s.SourceIP) + len(s.UserAgent) + len(s.Region) + len(s.EventID) + len(c.Subject) + len(c.Issuer) + len(c.Serial)
}

// cut is the beginning of what is longer than maxText, whole characters of it.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}
