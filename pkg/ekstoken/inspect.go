package ekstoken

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Inspection is a token taken apart. What a damaged token does not show is
// empty. It holds no secret: neither the session token nor the signature.
type Inspection struct {
	Length        int       // in bytes, prefix included
	Host          string    // STS endpoint
	Region        string    // from the credential scope
	AccessKeyID   string    // who signed
	ClusterHeader bool      // whether x-k8s-aws-id is signed; its value is not in a token
	SignedAt      time.Time // X-Amz-Date
	ValidUntil    time.Time // SignedAt + 15 minutes
	// Problems says what a cluster or STS would refuse at time now; empty for a
	// token of good form. The signature itself only STS can check.
	Problems []string
}

func (i *Inspection) problem(format string, args ...any) {
	i.Problems = append(i.Problems, fmt.Sprintf(format, args...))
}

// Inspect takes token apart and applies the checks of aws-iam-authenticator's
// pkg/token (v0.6.13, in its order), STS's own, and those that keep a token to
// the one form that AWS's tools write.
func Inspect(token string, now time.Time) Inspection {
	i := Inspection{Length: len(token)}
	if len(token) > MaxLength {
		i.problem("too long: %d bytes, and a cluster takes at most %d", len(token), MaxLength)
	}
	encoded, ok := strings.CutPrefix(token, Prefix)
	if !ok {
		i.problem("no prefix %q", Prefix)
		return i
	}
	// Go's decoder skips line breaks; a token has none.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		i.problem("malformed base64url (without padding)")
		return i
	}
	u, err := url.Parse(string(raw))
	if err != nil {
		i.problem("malformed URL")
		return i
	}
	i.checkURL(u)
	if strings.Contains(string(raw), "#") {
		i.problem("a fragment in the URL")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		i.problem("malformed query")
		return i
	}
	i.checkParameters(query)
	i.checkDate(query, now)
	i.checkCredential(query)
	return i
}

func (i *Inspection) checkURL(u *url.URL) {
	i.Host = u.Host
	if u.Scheme != "https" {
		i.problem("invalid scheme %q: https is needed", u.Scheme)
	}
	if u.User != nil {
		i.problem("a user name in the URL")
	}
	if u.EscapedPath() != "/" {
		i.problem("invalid path %q: / is needed", u.EscapedPath())
	}
	if region, ok := hostRegion(u.Host); !ok {
		i.problem("invalid host %q: no STS endpoint that a cluster takes", u.Host)
	} else {
		i.Region = region
	}
}

// hostRegion returns the region whose STS host this is.
func hostRegion(host string) (string, bool) {
	if host == "sts.amazonaws.com" {
		return "us-east-1", true
	}
	labels := strings.Split(host, ".")
	if len(labels) < 4 || !isRegion(labels[1]) {
		return "", false
	}
	// The rules take a region that they do not know for one of the partition aws.
	continent, _, _ := strings.Cut(labels[1], "-")
	if commercial := hasSuffix(host, ".amazonaws.com", ".api.aws"); commercial && !slices.Contains(continents(), continent) {
		return "", false
	}
	for _, fips := range []bool{false, true} {
		for _, dualStack := range []bool{false, true} {
			if known, err := Host(labels[1], fips, dualStack); err == nil && known == host {
				return labels[1], true
			}
		}
	}
	return "", false
}

// continents begin the names of the regions of the partitions aws and aws-us-gov
// (the SDK's partitions.json).
func continents() []string { return []string{"us", "eu", "ap", "sa", "ca", "me", "af", "il", "mx"} }

// only says whether s is minLen to maxLen bytes of set.
func only(s, set string, minLen, maxLen int) bool {
	return len(s) >= minLen && len(s) <= maxLen && strings.Trim(s, set) == ""
}

const (
	digits = "0123456789"
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// parameters are the names that a cluster lets through, in lower case.
func parameters() []string {
	return []string{"action", "version", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires",
		"x-amz-security-token", "x-amz-signature", "x-amz-signedheaders"}
}

func (i *Inspection) checkParameters(query url.Values) {
	seen := map[string]bool{}
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		lower := strings.ToLower(name)
		if seen[lower] || len(query[name]) > 1 {
			i.problem("parameter %q given twice", name)
		}
		seen[lower] = true
		if !slices.Contains(parameters(), lower) {
			i.problem("unknown parameter %q", name)
		}
	}
	for _, want := range [][2]string{{"Action", "GetCallerIdentity"}, {"Version", "2011-06-15"}, {"X-Amz-Algorithm", algorithm}} {
		if got := query.Get(want[0]); got != want[1] {
			i.problem("invalid %s %q: %s is needed", want[0], got, want[1])
		}
	}
	headers := query.Get("X-Amz-SignedHeaders")
	i.ClusterHeader = slices.Contains(strings.Split(headers, ";"), ClusterHeader)
	if !i.ClusterHeader {
		i.problem("header %s not signed: the token is for no cluster", ClusterHeader)
	} else if headers != signedHeaders {
		i.problem("invalid X-Amz-SignedHeaders %q: %s is needed", headers, signedHeaders)
	}
	expires, err := strconv.Atoi(query.Get("X-Amz-Expires"))
	if err != nil || !only(query.Get("X-Amz-Expires"), digits, 1, 3) || expires > 900 {
		i.problem("invalid X-Amz-Expires %q: 0 to 900 seconds are taken", query.Get("X-Amz-Expires"))
	}
	if !only(query.Get("X-Amz-Signature"), digits+"abcdef", 64, 64) {
		i.problem("malformed X-Amz-Signature: 64 lower-case hex digits are needed")
	}
}

func (i *Inspection) checkDate(query url.Values, now time.Time) {
	value := query.Get("X-Amz-Date")
	date, err := time.Parse(dateFormat, value)
	if err != nil || date.Format(dateFormat) != value {
		i.problem("malformed X-Amz-Date %q: YYYYMMDDTHHMMSSZ is needed", value)
		return
	}
	i.SignedAt, i.ValidUntil = date, date.Add(Lifetime)
	if now.After(i.ValidUntil) {
		i.problem("expired %s ago", now.Sub(i.ValidUntil).Truncate(time.Second))
	}
	// IAM: a request must reach AWS within five minutes of its time stamp.
	if ahead := date.Sub(now); ahead > 5*time.Minute {
		i.problem("signed %s in the future", ahead.Truncate(time.Second))
	}
}

// checkCredential: ACCESSKEYID/YYYYMMDD/REGION/sts/aws4_request.
func (i *Inspection) checkCredential(query url.Values) {
	parts := strings.Split(query.Get("X-Amz-Credential"), "/")
	i.AccessKeyID = parts[0]
	if !only(parts[0], digits+upper, 16, 128) {
		i.problem("malformed access key id %q", parts[0])
	}
	if len(parts) != 5 {
		i.problem("malformed X-Amz-Credential: ACCESSKEYID/DATE/REGION/sts/aws4_request is needed")
		return
	}
	if day, _, _ := strings.Cut(query.Get("X-Amz-Date"), "T"); parts[1] != day {
		i.problem("credential scope is for day %q, X-Amz-Date for %q", parts[1], day)
	}
	if i.Region != "" && parts[2] != i.Region {
		i.problem("credential scope is for region %q, the host for %q", parts[2], i.Region)
	}
	i.Region = parts[2]
	if parts[3] != "sts" || parts[4] != "aws4_request" {
		i.problem("credential scope is for %q, not sts/aws4_request", parts[3]+"/"+parts[4])
	}
}
