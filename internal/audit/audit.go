// Package audit tells who did what in a cluster, from a certificate to the
// action. CloudTrail's CreateSession names the certificate and the access key
// that it gave; the API server's audit log names the access key and what it
// did. This package reads both and joins them.
//
// It reads each log once. Nothing that there are many of stays in memory: what an
// action is joined by is, in some 100 bytes a session; sessions, certificates and
// actions are on disk where they are many. Actions are sorted by session and time.
// The stages of an action, and the copies of one that was delivered twice, are next
// to each other then, so that they are counted as one however far apart they were
// in the logs. Sessions and actions that are sorted alike are then read side by
// side, and so are the sessions of a certificate one behind the other.
//
//	https://docs.aws.amazon.com/rolesanywhere/latest/userguide/logging-using-cloudtrail.html
//	https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
package audit

import (
	"cmp"
	"io"
	"iter"
	"time"
)

// SchemaVersion is that of everything here that is printed as JSON.
const SchemaVersion = 1

// Input is a file of a log, or what stands for one.
type Input struct {
	Name string // for a person
	Open func() (io.ReadCloser, error)
}

// Certificate is the one that a session was made with, as far as CloudTrail
// tells.
type Certificate struct {
	Subject   string    `json:"subject,omitempty"` // RFC 4514
	Issuer    string    `json:"issuer,omitempty"`
	Serial    string    `json:"serial,omitempty"` // lower-case hex, no leading zeros but to an even length
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
}

// Session is one set of credentials: of CreateSession, or of an AssumeRole that
// was called with those of another session.
type Session struct {
	AccessKeyID    string      `json:"accessKeyId,omitempty"`
	AssumedRoleARN string      `json:"assumedRoleArn,omitempty"` // arn:aws:sts::ACCOUNT:assumed-role/ROLE/NAME
	RoleARN        string      `json:"roleArn,omitempty"`
	Name           string      `json:"sessionName,omitempty"`
	SourceIdentity string      `json:"sourceIdentity,omitempty"`
	Certificate    Certificate `json:"certificate,omitzero"` // a chained session's is that of the first
	// Parent is the access key whose holder called AssumeRole; empty: the
	// session is CreateSession's own.
	Parent         string    `json:"parentAccessKeyId,omitempty"`
	TrustAnchorARN string    `json:"trustAnchorArn,omitempty"`
	ProfileARN     string    `json:"profileArn,omitempty"`
	SourceIP       string    `json:"sourceIp,omitempty"` // of whoever asked for it
	UserAgent      string    `json:"userAgent,omitempty"`
	Region         string    `json:"region,omitempty"`
	From           time.Time `json:"from,omitzero"`
	To             time.Time `json:"to,omitzero"`
	EventID        string    `json:"eventId,omitempty"` // CloudTrail's
	// Unknown: CloudTrail has no event for it; it is known by its actions only.
	Unknown bool `json:"unknown,omitempty"`
	// Began: it is no certificate's, and this is what it began with according to
	// CloudTrail: an AWS service (ec2.amazonaws.com), a call of STS
	// (AssumeRoleWithSAML), or IAMUser.
	Began string `json:"began,omitempty"`
	// Component: all its actions are of nodes (system:node:…) or of EKS (eks:…).
	Component bool `json:"component,omitempty"`

	// What was done with it, after the filters.
	Actions   int64     `json:"actions"`
	Denied    int64     `json:"denied"`
	First     time.Time `json:"firstAction,omitzero"`
	Last      time.Time `json:"lastAction,omitzero"`
	Users     []string  `json:"kubernetesUsers,omitempty"`
	Addresses []string  `json:"addresses,omitempty"` // that the actions came from; at most maxAddresses
}

// Joined says by what an action was found to be of a session.
type Joined string

// An access key is one session's. An ARN is shared by all sessions of a
// certificate and role, or of a session name: the latest that had begun is
// taken.
const (
	ByAccessKey Joined = "accessKeyId"
	ByARN       Joined = "arn"
	ByName      Joined = "sessionName"
	ByNothing   Joined = "none"
)

// Action is one request to a cluster's API server.
type Action struct {
	ID        string    `json:"auditId"`
	Time      time.Time `json:"time"` // when the request was received
	Verb      string    `json:"verb"`
	Group     string    `json:"apiGroup,omitempty"`
	Resource  string    `json:"resource,omitempty"` // with the subresource: pods/log
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name,omitempty"`
	URI       string    `json:"requestUri,omitempty"` // where there is no resource
	Code      int       `json:"code"`                 // HTTP status; 0: not answered yet
	Decision  string    `json:"decision,omitempty"`   // allow, forbid
	Reason    string    `json:"reason,omitempty"`
	User      string    `json:"user,omitempty"`
	// Impersonated is the user as whom it was done, if User acted as another.
	Impersonated string `json:"impersonatedUser,omitempty"`
	SourceIP     string `json:"sourceIp,omitempty"`
	UserAgent    string `json:"userAgent,omitempty"`
	Cluster      string `json:"cluster,omitempty"` // where the log says it
	AccessKeyID  string `json:"accessKeyId,omitempty"`
	ARN          string `json:"arn,omitempty"`
	SessionName  string `json:"sessionName,omitempty"`
	JoinedBy     Joined `json:"joinedBy"`

	session *Session
}

// Denied says that the API server did not do it: it was not allowed to this
// user (403), or nobody was recognised (401).
func (a *Action) Denied() bool { return a.Decision == "forbid" || a.Code == 401 || a.Code == 403 }

// Subject is what a certificate did, over all of its sessions. Unknown and
// NoCertificate are the sums of the sessions that are no certificate's.
type Subject struct {
	Unknown       bool        `json:"unknown,omitempty"`       // not in CloudTrail
	NoCertificate bool        `json:"noCertificate,omitempty"` // CloudTrail tells what they began with
	Certificate   Certificate `json:"certificate"`
	Roles         []string    `json:"roles,omitempty"`
	Sessions      int64       `json:"sessions"`
	Refused       int64       `json:"refused"` // CreateSession calls that AWS refused
	Actions       int64       `json:"actions"`
	Denied        int64       `json:"denied"`
	First         time.Time   `json:"firstSeen,omitzero"`
	Last          time.Time   `json:"lastSeen,omitzero"`
}

// Folded counts the sessions of nodes and EKS components that Result.Sessions
// leaves out.
type Folded struct {
	NoCertificate Fold `json:"noCertificate"` // CloudTrail tells what they began with
	Unknown       Fold `json:"unknown"`       // not in CloudTrail
	Findings      int  `json:"findings"`      // about these
}

// Fold is a number of sessions and what they did.
type Fold struct {
	Sessions int64 `json:"sessions"`
	Actions  int64 `json:"actions"`
	Denied   int64 `json:"denied"`
}

// Finding is something that a person should look at.
type Finding struct {
	Kind         string    `json:"kind"` // one of the Finding… constants
	Detail       string    `json:"detail"`
	Serial       string    `json:"serial,omitempty"`
	Subject      string    `json:"subject,omitempty"`
	AccessKeyIDs []string  `json:"accessKeyIds,omitempty"`
	Time         time.Time `json:"time,omitzero"`
}

// The kinds of findings.
const (
	FindingManyAddresses = "certificate-from-many-addresses"
	FindingAfterEnd      = "action-after-certificate-end"
	FindingRevoked       = "action-after-revocation"
	FindingSessionName   = "session-name-is-not-serial"
	FindingKeyMoved      = "access-key-from-two-addresses"
	FindingDeniedBurst   = "denied-burst"
)

// Damage is what of a file could not be read.
type Damage struct {
	File  string `json:"file"`
	Line  int64  `json:"line,omitempty"` // the first; 0: the file as a whole
	Count int64  `json:"count"`
	Why   string `json:"why"`
}

// Counts say what was read.
type Counts struct {
	CloudTrailEvents int64 `json:"cloudTrailEvents"`
	KubernetesEvents int64 `json:"kubernetesEvents"`
	Bytes            int64 `json:"bytes"`      // after decompression
	Duplicates       int64 `json:"duplicates"` // copies of a session's event, or of the same stage of an action
	// Others are the events of users that no AWS session stands behind: the
	// cluster's own components, service accounts. They are counted as they come,
	// each stage and each copy.
	Others  int64 `json:"otherEvents"`
	Damaged int64 `json:"damagedLines"`
}

// Filter says what is asked for; the zero Filter is everything. In the strings *
// and ? match as in a shell, but * any character; case does not matter in subjects.
//
// Where actions are asked for by one of User … Denied, sessions without such an
// action are left out.
type Filter struct {
	Since, Until time.Time // of actions, and of sessions that were good at a time between; Until is not in it
	Subject      string    // whole, or one attribute: CN=alice
	Serial       string    // hex or decimal, as people paste it
	Role         string    // name or ARN
	User         string    // who did it, or as whom it was done
	Verb         string
	Resource     string // pods (pods/log too), pods/log, deployments.apps
	Namespace    string
	Name         string
	Denied       bool
}

// Revoked says when, by Issuer and Serial alone; an empty Issuer is any.
type Revoked map[Certificate]time.Time

// Options of Run.
type Options struct {
	Filter  Filter
	Revoked Revoked
	// Actions: keep them for Result.Timeline, on disk where they are many.
	Actions bool
	// Fold: of the sessions of nodes and EKS components only the number is told.
	Fold    bool
	TempDir string // for these; empty: the system's
	Workers int    // that parse; 0: one a processor

	// Tests make these small.
	memory int // to sort in, and of what is stored; 0: sortMemory, spillSize
	held   int // of sessions, in bytes; 0: maxHeld
	block  int // to read at once; 0: blockSize
}

func (o Options) spill() int { return cmp.Or(o.memory, spillSize) }

// Result is what the logs told. It must be closed. What there is one of for each
// session is read from disk if it is much, so that an error may come instead.
type Result struct {
	Sessions iter.Seq2[*Session, error] // by From; then those that CloudTrail has no event for, by First
	Subjects iter.Seq2[*Subject, error] // by First; at the end those without a certificate
	Findings iter.Seq2[Finding, error]  // by Time
	Totals   Totals                     // of these
	Folded   Folded                     // what is not in Sessions
	Damage   []Damage
	Ignored  []Ignored // what is known to be no event, by What
	Counts   Counts

	options Options
	filter  *filter
	held    *held
	sorters []*sorter // of actions
	closers []func() error

	sessions           store
	subjects, findings *sorter
	known              int           // sessions that CloudTrail has events for
	places             chunks[int64] // of a session, by its number; -1: it is not shown
	numbers            map[hash]int  // of the others
}

// Totals are how many there are of what a Result has.
type Totals struct{ Sessions, Subjects, Findings, Actions int64 }
