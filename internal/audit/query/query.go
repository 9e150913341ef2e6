// Package query fetches the two logs from where AWS keeps them: CloudTrail's
// event history, CloudWatch Logs Insights, Athena. Each gives lines of JSON, an
// event a line, as package audit reads them from files.
//
// What an engine is asked to leave out is only what package audit would leave
// out as well: a query may give too much, never too little.
//
//	https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
//	https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html
//	https://docs.aws.amazon.com/athena/latest/APIReference/API_StartQueryExecution.html
package query

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/audit"
	"github.com/eks-x509/eks-x509/internal/awsapi"
)

// Tools are what every engine works with; all are needed.
type Tools struct {
	Client awsapi.Client
	Wait   func(context.Context, time.Duration) error // a pause that an interrupt ends
	// Progress is told how far it is, Warn what is missing from the answer.
	Progress, Warn func(line string)
}

// What is asked for.
type What struct {
	Filter  audit.Filter // Since and Until are needed
	Chained bool         // the sessions that were got with those of a certificate, too
	// Narrow: Sessions are all that CloudTrail has and that pass the filter's subject,
	// serial number and role. Only with these is anybody asked about sessions alone.
	Narrow   bool
	Sessions []Session
}

// Session is what the API server's log knows of one.
type Session struct{ AccessKeyID, ARN, Name string }

// sessionReach is how long before an action its session may have begun: 12 hours
// are the most that Roles Anywhere gives, one more for an AssumeRole at their end
// (role chaining), a quarter for a token made then.
const sessionReach = 13*time.Hour + 15*time.Minute

// logLag is how much later than the event a log may have put its time.
const logLag = 5 * time.Minute

// sessionsSince is where to begin to look for sessions.
func (w What) sessionsSince() time.Time { return w.Filter.Since.Add(-sessionReach) }

// Failed is a query that an engine gave up.
type Failed struct{ Engine, ID, Status, Reason string }

func (e *Failed) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("%s query %s ended as %s", e.Engine, e.ID, e.Status)
	}
	return fmt.Sprintf("%s query %s ended as %s: %s", e.Engine, e.ID, e.Status, e.Reason)
}

const (
	maxAnswer  = 256 << 20 // a page of 1000 log lines, of which each may have 256 KB
	maxBackoff = 32 * time.Second
	// stopTimeout is what an interrupted query gets to be stopped in; the program
	// ends 3 seconds after the interrupt.
	stopTimeout = 2 * time.Second
	maxPoll     = 5 * time.Second
	// longestQuery is beyond what the services let one run: Athena 30 minutes, Insights 60.
	longestQuery = 65 * time.Minute
)

// ask does one call, again after a pause as long as AWS says that it is too much.
func (t Tools) ask(ctx context.Context, service awsapi.JSONService, operation string, in, out any) error {
	client := t.Client
	client.MaxAnswer = maxAnswer
	for pause := time.Second; ; pause *= 2 {
		err := client.JSON(ctx, service, operation, in, out)
		if !throttled(err) || pause > maxBackoff {
			return err
		}
		if err := t.Wait(ctx, pause); err != nil {
			return err
		}
	}
}

func code(err error) string {
	if e, ok := errors.AsType[*awsapi.Error](err); ok {
		return e.Code
	}
	return ""
}

// throttled: each service has its own word. LimitExceededException is that of too
// many Insights queries at once.
func throttled(err error) bool {
	c := code(err)
	return strings.Contains(c, "Throttl") || c == "TooManyRequestsException" || c == "LimitExceededException"
}

// poll asks until it is done, with longer and longer pauses. If it comes to
// nothing, stop is called with time of its own.
func (t Tools) poll(ctx context.Context, engine string, ask func() (done bool, err error), stop func(context.Context) error) error {
	var waited time.Duration
	for pause := time.Second / 4; ; pause = min(pause*2, maxPoll) {
		done, err := ask()
		if done {
			return err
		}
		if waited += pause; err == nil && waited > longestQuery {
			err = awsapi.Overdue(engine, "the query", longestQuery)
		}
		if err == nil {
			err = t.Wait(ctx, pause)
		}
		if err != nil {
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			_ = stop(bounded) // the first error says more
			return err
		}
	}
}

// size is for a person.
func size(bytes int64) string {
	const unit = 1000
	if bytes < unit {
		return fmt.Sprintf("%d bytes", bytes)
	}
	n, i := float64(bytes)/unit, 0
	for ; n >= unit && i < len("kMGTPE")-1; i++ {
		n /= unit
	}
	return fmt.Sprintf("%.1f %cB", n, "kMGTPE"[i])
}
