package sandbox

import (
	"bufio"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault makes the sandbox misbehave.
type Fault struct {
	Operation string // "*" is every one
	// Kind is throttle, status, slow, hang, lose, drop, malformed, html, empty, clock or, for CreateSession, ends.
	Kind  string
	Value string // throttle: Retry-After in seconds, may be empty; status: 4xx or 5xx; slow, clock, ends: a duration
	Count int    // how many requests are left to hit; 0 is all
	After int    // how many requests are still to pass before
}

var (
	faultPattern  = lazy(`^([A-Za-z]+|\*):([a-z]+)(?:=([^*@]+))?(?:\*([1-9][0-9]{0,8}))?(?:@([1-9][0-9]{0,8}))?$`)
	statusPattern = lazy(`^[45][0-9]{2}$`)
)

// operations are what a fault can hit; the last line is a cluster's API.
func operations() []string {
	return []string{
		"CreateSession", "GetCallerIdentity", "DescribeCluster", "ListClusters", "TokenReview", "*",
		"CreateChangeSet", "DescribeChangeSet", "ExecuteChangeSet", "DeleteChangeSet", "ListChangeSets", "DescribeStacks", "DescribeStackEvents",
		"DescribeStackResources", "DeleteStack", "ContinueUpdateRollback",
		"IssueCertificate", "GetCertificate", "DescribeCertificateAuthority", "UpdateCertificateAuthority", "DeleteCertificateAuthority", "ListTrustAnchors",
		"LookupEvents", "StartQuery", "GetQueryResults", "StopQuery", "StartQueryExecution", "GetQueryExecution", "StopQueryExecution",
		"Version", "ListNamespaces", "SelfSubjectReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview",
		"GetConfigMap", "CreateConfigMap", "UpdateConfigMap", "PatchConfigMap", "KubernetesAPI",
	}
}

// ParseFault reads OPERATION:KIND[=VALUE][*COUNT][@AFTER], as in CreateSession:status=503*2.
func ParseFault(spec string) (Fault, error) {
	m := faultPattern().FindStringSubmatch(spec)
	if m == nil {
		return Fault{}, fmt.Errorf("invalid fault %q (want OPERATION:KIND[=VALUE][*COUNT][@AFTER])", spec)
	}
	f := Fault{Operation: m[1], Kind: m[2], Value: m[3]}
	f.Count, _ = strconv.Atoi(m[4])
	f.After, _ = strconv.Atoi(m[5])
	if all := operations(); !slices.Contains(all, f.Operation) {
		return Fault{}, fmt.Errorf("invalid fault %q: unsupported operation %q (want one of %s)", spec, f.Operation, strings.Join(all, ", "))
	}
	ok := false
	switch f.Kind {
	case "throttle":
		ok = f.Value == "" || digits().MatchString(f.Value)
	case "status":
		ok = statusPattern().MatchString(f.Value)
	case "slow", "clock":
		d, err := time.ParseDuration(f.Value)
		ok = err == nil && (d >= 0 || f.Kind == "clock")
	case "ends":
		d, err := time.ParseDuration(f.Value)
		ok = err == nil && d > 0 && f.Operation == "CreateSession"
	case "hang", "lose", "drop", "malformed", "html", "empty":
		ok = f.Value == ""
	default:
		return Fault{}, fmt.Errorf("invalid fault %q: unsupported kind %q", spec, f.Kind)
	}
	if !ok {
		return Fault{}, fmt.Errorf("invalid fault %q: malformed value %q", spec, f.Value)
	}
	return f, nil
}

// ParseFaults reads one fault a line; empty lines are passed over.
func ParseFaults(text string) ([]Fault, error) {
	var faults []Fault
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if line := strings.TrimSpace(lines.Text()); line != "" {
			f, err := ParseFault(line)
			if err != nil {
				return nil, err
			}
			faults = append(faults, f)
		}
	}
	return faults, nil
}

func (f Fault) String() string {
	s := f.Operation + ":" + f.Kind
	if f.Value != "" {
		s += "=" + f.Value
	}
	if f.Count > 0 {
		s += "*" + strconv.Itoa(f.Count)
	}
	if f.After > 0 {
		s += "@" + strconv.Itoa(f.After)
	}
	return s
}

func (f Fault) duration() time.Duration {
	d, _ := time.ParseDuration(f.Value)
	return d
}

// takeFaults finds what hits a request: at most one fault that answers, after any number that change clock, speed or the session.
func (s *Sandbox) takeFaults(operation string) []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hit, left []Fault
	answered := false
	for _, f := range s.faults {
		changes := slices.Contains([]string{"slow", "clock", "ends", "lose"}, f.Kind)
		if f.Operation != "*" && f.Operation != operation || answered && !changes {
			left = append(left, f)
			continue
		}
		if f.After > 0 {
			f.After--
			left = append(left, f)
			continue
		}
		answered = answered || !changes
		hit = append(hit, f)
		if f.Count != 1 {
			if f.Count > 1 {
				f.Count--
			}
			left = append(left, f)
		}
	}
	s.faults = left
	return hit
}

// misbehave applies faults. It returns nil if the request is to be answered as usual.
func (c *call) misbehave(faults []Fault) *response {
	var out *response
	for _, f := range faults {
		c.entry.Faults = append(c.entry.Faults, f.Operation+":"+f.Kind)
		switch f.Kind {
		case "clock":
			c.now = c.now.Add(f.duration())
		case "ends":
			c.ends = f.duration()
		case "slow":
			c.delay += f.duration()
		case "lose":
			c.lost = true
		default:
			out = c.fault(f)
		}
	}
	return out
}

func (c *call) fault(f Fault) *response {
	ok := http.StatusOK
	if c.entry.Operation == "CreateSession" {
		ok = http.StatusCreated
	}
	switch f.Kind {
	case "throttle":
		status, code := http.StatusTooManyRequests, "ThrottlingException"
		if strings.HasSuffix(c.entry.Operation, "ChangeSet") || strings.Contains(c.entry.Operation, "Stack") { // CloudFormation's query protocol
			status, code = http.StatusBadRequest, "Throttling"
		} else if strings.Contains(c.entry.Operation, "Certificate") { // Private CA's JSON 1.1
			status = http.StatusBadRequest
		}
		r := c.operationError(refuse(status, code, "Rate exceeded", "fault"))
		r.retryAfter = f.Value
		return r
	case "status":
		status, _ := strconv.Atoi(f.Value)
		if status >= 500 {
			return c.operationError(refuse(status, "InternalServerException", "Internal failure", "fault"))
		}
		return c.operationError(refuse(status, "AccessDeniedException", "Access denied", "fault"))
	case "malformed":
		return &response{status: ok, contentType: "application/json", body: []byte(`{"credentialSet":[{"credentials":{"accessKeyId":"ASIA`)}
	case "html":
		return &response{status: http.StatusForbidden, contentType: "text/html", body: []byte("<!DOCTYPE html>\n<html><head><title>Access denied</title></head>" +
			"<body><h1>Blocked by the proxy</h1></body></html>\n")}
	case "empty":
		if ok == http.StatusCreated {
			return jsonResponse(ok, createSessionOutput{CredentialSet: []credentialSet{}})
		}
		return jsonResponse(ok, struct{}{})
	}
	return &response{silent: f.Kind}
}
