package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/eks-x509/eks-x509/internal/audit"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

// The questions.
const (
	answerTimeline = "timeline"
	answerWho      = "who"
	answerSessions = "sessions"
	answerSummary  = "summary"
)

func newAuditCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Tell who did what in a cluster, from the certificate to the action",
		Long: `Tell who did what in a cluster, from the certificate to the action: join
CloudTrail's CreateSession events, which name the certificate and the access key it
gave, with the audit log of the API server, which names the access key and what it
did. It reads files and calls nobody; audit query asks where AWS keeps the logs.

Begin with one of the examples; docs/audit.md says how to get the files. With files
and no question it is audit timeline.`,
		Example: "  eks-x509 audit timeline --cloudtrail cloudtrail/ --kubernetes cluster.log\n" +
			"  eks-x509 audit query --engine cloudtrail-lookup --engine logs-insights --cluster-name my-cluster --aws-profile administrator",
		Args: cobra.ArbitraryArgs,
		RunE: a.group,
	}
	if a.named("audit") {
		timeline := a.auditAnswer(cmd, answerTimeline)
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().NFlag() == 0 {
				return a.group(cmd, args)
			}
			return timeline(cmd, args)
		}
		cmd.AddCommand(
			newAuditAnswerCmd(a, answerTimeline, "Show each session and what was done with it", `Show each session with its certificate, from when to when it went, from which
address and with which role; below it each action.`, "  eks-x509 audit timeline --cloudtrail cloudtrail/ --kubernetes cluster.log --since 2026-11-23\n"+
				"  eks-x509 audit timeline --cloudtrail cloudtrail/ --kubernetes cluster.log --output html >audit.html"),
			newAuditAnswerCmd(a, answerWho, "Show who touched this: each action with its certificate", `Show each action by time, with the certificate that it goes back to. The filters say
what is asked about.`, "  eks-x509 audit who --resource namespaces --verb create --cloudtrail cloudtrail/ --kubernetes cluster.log\n"+
				"  eks-x509 audit who --denied --cloudtrail cloudtrail/ --kubernetes cluster.log"),
			newAuditAnswerCmd(a, answerSessions, "List the sessions", `List the sessions, each with the number of its actions. With a filter of actions,
such as --verb, only those are counted.`, "  eks-x509 audit sessions --cloudtrail cloudtrail/ --output csv"),
			newAuditAnswerCmd(a, answerSummary, "Count by certificate: sessions, actions, denials", `Count by certificate: sessions, calls that AWS refused, actions, denials, and when
it was first and last seen.`, "  eks-x509 audit summary --cloudtrail cloudtrail/ --kubernetes cluster.log"),
			newAuditQueryCmd(a), newAuditSchemaCmd(a),
		)
	}
	return cmd
}

func newAuditAnswerCmd(a *app, answer, short, long, example string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     answer + " [--cloudtrail PATH...] [--kubernetes PATH...]",
		Short:   short,
		Long:    long + auditLong,
		Example: example,
		Args:    cobra.ArbitraryArgs, // pathLists refuses those that are of neither
	}
	cmd.RunE = a.auditAnswer(cmd, answer)
	return cmd
}

// auditAnswer gives a command the flags of a question, and is what answers it.
func (a *app) auditAnswer(cmd *cobra.Command, answer string) func(*cobra.Command, []string) error {
	var flags auditFlags
	var cloudtrail, kubernetes []string
	var lists pathLists
	lists.flags = cmd.Flags()
	cmd.Flags().Var(lists.add(&cloudtrail), "cloudtrail", "files and folders of CloudTrail's, plain or .gz; - is stdin; may be repeated")
	cmd.Flags().Var(lists.add(&kubernetes), "kubernetes", "the same of the cluster's audit log")
	addAuditFlags(cmd, &flags)
	cmd.Flags().SortFlags = false
	return func(cmd *cobra.Command, args []string) error {
		if err := lists.take(args); err != nil {
			return err
		}
		logs, err := a.openLogs(cloudtrail, kubernetes)
		if err != nil {
			return err
		}
		return a.answerAudit(cmd.Context(), answer, logs[0], logs[1], flags)
	}
}

const auditLong = `

Times are UTC. What is damaged in a log is skipped and said on stderr. At a
terminal a table's long names lose their middle; in a pipe it is as wide as what it
holds (less -S). The format html is one page with everything, which needs no network.
docs/audit.md has the formats.`

// openLogs finds the files of both lists.
func (a *app) openLogs(lists ...[]string) ([][]audit.Input, error) {
	all := slices.Concat(lists...)
	if len(all) == 0 {
		return nil, misuse("no --cloudtrail and no --kubernetes given")
	}
	for i, paths := range lists {
		lists[i] = slices.Clone(paths)
		for j, path := range paths {
			var err error
			if lists[i][j], err = config.ExpandHome(path, a.Getenv); err != nil {
				return nil, misuse("invalid path of a log: %w", err)
			}
		}
	}
	stdin := 0
	for _, path := range all {
		if path == "" {
			return nil, misuse("invalid path of a log: it is empty")
		}
		if path == "-" {
			stdin++
		}
	}
	if stdin > 1 {
		return nil, misuse("stdin (-) is given %d times: it can be read once", stdin)
	}
	found := make([][]audit.Input, len(lists))
	for i, paths := range lists {
		var err error
		if found[i], err = audit.Inputs(paths, a.Stdin); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// pathLists are flags that take many words each: --cloudtrail a b --kubernetes c,
// as a shell's globs make them. pflag takes one, and the words that follow are
// arguments: they are of the last list before them.
type pathLists struct {
	flags *pflag.FlagSet
	order []struct{ list, before int } // how many arguments stood before each
	paths []*[]string
}

type pathList struct {
	of    *pathLists
	index int
}

func (l *pathLists) add(paths *[]string) pflag.Value {
	l.paths = append(l.paths, paths)
	return pathList{l, len(l.paths) - 1}
}

func (p pathList) Set(path string) error {
	if err := config.CheckPath("--cloudtrail or --kubernetes", path); err != nil {
		return err
	}
	p.of.order = append(p.of.order, struct{ list, before int }{p.index, p.of.flags.NArg()})
	*p.of.paths[p.index] = append(*p.of.paths[p.index], path)
	return nil
}
func (p pathList) Type() string   { return "PATH..." }
func (p pathList) String() string { return "" }

// take gives each list its arguments.
func (l *pathLists) take(args []string) error {
	for i, arg := range args {
		list := -1
		for _, o := range l.order {
			if o.before <= i {
				list = o.list
			}
		}
		if err := config.CheckPath("FILE", arg); err != nil {
			return err
		}
		if list < 0 {
			return misuse("unexpected argument %q: files go after --cloudtrail or --kubernetes", arg)
		}
		*l.paths[list] = append(*l.paths[list], arg)
	}
	return nil
}

// auditFlags are what every question of the audit trail takes.
type auditFlags struct {
	since, until          string
	subject, serial, role string
	user, verb, resource  string
	namespace, name       string
	denied, all           bool
	crls                  []string
	output                string
	flags                 *pflag.FlagSet
}

func addAuditFlags(cmd *cobra.Command, f *auditFlags) {
	cmd.Flags().StringVar(&f.since, "since", "", "from this `TIME` on: 2026-11-23T08:00:00Z, 2026-11-23 (its midnight, UTC), or ago: 24h, 7d")
	cmd.Flags().StringVar(&f.until, "until", "", "before this `TIME`")
	cmd.Flags().StringVar(&f.subject, "subject", "", "`PATTERN` of the certificate's subject, whole or one attribute: CN=alice; * and ? match, here and below")
	cmd.Flags().StringVar(&f.serial, "serial", "", "`NUMBER` of the certificate, hex or decimal")
	cmd.Flags().StringVar(&f.role, "role", "", "`PATTERN` of the role's name or ARN")
	cmd.Flags().StringVar(&f.user, "user", "", "`PATTERN` of the Kubernetes user")
	cmd.Flags().StringVar(&f.verb, "verb", "", "`PATTERN` of the verb: create, delete")
	cmd.Flags().StringVar(&f.resource, "resource", "", "`PATTERN` of the resource: pods, pods/exec, deployments.apps")
	cmd.Flags().StringVar(&f.namespace, "namespace", "", "`PATTERN` of the namespace")
	cmd.Flags().StringVar(&f.name, "name", "", "`PATTERN` of the object's name")
	cmd.Flags().BoolVar(&f.denied, "denied", false, "only what the cluster denied")
	cmd.Flags().BoolVar(&f.all, "all", false, "show the sessions of nodes and EKS components, too (system:node:…, eks:…); --user and --role show those that match")
	cmd.Flags().Var(&filesFlag{"crl", &f.crls}, "crl", "`FILE` with a revocation list, PEM or DER; tells what was done after revocation; may be repeated")
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table, json, ndjson, csv or html")
	addChoices(cmd, "output", auditOutputs()...)
	f.flags = cmd.Flags()
}

func auditOutputs() []string { return []string{"table", "json", "ndjson", "csv", "html"} }

// asked is the filter as it was given.
func (f *auditFlags) asked() string {
	var words []string
	f.flags.Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "since", "until", "subject", "serial", "role", "user", "verb", "resource", "namespace", "name":
			words = append(words, "--"+f.Name+" "+safetext.Quote(f.Value.String()))
		case "denied":
			words = append(words, "--denied")
		}
	})
	return strings.Join(words, " ")
}

// options are what the flags say.
func (f *auditFlags) options(now time.Time) (audit.Options, error) {
	o := audit.Options{Filter: audit.Filter{Subject: f.subject, Serial: f.serial, Role: f.role, User: f.user, Verb: f.verb, Resource: f.resource,
		Namespace: f.namespace, Name: f.name, Denied: f.denied}}
	if !slices.Contains(auditOutputs(), f.output) {
		return o, misuse("unsupported --output %q (supported: %s)", f.output, strings.Join(auditOutputs(), ", "))
	}
	if f.serial != "" && !audit.IsSerial(f.serial) {
		return o, misuse("invalid --serial %q: a number is needed, hex or decimal", f.serial)
	}
	var err error
	if o.Filter.Since, err = parseWhen("since", f.since, now); err != nil {
		return o, err
	}
	if o.Filter.Until, err = parseWhen("until", f.until, now); err != nil {
		return o, err
	}
	if s, u := o.Filter.Since, o.Filter.Until; !s.IsZero() && !u.IsZero() && !s.Before(u) {
		return o, misuse("invalid --until %q: it is not after --since %q", f.until, f.since)
	}
	o.Revoked, err = readCRLs(f.crls)
	return o, err
}

// parseWhen reads a time, a day, or how long ago.
func parseWhen(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	var ago days
	if err := ago.Set(text); err != nil {
		return time.Time{}, misuse("invalid --%s %q: a time is needed, as in 2026-11-23T08:00:00Z, 2026-11-23, 24h or 7d", flag, text)
	}
	return now.Add(-time.Duration(ago)), nil
}

// readCRLs says when which certificates were revoked.
func readCRLs(paths []string) (audit.Revoked, error) {
	revoked := audit.Revoked{}
	for _, path := range paths {
		data, err := safefile.ReadExisting(path, 256<<20)
		if err != nil {
			return nil, fmt.Errorf("opening revocation list %q: %w", path, err)
		}
		if err := revoked.AddCRL(data); err != nil {
			return nil, fmt.Errorf("reading revocation list %q: %w", path, err)
		}
	}
	return revoked, nil
}

// noEventError: the logs hold nothing of their kind.
type noEventError struct{ damage string }

func (e *noEventError) Error() string { return "no event found in the logs: " + e.damage }

// auditMemory is where garbage is collected more often, and not when what is held
// has doubled.
const auditMemory = 600 << 20

// answerAudit reads the logs and answers one question, in the format asked for.
func (a *app) answerAudit(ctx context.Context, answer string, cloudtrail, kubernetes []audit.Input, f auditFlags) error {
	o, err := f.options(a.Now())
	if err != nil {
		return err
	}
	o.Fold = !f.all && f.user == "" && f.role == ""
	o.Actions = f.output == "html" || answer == answerTimeline || answer == answerWho
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // GOMEMLIMIT is not set
		debug.SetMemoryLimit(auditMemory)
	}
	r, err := audit.Run(ctx, cloudtrail, kubernetes, o)
	if err != nil {
		return err
	}
	if c := r.Counts; c.CloudTrailEvents+c.KubernetesEvents == 0 && len(r.Damage) > 0 {
		a.tellUnread(r.Damage[1:])
		if line := ignoredLine(r.Ignored); line != "" {
			a.notice(line)
		}
		err = &noEventError{damageLine(r.Damage[0])}
	} else {
		err = a.writeAnswer(ctx, answer, f, r)
	}
	return errors.Join(err, r.Close())
}
