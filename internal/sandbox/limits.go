package sandbox

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

// What a client can make grow without credentials is bounded: any process of the machine reaches the port.
const (
	maxConnections = 512
	maxMinted      = 256      // server certificates that are kept, of the names that CONNECT gave
	maxSessions    = 10000    // besides the administrator's
	maxKept        = 10000    // entries of what GET /-/requests, /-/events and the queries hold
	maxKeptBytes   = 32 << 20 // the same, as they stand in the files
	maxFile        = 1 << 30  // of requests.jsonl, cloudtrail.jsonl and audit.jsonl
	maxTarget      = 8 << 10  // of a request: path and query
)

// history holds the latest of a kind.
type history[T any] struct {
	items []T
	sizes []int
	bytes int
}

func (h *history[T]) add(one T, size int) {
	h.items, h.sizes, h.bytes = append(h.items, one), append(h.sizes, size), h.bytes+size
	for len(h.items) > maxKept || h.bytes > maxKeptBytes && len(h.items) > 1 {
		var none T
		h.items[0], h.bytes = none, h.bytes-h.sizes[0]
		h.items, h.sizes = h.items[1:], h.sizes[1:]
	}
}

var errFull = errors.New("the file is full: nothing more is written to it")

// appendTo appends a line, and leaves out what would make the file too large.
func appendTo(path string, line []byte) error {
	if info, err := os.Lstat(path); err == nil && info.Size()+int64(len(line)) > maxFile {
		return errFull
	}
	return safefile.Append(path, line)
}

// isHostName: RFC 1123 §2.1.
func isHostName(host string) bool {
	if len(host) == 0 || len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
			return false
		}
	}
	return true
}

// limited is a listener with at most so many connections open; others wait to be accepted.
type limited struct {
	net.Listener
	slots chan struct{}
	done  <-chan struct{}
}

type limitedConn struct {
	net.Conn
	release func()
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	released := make(chan struct{}, 1)
	released <- struct{}{}
	return &limitedConn{c, func() {
		select {
		case <-released:
			<-l.slots
		default: // closed before
		}
	}}, nil
}

func (c *limitedConn) Close() error {
	c.release()
	return c.Conn.Close()
}

// keepCertificate drops the oldest where there are too many. The loopback name's stays.
func (m *minter) keepCertificate(name string, c *tls.Certificate) {
	if len(m.order) >= maxMinted {
		delete(m.minted, m.order[0])
		m.order = m.order[1:]
	}
	if name != loopbackName {
		m.order = append(m.order, name)
	}
	m.minted[name] = c
}

// dropSessions makes room for one: what ended a day ago goes, and if that is not enough, what ends first. Those that ended are kept for
// a while, to be refused as expired and not as unknown.
func (s *Sandbox) dropSessions(now time.Time) {
	first := ""
	for id, old := range s.sessions {
		switch {
		case now.Sub(old.expires) > 24*time.Hour:
			delete(s.sessions, id)
		case old != s.administrator && (first == "" || old.expires.Before(s.sessions[first].expires)):
			first = id
		}
	}
	if len(s.sessions) > maxSessions {
		delete(s.sessions, first)
	}
}
