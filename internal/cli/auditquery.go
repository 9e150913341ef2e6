package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/audit"
	"github.com/eks-x509/eks-x509/internal/audit/query"
	"github.com/eks-x509/eks-x509/internal/safefile"
)

// The engines.
const (
	engineLookup   = "cloudtrail-lookup"
	engineInsights = "logs-insights"
	engineAthena   = "athena"
)

// answerRaw is what the engines gave, as it is.
const answerRaw = "raw"

// queryFlags are those of audit query.
type queryFlags struct {
	admin                    adminFlags
	filter                   auditFlags
	engines                  []string
	answer                   string
	cloudtrail, kubernetes   []string // files, in place of an engine
	cluster, logGroup, state string
	rows                     int
	chained, printQuery      bool
	workgroup, database      string
	results                  string // of Athena, in S3
	tables                   tableFlags
}

// tableFlags are about Athena's tables.
type tableFlags struct{ cloudTrail, audit, layout string }

func addTables(cmd *cobra.Command, f *tableFlags) {
	cmd.Flags().StringVar(&f.cloudTrail, "cloudtrail-table", query.CloudTrailTable, "`NAME` of Athena's table over the trail's bucket")
	cmd.Flags().StringVar(&f.audit, "audit-table", query.AuditTable, "`NAME` of Athena's table over the exported audit log")
	cmd.Flags().StringVar(&f.layout, "audit-layout", string(query.Firehose), "how the audit log came to S3: firehose or export (docs/audit-query.md)")
	addChoices(cmd, "audit-layout", string(query.Firehose), string(query.Export))
}

func (f *tableFlags) check() error {
	if l := query.Layout(f.layout); l != query.Firehose && l != query.Export {
		return misuse("unsupported --audit-layout %q (supported: %s, %s)", f.layout, query.Firehose, query.Export)
	}
	for _, name := range []string{f.cloudTrail, f.audit} {
		if err := query.CheckTable(name); err != nil {
			return &usageError{err}
		}
	}
	return nil
}

func newAuditQueryCmd(a *app) *cobra.Command {
	var f queryFlags
	var lists pathLists
	cmd := &cobra.Command{
		Use:   "query --engine NAME...",
		Short: "Ask where AWS keeps the logs, and answer the same questions",
		Long: `Fetch the logs from where AWS keeps them and answer as audit timeline, who,
sessions and summary do. The engines:

cloudtrail-lookup  sessions, from CloudTrail's event history: no trail is needed; the
                   last 90 days, 100 events a second at most. With --state FILE an
                   interrupted lookup goes on where it was.
logs-insights      actions, from the cluster's log group, by CloudWatch Logs Insights
athena             both, or what no other engine and no file has, from S3, through the
                   tables that audit schema defines

Logs Insights and Athena are paid for by what they scan: --since says how much.
These use your own AWS credentials, found as every AWS tool finds them.`,
		Example: `  eks-x509 audit query --engine cloudtrail-lookup --engine logs-insights --cluster-name my-cluster --aws-profile administrator
  eks-x509 audit query --engine cloudtrail-lookup --since 30d --state sessions.jsonl --answer sessions --aws-profile administrator
  eks-x509 audit query --engine athena --since 7d --verb delete --print-query`,
		Args: cobra.ArbitraryArgs, // pathLists refuses those that are of neither
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := lists.take(args); err != nil {
				return err
			}
			return a.runAuditQuery(cmd.Context(), &f)
		},
	}
	lists.flags = cmd.Flags()
	cmd.Flags().StringArrayVar(&f.engines, "engine", nil, "`NAME` of an engine: "+strings.Join(engines(), ", ")+"; may be repeated")
	addChoices(cmd, "engine", engines()...)
	cmd.Flags().StringVar(&f.answer, "answer", answerTimeline, "what to tell: "+strings.Join(answers(), ", ")+"; raw: the events, a line of JSON each, without secrets")
	addChoices(cmd, "answer", answers()...)
	cmd.Flags().Var(lists.add(&f.cloudtrail), "cloudtrail", "files and folders of CloudTrail's, in place of an engine")
	cmd.Flags().Var(lists.add(&f.kubernetes), "kubernetes", "the same of the cluster's audit log")
	addAuditFlags(cmd, &f.filter)
	cmd.Flags().Lookup("since").Usage += "; default: 24h"
	addAdmin(cmd, &f.admin)
	cmd.Flags().StringVar(&f.cluster, "cluster-name", "", "`NAME` of the cluster whose log group logs-insights asks")
	cmd.Flags().StringVar(&f.logGroup, "log-group", "", "`NAME` of another log group for logs-insights")
	cmd.Flags().IntVar(&f.rows, "row-limit", query.DefaultRows, fmt.Sprintf("at most `N` rows of a query of logs-insights, to %d: more are asked for in parts of the time", query.MaxRows))
	fileVar(cmd.Flags(), &f.state, "state", "", "", "`FILE` for the events of cloudtrail-lookup; with FILE.state, to go on with later")
	cmd.Flags().BoolVar(&f.chained, "chained", false, "look for AssumeRole too: sessions that were got with those of a certificate")
	cmd.Flags().StringVar(&f.workgroup, "workgroup", "", "`NAME` of Athena's workgroup; default: primary")
	cmd.Flags().StringVar(&f.database, "database", "default", "`NAME` of the database with Athena's tables")
	cmd.Flags().StringVar(&f.results, "output-location", "", "`s3://BUCKET/PREFIX` where Athena puts results; default: the workgroup's")
	addTables(cmd, &f.tables)
	cmd.Flags().BoolVar(&f.printQuery, "print-query", false, "print what would be asked, and ask nothing")
	cmd.Flags().SortFlags = false
	return cmd
}

func engines() []string { return []string{engineLookup, engineInsights, engineAthena} }

func answers() []string {
	return []string{answerTimeline, answerWho, answerSessions, answerSummary, answerRaw}
}

// sides are the engines for either log; empty: files, or nothing.
type sides struct{ sessions, actions string }

// sides gives each log its engine. Athena has both; it takes what is left.
func (f *queryFlags) sides() (sides, error) {
	var s sides
	for _, engine := range f.engines {
		switch engine {
		case engineLookup:
			s.sessions = engine
		case engineInsights:
			s.actions = engine
		case engineAthena:
		default:
			return s, misuse("unsupported --engine %q (supported: %s)", engine, strings.Join(engines(), ", "))
		}
	}
	switch {
	case len(f.engines) == 0:
		return s, misuse("no --engine given (supported: %s)", strings.Join(engines(), ", "))
	case s.sessions != "" && f.cloudtrail != nil:
		return s, misuse("--engine %s and --cloudtrail exclude each other", s.sessions)
	case s.actions != "" && f.kubernetes != nil:
		return s, misuse("--engine %s and --kubernetes exclude each other", s.actions)
	case !slices.Contains(f.engines, engineAthena):
		return s, nil
	}
	athena := false
	if s.sessions == "" && f.cloudtrail == nil {
		s.sessions, athena = engineAthena, true
	}
	if s.actions == "" && f.kubernetes == nil {
		s.actions, athena = engineAthena, true
	}
	if !athena {
		return s, misuse("--engine athena is left with nothing to ask: other engines or files have both logs")
	}
	return s, nil
}

// check is what can be said before anybody is asked.
func (f *queryFlags) check(s sides) error {
	if !slices.Contains(answers(), f.answer) {
		return misuse("unsupported --answer %q (supported: %s)", f.answer, strings.Join(answers(), ", "))
	}
	if f.answer == answerRaw && f.filter.output != "table" {
		return misuse("--output and --answer raw exclude each other: raw is lines of JSON")
	}
	if s.actions == engineInsights && f.cluster == "" && f.logGroup == "" {
		return misuse("no --cluster-name and no --log-group given, for --engine logs-insights")
	}
	if f.rows < 1 || f.rows > query.MaxRows {
		return misuse("invalid --row-limit %d: 1 to %d are taken", f.rows, query.MaxRows)
	}
	if f.results != "" {
		if err := query.CheckLocation(f.results); err != nil {
			return &usageError{err}
		}
	}
	if f.state != "" && s.sessions != engineLookup {
		return misuse("--state is for --engine cloudtrail-lookup")
	}
	return f.tables.check()
}

func (a *app) runAuditQuery(ctx context.Context, f *queryFlags) error {
	side, err := f.sides()
	if err == nil {
		err = f.check(side)
	}
	if err != nil {
		return err
	}
	if f.filter.since == "" {
		f.filter.since = "24h"
	}
	now := a.Now()
	o, err := f.filter.options(now)
	if err != nil {
		return err
	}
	if o.Filter.Until.IsZero() {
		o.Filter.Until = now
	}
	if !o.Filter.Since.Before(o.Filter.Until) {
		return misuse("invalid --since %q: it is not past", f.filter.since)
	}
	q := auditQuery{queryFlags: f, side: side, what: query.What{Filter: o.Filter, Chained: f.chained}}
	if f.printQuery {
		return a.out.document([]byte(q.text()))
	}
	logs, err := a.filesOf(f.cloudtrail, f.kubernetes)
	if err != nil {
		return err
	}
	dir, removeDir, err := safefile.TempDir("eks-x509-audit-*")
	if err != nil {
		return err
	}
	defer removeDir()
	defer q.close()
	if q.tools, err = a.queryTools(ctx, f.admin); err != nil {
		return err
	}
	sessions, err := q.fetchSessions(ctx, filepath.Join(dir, "cloudtrail.jsonl"))
	if err != nil {
		return err
	}
	logs[0] = append(logs[0], sessions...)
	if err := a.narrow(ctx, &q, logs[0]); err != nil {
		return err
	}
	actions, err := q.fetchActions(ctx, filepath.Join(dir, "kubernetes.jsonl"))
	if err != nil {
		return err
	}
	// Before anything is written: a pipe that is closed early ends the program.
	// Where files that are open can't be removed, it is done at the end.
	removeDir()
	if f.answer == answerRaw {
		return a.writeRaw(ctx, slices.Concat(sessions, actions))
	}
	return a.answerAudit(ctx, f.answer, logs[0], append(logs[1], actions...), f.filter)
}

// filesOf are those of both logs that were given; none need be.
func (a *app) filesOf(cloudtrail, kubernetes []string) ([][]audit.Input, error) {
	if cloudtrail == nil && kubernetes == nil {
		return make([][]audit.Input, 2), nil
	}
	return a.openLogs(cloudtrail, kubernetes)
}

func (a *app) queryTools(ctx context.Context, f adminFlags) (query.Tools, error) {
	client, err := a.adminClient(ctx, f)
	say := func(line string) { a.progress("%s", line) }
	return query.Tools{Client: client, Wait: wait, Progress: say, Warn: a.warn}, err
}

// mostNarrow is how many sessions are asked for by name: more make no query that an
// engine accepts, and all actions are asked for.
const mostNarrow = 10_000

// narrow asks only about the sessions of a certificate or role: the cluster's log
// knows nothing of certificates.
func (a *app) narrow(ctx context.Context, q *auditQuery, cloudtrail []audit.Input) error {
	f := q.what.Filter
	if q.side.actions == "" || f.Subject == "" && f.Serial == "" && f.Role == "" || slices.Contains(q.cloudtrail, "-") { // which can be read once
		return nil
	}
	r, err := audit.Run(ctx, cloudtrail, nil, audit.Options{Filter: audit.Filter{Subject: f.Subject, Serial: f.Serial, Role: f.Role}})
	if err != nil {
		return err
	}
	if r.Totals.Sessions > mostNarrow {
		return r.Close()
	}
	q.what.Narrow = true
	for s, err := range r.Sessions {
		if err != nil {
			return errors.Join(err, r.Close())
		}
		q.what.Sessions = append(q.what.Sessions, query.Session{AccessKeyID: s.AccessKeyID, ARN: s.AssumedRoleARN, Name: s.Name})
	}
	if r.Totals.Sessions == 0 && f.Subject != "" {
		a.notice("no session of such a certificate found: the cluster's log was not asked")
		q.side.actions = ""
	}
	return r.Close()
}
