package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// many processes at once.
const many = 50

// bench is the programs and what they are to run with.
type bench struct {
	dir, aws    string
	home        []string // the environment of every program
	x509        []string // the certificate and what it is for
	credentials []string // a session
	caches      int      // directories given out
	calls       []int    // of CreateSession, for each run of many processes
}

func newBench(dir, aws string) (*bench, error) {
	b := &bench{dir: dir, aws: aws, home: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(dir, "home"), "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_STS_REGIONAL_ENDPOINTS=regional",
	}}
	for _, name := range []string{
		"EKS_X509_CERTIFICATE", "EKS_X509_PRIVATE_KEY", "EKS_X509_TRUST_ANCHOR_ARN", "EKS_X509_PROFILE_ARN", "EKS_X509_ROLE_ARN", "AWS_CA_BUNDLE",
	} {
		b.x509 = append(b.x509, name+"="+os.Getenv(name))
	}
	b.x509 = append(b.x509, "EKS_X509_ENDPOINT="+os.Getenv("EKS_X509_SANDBOX"))
	_, out, err := b.ours("credential-process", "--no-cache").run()
	if err != nil {
		return nil, err
	}
	b.credentials, err = environ(out)
	return b, err
}

// environ makes variables of a credential_process answer.
func environ(answer []byte) ([]string, error) {
	var c struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
	}
	if err := json.Unmarshal(answer, &c); err != nil || c.SessionToken == "" {
		return nil, errors.New("malformed answer of a credential process")
	}
	return []string{"AWS_ACCESS_KEY_ID=" + c.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + c.SecretAccessKey, "AWS_SESSION_TOKEN=" + c.SessionToken}, nil
}

func (b *bench) program(name string, env []string, args ...string) program {
	return program{filepath.Join(b.dir, name), args, append(b.home[:len(b.home):len(b.home)], env...)}
}

func (b *bench) ours(args ...string) program { return b.program("eks-x509", b.x509, args...) }

func (b *bench) token(args ...string) program {
	return b.ours(append([]string{"token", "--cluster-name", "sandbox"}, args...)...)
}

func (b *bench) helper() program {
	return b.program("aws_signing_helper", []string{"AWS_CA_BUNDLE=" + os.Getenv("AWS_CA_BUNDLE")}, "credential-process",
		"--certificate", filepath.Join(b.dir, "sandbox", "client.pem"), // it takes one certificate of a file
		"--intermediates", filepath.Join(b.dir, "sandbox", "intermediate-ca.pem"), "--private-key", os.Getenv("EKS_X509_PRIVATE_KEY"),
		"--trust-anchor-arn", os.Getenv("EKS_X509_TRUST_ANCHOR_ARN"), "--profile-arn", os.Getenv("EKS_X509_PROFILE_ARN"),
		"--role-arn", os.Getenv("EKS_X509_ROLE_ARN"), "--endpoint", os.Getenv("EKS_X509_SANDBOX"), "--region", "us-east-1")
}

func (b *bench) authenticator(credentials []string) program {
	return b.program("aws-iam-authenticator", credentials, "token", "-i", "sandbox")
}

func (b *bench) getToken(credentials []string) program {
	p := b.program("", credentials, "eks", "get-token", "--cluster-name", "sandbox")
	p.path = b.aws
	return p
}

func (b *bench) newCache() string {
	b.caches++
	return "--cache-dir=" + filepath.Join(b.dir, fmt.Sprint("cache-", b.caches))
}

// one is a command of one process that prints something.
func one(name string, p program) command {
	return command{name, func() (sample, error) {
		s, out, err := p.run()
		if err == nil && len(out) == 0 {
			err = fmt.Errorf("running %s: nothing printed", name)
		}
		return s, err
	}}
}

// oldWay is the helper, its answer put into the environment (at no cost), and
// then what makes a token.
func (b *bench) oldWay(name string, token func(credentials []string) program) command {
	return command{"`aws_signing_helper` → env → " + name, func() (sample, error) {
		first, out, err := b.helper().run()
		if err != nil {
			return sample{}, err
		}
		credentials, err := environ(out)
		if err != nil {
			return sample{}, err
		}
		second, _, err := token(credentials).run()
		return first.then(second), err
	}}
}

func (b *bench) rows(o options) []row {
	cache := b.newCache()
	empty := command{"empty Go program", func() (sample, error) {
		s, _, err := b.program("empty", nil).run()
		return s, err
	}}
	warmToken, coldToken := one("`token`, warm", b.token(cache)), one("`token`, cold", b.token("--no-cache"))
	warmProcess := one("`credential-process`, warm", b.ours("credential-process", cache))
	coldProcess := one("`credential-process`, cold", b.ours("credential-process", "--no-cache"))
	authenticator := one("`aws-iam-authenticator token`", b.authenticator(b.credentials))
	helper := one("`aws_signing_helper credential-process`", b.helper())
	getToken := one("`aws eks get-token`", b.getToken(b.credentials))
	oldWay, oldWayAuthenticator := b.oldWay(getToken.name, b.getToken), b.oldWay(authenticator.name, b.authenticator)

	const warmUp = 5
	rows := []row{
		{"empty", empty, warmToken, warmUp, o.runs},
		{"authenticator", warmToken, authenticator, warmUp, o.runs},
		{"", coldToken, authenticator, warmUp, o.runs},
		{"helper", warmProcess, helper, warmUp, o.runs},
		{"cold helper", helper, coldProcess, warmUp, o.runs},
		{"", warmToken, oldWayAuthenticator, warmUp, o.runs},
		{"", coldToken, oldWayAuthenticator, warmUp, o.runs},
	}
	if b.aws != "" {
		rows = append(rows,
			row{"aws", warmToken, getToken, 1, o.slowRuns},
			row{"", coldToken, getToken, 1, o.slowRuns},
			row{"", warmToken, oldWay, 1, o.slowRuns},
			row{"", coldToken, oldWay, 1, o.slowRuns})
	}
	return append(rows, row{"many", command{fmt.Sprintf("`token`, one cold and %d warm in turn", many), b.inTurn},
		command{fmt.Sprintf("`token`, %d at once, cold", many), b.atOnce}, 1, o.manyRuns})
}

// inTurn is one cold call and then many warm ones.
func (b *bench) inTurn() (sample, error) {
	token := one("token", b.token(b.newCache()))
	var all sample
	for range 1 + many {
		s, err := token.run()
		if err != nil {
			return sample{}, err
		}
		all = all.then(s)
	}
	return all, nil
}

// atOnce starts many on an empty cache, and counts the calls that the sandbox sees.
func (b *bench) atOnce() (sample, error) {
	before, err := b.createSessions()
	if err != nil {
		return sample{}, err
	}
	token := one("token", b.token(b.newCache()))
	samples, errs := make([]sample, many), make([]error, many)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range many {
		wg.Go(func() { samples[i], errs[i] = token.run() })
	}
	wg.Wait()
	wall := time.Since(start)
	var all sample
	for _, s := range samples {
		all = all.then(s)
	}
	all.wall = wall
	if err := errors.Join(errs...); err != nil {
		return sample{}, err
	}
	after, err := b.createSessions()
	b.calls = append(b.calls, after-before)
	return all, err
}

func (b *bench) createSessions() (int, error) {
	data, err := os.ReadFile(filepath.Join(b.dir, "sandbox", "requests.jsonl"))
	return bytes.Count(data, []byte(`"operation":"CreateSession"`)), err
}

// size of a program in MB.
func (b *bench) size(name string) (float64, error) {
	info, err := os.Stat(filepath.Join(b.dir, name))
	if err != nil {
		return 0, err
	}
	return megabytes(info.Size()), nil
}

// goals are the lines of the goals' table. calls is the most that many
// processes made.
func goals(got map[string]result, calls int, size float64) []string {
	var lines []string
	goal := func(text, format string, value, limit float64, atMost bool) {
		verdict := "met"
		if missed := value/limit - 1; atMost && missed > 0 {
			verdict = fmt.Sprintf("missed by %.0f %%", missed*100)
		} else if missed := 1 - value/limit; !atMost && missed > 0 {
			verdict = fmt.Sprintf("missed by %.0f %%", missed*100)
		}
		lines = append(lines, fmt.Sprintf("| %s | "+format+" | %s |", text, value, verdict))
	}
	ratio := func(id, text string, limit float64, atMost bool) {
		if r, ok := got[id]; ok {
			goal(text, "%.2f ×", r.wallRatio(), limit, atMost)
		} else {
			lines = append(lines, "| "+strings.Join([]string{text, "", "not measured"}, " | ")+" |")
		}
	}
	ratio("empty", "warm `token` at most 2.0 × an empty Go program", 2, true)
	ratio("authenticator", "warm `token` at least 5 × faster than `aws-iam-authenticator token`", 5, false)
	ratio("aws", "warm `token` at least 100 × faster than `aws eks get-token`", 100, false)
	ratio("helper", "warm `credential-process` at least 3 × faster than AWS's helper", 3, false)
	ratio("cold helper", "cold `credential-process`, RSA-2048, at most 1.1 × AWS's helper", 1.1, true)
	goal(fmt.Sprintf("%d processes at once, cold: 1 CreateSession (the most in any run)", many), "%.0f", float64(calls), 1, true)
	ratio("many", fmt.Sprintf("%d processes at once, cold, at most 2 × one cold and %d warm in turn", many, many), 2, true)
	warm := got["authenticator"]
	goal("peak memory of warm `token` at most half of `aws-iam-authenticator`'s", "%.2f ×", warm.peakA()/warm.peakB(), 0.5, true)
	goal("stripped static binary at most 20 MB", "%.1f MB", size, 20, true)
	return lines
}
