package sandbox

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxBody        = 64 << 10
	maxControlBody = 4 << 20
)

// realm is the name under which a connection reached the sandbox.
type realm struct {
	hosts    []string  // what the Host header may say
	endpoint *endpoint // nil at the loopback name
	aws      bool
}

func newRealm(hosts ...string) *realm {
	at := &realm{hosts: hosts}
	name, _, err := net.SplitHostPort(hosts[0])
	if err != nil {
		name = hosts[0]
	}
	if at.aws = underAWS(name); at.aws {
		if e, ok := parseHost(name); ok {
			at.endpoint = &e
		}
	}
	return at
}

// call is one request on its way to an answer.
type call struct {
	s          *Sandbox
	wire       *wireRequest
	endpoint   *endpoint
	region     string
	world      *World
	now        time.Time
	delay      time.Duration
	lost       bool          // the answer never gets there
	ends       time.Duration // how long a session lasts, whatever was asked for; 0: as long as that
	id, remote string
	entry      *Entry
	// toKubernetes is set below a cluster's address, where errors have another form.
	toKubernetes bool
}

// response is an answer not yet written.
type response struct {
	status                             int
	contentType, errorType, retryAfter string
	body                               []byte
	silent                             string // hang or drop: no answer
}

// serve answers one request and records it.
func (s *Sandbox) serve(w http.ResponseWriter, r *http.Request, at *realm) {
	if !at.aws && strings.HasPrefix(r.URL.Path, "/-/") {
		s.control(w, r, at)
		return
	}
	c := s.newCall(r, at)
	out := c.read(w, r, at)
	if out == nil {
		operation, answer := c.route(at)
		c.entry.Operation = operation
		if out = c.misbehave(s.takeFaults(operation)); out == nil {
			if out = answer(); c.lost {
				out.silent = "hang"
			}
		}
	}
	c.entry.Status = out.status
	s.record(*c.entry)
	c.write(w, r, out)
}

func (s *Sandbox) newCall(r *http.Request, at *realm) *call {
	now := s.now()
	s.progress(now)
	s.mu.Lock()
	world := s.world // replaced, never changed
	s.mu.Unlock()
	c := &call{s: s, endpoint: at.endpoint, region: world.Region, world: world, now: now, id: newUUID()}
	if at.endpoint != nil {
		c.region = at.endpoint.region
	}
	c.remote, _, _ = net.SplitHostPort(r.RemoteAddr)
	c.entry = &Entry{
		Time: c.now.UTC(), Operation: "-", Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), UserAgent: r.UserAgent(), RequestID: c.id,
	}
	return c
}

// read takes the request in; a response means that it can't be taken further.
func (c *call) read(w http.ResponseWriter, r *http.Request, at *realm) *response {
	if len(r.RequestURI) > maxTarget {
		c.entry.Path = c.entry.Path[:min(len(c.entry.Path), maxTarget)]
		return c.restError(refuse(http.StatusRequestURITooLong, "RequestURITooLongException", "Request URI is too long", "path and query of more than %d bytes", maxTarget))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return c.restError(refuse(http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "Request is too large", "body of more than %d bytes", maxBody))
	}
	if err != nil {
		return c.restError(invalid("reading body: %v", err))
	}
	if !slices.Contains(at.hosts, r.Host) {
		return c.restError(refuse(http.StatusMisdirectedRequest, "MisdirectedRequestException", "Unexpected Host header", "Host %q at %q", r.Host, at.hosts[0]))
	}
	if c.wire, err = newWireRequest(r, body); err != nil {
		return c.restError(invalid("%v", err))
	}
	return nil
}

// route finds the operation: by host and path at the name of an endpoint, by path alone at the loopback name.
func (c *call) route(at *realm) (string, func() *response) {
	serves := func(service string) bool { return !at.aws || at.endpoint != nil && at.endpoint.service == service }
	target, operation := targetOf(c.wire)
	switch path := c.wire.path; {
	case path == "/sessions" && serves("rolesanywhere"):
		return "CreateSession", c.createSession
	case path == "/clusters" && serves("eks"):
		return "ListClusters", c.eks
	case strings.HasPrefix(path, "/clusters/") && strings.Count(path, "/") == 2 && serves("eks"):
		return "DescribeCluster", c.eks
	case strings.HasPrefix(path, kubernetesPrefix) && !at.aws:
		return c.kubernetes()
	case path == "/authenticate" && !at.aws:
		return "TokenReview", c.authenticate
	case path == "/" && target != nil && serves(target.service):
		return operation, func() *response { return c.json11(target, operation) }
	case path == "/" && serves("cloudformation") && c.isCloudFormation(at):
		action, _, _ := stsAction(c.wire)
		return action, c.cloudformation
	case path == "/trustanchors" && serves("rolesanywhere"):
		return "ListTrustAnchors", c.listTrustAnchors
	case path == "/" && serves("sts"):
		if _, _, ok := stsAction(c.wire); ok || at.aws {
			return "GetCallerIdentity", c.getCallerIdentity
		}
	}
	return "-", func() *response { return c.restError(unknownOperation(c.wire)) }
}

// isCloudFormation tells by the version, where the host does not.
func (c *call) isCloudFormation(at *realm) bool {
	_, version, ok := stsAction(c.wire)
	return at.aws || ok && version == cfnVersion
}

// write sends the answer after the delay of a fault, or none at all.
func (c *call) write(w http.ResponseWriter, r *http.Request, out *response) {
	if c.delay > 0 {
		timer := time.NewTimer(c.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if out.silent == "hang" {
		<-r.Context().Done()
	}
	if out.silent != "" {
		panic(http.ErrAbortHandler) // net/http's way to close a connection without an answer
	}
	h := w.Header()
	h.Set("Date", c.now.UTC().Format(http.TimeFormat))
	if c.toKubernetes {
		h.Set("Audit-Id", c.id)
	} else {
		h.Set("X-Amzn-Requestid", c.id)
	}
	h.Set("Content-Type", out.contentType)
	h.Set("Content-Length", strconv.Itoa(len(out.body)))
	if out.errorType != "" {
		h.Set("X-Amzn-Errortype", out.errorType)
	}
	if out.retryAfter != "" {
		h.Set("Retry-After", out.retryAfter)
	}
	w.WriteHeader(out.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(out.body) // the client has gone if this fails
	}
}
