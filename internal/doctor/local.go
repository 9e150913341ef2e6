package doctor

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/eks-x509/eks-x509/internal/cache"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/internal/safetext"
	"github.com/eks-x509/eks-x509/internal/session"
)

func localChecks() []Check {
	return []Check{
		{Name: "configuration", Why: "it says which certificate, trust anchor, profile and role are used", run: checkConfiguration},
		{Name: "ARNs", Why: "trust anchor, profile and role must be of one account and partition, the first two of one region",
			Needs: []string{"configuration"}, run: checkARNs},
		{Name: "certificate", Why: "it proves who you are; AWS takes only some kinds of certificate, and none that has expired",
			Needs: []string{"configuration"}, run: checkCertificate},
		{Name: "key file", Why: "whoever can read it can be you", Needs: []string{"configuration"}, run: checkKeyFile},
		{Name: "cache", Why: "sessions are kept here between calls; they are as good as the key until they end",
			Needs: []string{"configuration"}, run: checkCache},
		{Name: "environment", Why: "variables can lead AWS's tools, kubectl or us elsewhere", run: checkEnvironment},
		{Name: "AWS profiles", Why: "the AWS tools run a profile's credential_process only if nothing else of that profile gives credentials", run: checkAWSProfiles},
		{Name: "other helpers", Why: "what another credential helper left behind may be used in our place", run: checkHelpers},
	}
}

func checkConfiguration(_ context.Context, f *facts) Result {
	if f.ConfigErr != nil {
		return f.failed(f.ConfigErr, "")
	}
	var r Result
	var present []string
	for _, path := range f.ConfigFiles {
		_, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			r.add(Warning, err.Error(), "make it readable")
			continue
		}
		present = append(present, path)
		if why := config.Distrust(path); why != "" {
			r.add(Warning, fmt.Sprintf("%s: %s", path, why), fmt.Sprintf("let only its owner write it, and its directory: chmod go-w %s", safetext.File(path)))
		}
	}
	what := "no configuration file; flags and environment say all"
	if len(present) > 0 {
		what = strings.Join(present, ", ")
	}
	if f.Profile != "" {
		what += fmt.Sprintf(" (profile %q)", f.Profile)
	}
	r.add(OK, what, "")
	return r
}

func checkARNs(_ context.Context, f *facts) Result {
	// config has held them against each other; without that there is no Config.
	role, err := arn.Parse(f.Config.RoleARN)
	if err != nil {
		return f.failed(err, "")
	}
	what := fmt.Sprintf("account %s, partition %s, region %s, %s", role.AccountID, role.Partition, f.Config.SessionRegion, role.Resource)
	if f.Config.Region != f.Config.SessionRegion {
		return found(Note, "nothing to do if your clusters are there", "%s; sessions are used in %s", what, f.Config.Region)
	}
	return found(OK, "", "%s", what)
}

const day = 24 * time.Hour

func checkCertificate(ctx context.Context, f *facts) Result {
	var warnings []string
	o := f.Session
	o.Warn = func(w string) { warnings = append(warnings, w) }
	key, err := session.OpenKey(ctx, f.Config, o)
	if err != nil {
		return f.failed(err, "")
	}
	f.key = key
	leaf := key.Chain[0]
	left, life := leaf.NotAfter.Sub(f.Now()), leaf.NotAfter.Sub(leaf.NotBefore)
	r := found(OK, "", "%q, serial 0x%x, by %q, %s key; %d days left (until %s); %d certificates above it", leaf.Subject, leaf.SerialNumber, leaf.Issuer,
		leaf.PublicKeyAlgorithm, left/day, leaf.NotAfter.UTC().Format(time.RFC3339), len(key.Chain)-1)
	// Certificates that live for days are renewed by a machine, late in their life.
	if left < min(30*day, life/3) {
		r.add(Warning, "it ends soon", "get a new certificate from your CA before then")
	}
	for _, w := range warnings {
		// Two of them are said above and by the next check.
		if !strings.Contains(w, " expires in ") && !strings.HasPrefix(w, "private key ") {
			r.add(Warning, w, "")
		}
	}
	usable := func(u x509.ExtKeyUsage) bool { return u == x509.ExtKeyUsageClientAuth || u == x509.ExtKeyUsageAny }
	if len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 && !slices.ContainsFunc(leaf.ExtKeyUsage, usable) {
		r.add(Note, "its extended key usage lacks clientAuth", "AWS documents no need for it; have it added if AWS refuses the certificate")
	}
	return r
}

func checkKeyFile(_ context.Context, f *facts) Result {
	path := f.Config.PrivateKey
	if path == "" {
		path = f.Config.Certificate
	}
	info, err := os.Stat(path)
	if err != nil {
		return Result{Status: Failed, Found: err.Error(), Class: KeyUnusable, Remedy: "--private-key takes the private key's file"}
	}
	if !info.Mode().IsRegular() {
		return found(OK, "", "%s is not a regular file: its mode says nothing", path)
	}
	if problem := access(path, info, 0o077); problem != "" {
		return found(Warning, fmt.Sprintf("make it yours alone: chmod 600 %s", safetext.File(path)), "%s", problem)
	}
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err == nil && info.Mode()&fs.ModeSticky == 0 {
		if problem := access(dir, info, 0o022); problem != "" {
			return found(Warning, fmt.Sprintf("whoever can write its folder can replace it: chmod go-w %s", safetext.File(dir)), "%s", problem)
		}
	}
	return found(OK, "", "%s (mode %04o)", path, info.Mode().Perm())
}

func checkCache(_ context.Context, f *facts) Result {
	dir := f.Config.Cache.Dir
	switch {
	case f.Config.Cache.Off:
		return found(Note, "leave out --no-cache, and kubectl will be faster", "sessions are not kept: every call makes a new one")
	case dir == "":
		return found(Note, "--cache-dir names a place", "sessions are not kept: no home directory in the environment")
	}
	named := dir
	dir, err := safefile.Place(named)
	if err != nil {
		return found(Warning, "--cache-dir names another place", "sessions are not kept: %v", err)
	}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return found(OK, "", "%s is not there yet; no session is kept", dir)
	}
	kept, err := cache.List(dir, f.Now())
	if err != nil {
		return found(Warning, "--cache-dir names another place", "%v", err)
	}
	r := found(OK, "", "%d sessions kept in %s", len(kept), dir)
	if dir != named {
		r.add(Note, fmt.Sprintf("others can enter %s: they are in a directory of their own in it", named), "")
	}
	torn, foreign := oddFiles(dir)
	if torn > 0 {
		r.add(Warning, fmt.Sprintf("%d malformed files", torn), "eks-x509 cache clear")
	}
	if foreign > 0 {
		r.add(Note, fmt.Sprintf("%d files that are not ours", foreign), "give the cache a folder of its own with --cache-dir")
	}
	return r
}

// oddFiles counts the sessions that are no JSON, and what is no file of the cache's.
func oddFiles(dir string) (torn, foreign int) {
	entries, err := safefile.List(dir)
	if err != nil {
		return 0, 0
	}
	for _, e := range entries {
		id, suffix, _ := strings.Cut(strings.TrimPrefix(e.Name(), "."), ".")
		if len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" {
			foreign++
			continue
		}
		if suffix != "json" || !e.Type().IsRegular() {
			continue
		}
		if data, err := readSmall(filepath.Join(dir, e.Name())); err == nil && !json.Valid(data) {
			torn++
		}
	}
	return torn, foreign
}
