package session

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eks-x509/eks-x509/internal/safetext"
)

// Watch wraps a transport: it logs a line for each attempt, and tells the person
// which host is waited for. Log and notice may be nil.
func Watch(next http.RoundTripper, log *zap.Logger, notice func(string)) http.RoundTripper {
	return &watched{next: next, log: log, notice: notice, told: map[string]time.Time{}}
}

const (
	// noticeAfter is when a person is told what is waited for.
	noticeAfter = 2 * time.Second
	// noticeAgain keeps the attempts of one call from saying it once more each.
	noticeAgain = 30 * time.Second
)

// watched logs what was asked of whom and what came of it, never a header or a
// body.
type watched struct {
	next   http.RoundTripper
	log    *zap.Logger
	notice func(string)

	mu   sync.Mutex
	told map[string]time.Time // by host
}

func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	stop := w.tellSoon(r.URL.Host)
	response, err := w.next.RoundTrip(r)
	if w.log != nil {
		fields := []zap.Field{zap.String("method", r.Method), zap.String("url", safetext.URL(r.URL.String())), zap.Duration("took", time.Since(start)), zap.Error(err)}
		if err == nil {
			fields = append(fields, zap.Int("status", response.StatusCode), zap.String("request_id", response.Header.Get("X-Amzn-Requestid")))
		}
		w.log.Debug("request", fields...)
	}
	if err != nil {
		stop()
		if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() && r.Context().Err() == nil {
			err = fmt.Errorf("%w after %s", err, time.Since(start).Round(time.Second/10)) // of connecting, or of the handshake
		}
		return nil, err
	}
	response.Body = &watchedBody{response.Body, stop}
	return response, nil
}

// tellSoon gives notice of the host unless stop is called before. After stop
// nothing is said.
func (w *watched) tellSoon(host string) (stop func()) {
	if w.notice == nil {
		return func() {}
	}
	said := make(chan struct{})
	timer := time.AfterFunc(noticeAfter, func() {
		defer close(said)
		w.mu.Lock()
		last, before := w.told[host]
		again := !before || time.Since(last) > noticeAgain
		if again {
			w.told[host] = time.Now()
		}
		w.mu.Unlock()
		if again {
			w.notice("waiting for " + host)
		}
	})
	return sync.OnceFunc(func() {
		if !timer.Stop() {
			<-said
		}
	})
}

// watchedBody is waited for until it is read or closed.
type watchedBody struct {
	io.ReadCloser
	stop func()
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.stop()
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.stop()
	return b.ReadCloser.Close()
}
