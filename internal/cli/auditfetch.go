package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/audit"
	"github.com/eks-x509/eks-x509/internal/audit/query"
	"github.com/eks-x509/eks-x509/internal/safefile"
	"github.com/eks-x509/eks-x509/internal/safetext"
)

// auditQuery is one run of audit query.
type auditQuery struct {
	*queryFlags
	side  sides
	what  query.What
	tools query.Tools
	files []*os.File // that were fetched
}

func (q *auditQuery) close() {
	for _, f := range q.files {
		_ = f.Close() // it was read only
	}
}

func (q *auditQuery) insights() query.Insights {
	group := q.logGroup
	if group == "" {
		group = query.LogGroup(q.cluster)
	}
	return query.Insights{Tools: q.tools, What: q.what, LogGroup: group, Rows: q.rows}
}

func (q *auditQuery) athena() query.Athena {
	return query.Athena{
		Tools: q.tools, What: q.what, Workgroup: q.workgroup, Database: q.database, Output: q.results,
		CloudTrailTable: q.tables.cloudTrail, AuditTable: q.tables.audit, Layout: query.Layout(q.tables.layout),
	}
}

// text is what would be asked, to be pasted where it is asked.
func (q *auditQuery) text() string {
	var texts []string
	switch q.side.sessions {
	case engineLookup:
		texts = append(texts, query.Lookup{What: q.what}.Text())
	case engineAthena:
		texts = append(texts, q.athena().CloudTrailSQL()+";\n")
	}
	switch q.side.actions {
	case engineInsights:
		i := q.insights()
		from, to := i.Range()
		texts = append(texts, fmt.Sprintf("# log group %s, %s to %s, at most %d rows\n%s\n", i.LogGroup, from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339), i.Rows, i.Text()))
	case engineAthena:
		texts = append(texts, q.athena().AuditSQL()+";\n")
	}
	return strings.Join(texts, "\n")
}

// fetchSessions puts CloudTrail's side into the file.
func (q *auditQuery) fetchSessions(ctx context.Context, path string) ([]audit.Input, error) {
	switch q.side.sessions {
	case engineLookup:
		if q.state != "" {
			path = q.state
		}
		if err := (query.Lookup{Tools: q.tools, What: q.what, File: path}).Fetch(ctx); err != nil {
			return nil, err
		}
	case engineAthena:
		if err := spool(path, q.athena().CloudTrailLines(ctx)); err != nil {
			return nil, err
		}
	default:
		return nil, nil
	}
	return q.fetched(q.side.sessions, path)
}

// fetchActions puts the cluster's side into the file.
func (q *auditQuery) fetchActions(ctx context.Context, path string) ([]audit.Input, error) {
	var lines iter.Seq2[[]byte, error]
	switch q.side.actions {
	case engineInsights:
		lines = q.insights().Lines(ctx)
	case engineAthena:
		lines = q.athena().AuditLines(ctx)
	default:
		return nil, nil
	}
	if err := spool(path, lines); err != nil {
		return nil, err
	}
	return q.fetched(q.side.actions, path)
}

// fetched opens what is read from now on, for its name may go.
func (q *auditQuery) fetched(engine, path string) ([]audit.Input, error) {
	f, err := safefile.OpenRegular(path)
	if err != nil {
		return nil, err
	}
	q.files = append(q.files, f)
	return []audit.Input{{Name: engine, Open: func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(f, 0, math.MaxInt64)), nil }}}, nil
}

// spool writes lines to a new file: what an engine gives may be more than memory
// holds, and is read more than once.
func spool(path string, lines iter.Seq2[[]byte, error]) error {
	f, err := safefile.CreateFile(path, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 64<<10)
	for line, err := range lines {
		if err != nil {
			return err
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return errors.Join(out.Flush(), f.Close())
}

// writeRaw is the answer raw.
func (a *app) writeRaw(ctx context.Context, inputs []audit.Input) error {
	for _, in := range inputs {
		r, err := in.Open()
		if err != nil {
			return err
		}
		if err := errors.Join(copyJSONLines(interruptible{ctx, a.out.stream()}, r), r.Close()); err != nil {
			return fmt.Errorf("writing output: %w", err)
		}
	}
	return nil
}

// copyJSONLines copies lines of JSON, with escapes in place of what a terminal obeys.
func copyJSONLines(w io.Writer, r io.Reader) error {
	for lines := bufio.NewReaderSize(r, 64<<10); ; {
		line, err := lines.ReadBytes('\n')
		if _, err := w.Write(safetext.JSON(line)); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
