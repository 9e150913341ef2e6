package audit

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// What grows with a log is on disk: sessions, certificates, findings and actions.
// In memory is what they are joined by, up to maxHeld.
const (
	// maxHeld is for all sessions, in bytes. It is enough for about 11 million.
	maxHeld = 2 << 30
	// sessionCost is what of a session is in memory at most: first its row and its
	// place by access key, then its place in the index.
	sessionCost = 144
	// seenCost is that of an event ID.
	seenCost = 40
	// wantedCost is that of a serial number that is looked for.
	wantedCost = 80
	// unknownCost is that of a session that CloudTrail has no event for, and placeCost
	// that of any session's place on disk.
	unknownCost = 48
	placeCost   = 8
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

// cut is the beginning of what is longer than maxText, whole characters of it.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}
