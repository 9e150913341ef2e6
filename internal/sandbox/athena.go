package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// athena answers Athena: the queries of eks-x509 over two tables of the database "default", cloudtrail_logs and kubernetes_audit,
// which hold what the sandbox's CloudTrail and its clusters' audit logs hold. Nothing is written to S3.
// https://docs.aws.amazon.com/athena/latest/APIReference/API_StartQueryExecution.html
func (c *call) athena() map[string]func() (any, error) {
	return map[string]func() (any, error){
		"StartQueryExecution": c.startExecution, "GetQueryExecution": c.getExecution, "GetQueryResults": c.executionResults, "StopQueryExecution": c.stopExecution,
	}
}

// execution is a query that was started. It runs until it was asked about once: AWS takes a moment.
type execution struct {
	state, reason, token, text string
	submitted                  time.Time
	columns                    []string
	rows                       [][]*string
	scanned                    int
}

func (c *call) startExecution() (any, error) {
	var in struct {
		QueryString, ClientRequestToken, WorkGroup string
		QueryExecutionContext                      struct{ Database, Catalog string }
		ResultConfiguration                        struct{ OutputLocation string }
	}
	if err := c.readJSON(&in); err != nil {
		return nil, err
	}
	switch {
	case in.QueryString == "" || len(in.QueryString) > 262144:
		return nil, badRequest("InvalidRequestException", "queryString has not 1 to 262144 characters")
	case len(in.ClientRequestToken) < 32 || len(in.ClientRequestToken) > 128:
		return nil, badRequest("InvalidRequestException", "clientRequestToken has not 32 to 128 characters")
	case in.WorkGroup != "" && in.WorkGroup != "primary":
		return nil, badRequest("InvalidRequestException", "WorkGroup %s is not found.", in.WorkGroup)
	case !strings.HasPrefix(in.ResultConfiguration.OutputLocation, "s3://"):
		return nil, badRequest("InvalidRequestException", "No output location provided. An output location is required either through the Workgroup result configuration setting or as an API input.")
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for id, e := range c.s.executions {
		if e.token == in.ClientRequestToken {
			if e.text != in.QueryString {
				return nil, badRequest("InvalidRequestException", "Idempotent parameters do not match")
			}
			return map[string]string{"QueryExecutionId": id}, nil
		}
	}
	e := &execution{state: "RUNNING", token: in.ClientRequestToken, text: in.QueryString, submitted: c.now}
	if err := c.execute(e, in.QueryExecutionContext.Database); err != nil {
		e.reason = err.Error()
	}
	id := newUUID()
	c.s.executions[id] = e
	return map[string]string{"QueryExecutionId": id}, nil
}

// execute runs the query; an error is why Athena would give it up.
func (c *call) execute(e *execution, database string) error {
	q, err := parseSQL(e.text)
	if err != nil {
		return fmt.Errorf("SYNTAX_ERROR: the sandbox runs only what eks-x509 audit query asks: %w", err)
	}
	var rows []sqlRow
	switch q.table {
	case "cloudtrail_logs":
		for _, event := range c.s.events.items {
			rows = append(rows, cloudTrailRow(event))
		}
	case "kubernetes_audit":
		for _, r := range c.s.audit.items {
			rows = append(rows, sqlRow{"message": &r.message, "timestamp": new(r.at.Format("2006/01/02/15"))})
		}
	}
	if database != "" && database != "default" || q.table != "cloudtrail_logs" && q.table != "kubernetes_audit" {
		return fmt.Errorf("TABLE_NOT_FOUND: line 2:6: Table 'awsdatacatalog.%s.%s' does not exist", database, q.table)
	}
	for _, name := range q.names {
		if !slices.Contains(strings.Fields(columnsOf(q.table)), name) {
			return fmt.Errorf("COLUMN_NOT_FOUND: Column '%s' cannot be resolved", name)
		}
	}
	e.columns = q.aliases
	for _, row := range rows {
		for _, v := range row {
			e.scanned += len(*v)
		}
		if !q.where(row.value) {
			continue
		}
		var out []*string
		for _, name := range q.columns {
			out = append(out, row[name])
		}
		e.rows = append(e.rows, out)
	}
	return nil
}

// columnsOf the tables that eks-x509 audit schema defines.
func columnsOf(table string) string {
	if table == "kubernetes_audit" {
		return "message timestamp"
	}
	return "eventversion useridentity.type useridentity.principalid useridentity.arn useridentity.accountid useridentity.accesskeyid useridentity.invokedby eventtime eventsource eventname " +
		"awsregion sourceipaddress useragent errorcode errormessage requestparameters responseelements additionaleventdata requestid eventid readonly eventtype " +
		"recipientaccountid account region timestamp"
}

// sqlRow is a row by its columns; what is not in it is NULL.
type sqlRow map[string]*string

func (r sqlRow) value(name string) (string, bool) {
	column, path, isJSON := strings.Cut(name, " ")
	v := r[column]
	if v == nil {
		return "", false
	}
	if isJSON {
		return jsonField([]byte(*v), strings.Split(path, "\x00")...)
	}
	return *v, true
}

// cloudTrailRow is an event as the JSON SerDe reads it: names in lower case, objects as text.
func cloudTrailRow(e Event) sqlRow {
	row := sqlRow{"account": &e.RecipientAccountID, "region": &e.AWSRegion}
	if at, err := time.Parse(time.RFC3339, e.EventTime); err == nil {
		row["timestamp"] = new(at.UTC().Format("2006/01/02"))
	}
	line, err := encodeLine(e)
	if err != nil {
		return row
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(line, &fields) != nil {
		return row
	}
	for name, raw := range fields {
		name = strings.ToLower(name)
		var inner map[string]string
		text := string(raw)
		switch {
		case text == "null":
			continue
		case name == "useridentity" && json.Unmarshal(raw, &inner) == nil:
			for k, v := range inner {
				row[name+"."+strings.ToLower(k)] = &v
			}
			continue
		case raw[0] == '"':
			_ = json.Unmarshal(raw, &text) // our own
		}
		row[name] = &text
	}
	return row
}

func (c *call) execution() (*execution, string, error) {
	var in struct{ QueryExecutionId string } //nolint:revive // Athena's name
	if err := c.readJSON(&in); err != nil {
		return nil, "", err
	}
	e := c.s.executions[in.QueryExecutionId]
	if e == nil {
		return nil, "", badRequest("InvalidRequestException", "QueryExecution %s was not found", in.QueryExecutionId)
	}
	return e, in.QueryExecutionId, nil
}

func (c *call) getExecution() (any, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	e, id, err := c.execution()
	if err != nil {
		return nil, err
	}
	status := map[string]any{"State": e.state, "SubmissionDateTime": e.submitted.Unix()}
	if e.state == "FAILED" {
		status["StateChangeReason"] = e.reason
	}
	if e.state == "RUNNING" {
		e.state = "SUCCEEDED"
		if e.reason != "" {
			e.state = "FAILED"
		}
	}
	return map[string]any{"QueryExecution": map[string]any{
		"QueryExecutionId": id, "Query": e.text, "Status": status, "Statistics": map[string]any{"DataScannedInBytes": e.scanned},
	}}, nil
}

func (c *call) stopExecution() (any, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	e, _, err := c.execution()
	if err != nil {
		return nil, err
	}
	if e.state == "RUNNING" {
		e.state = "CANCELLED"
	}
	return struct{}{}, nil
}

func (c *call) executionResults() (any, error) {
	var in struct {
		QueryExecutionId, NextToken string //nolint:revive // Athena's name
		MaxResults                  *int
	}
	if err := c.readJSON(&in); err != nil {
		return nil, err
	}
	size := 1000
	if in.MaxResults != nil {
		size = *in.MaxResults
	}
	if size < 1 || size > 1000 {
		return nil, badRequest("InvalidRequestException", "MaxResults %d is not in 1 to 1000", size)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	e := c.s.executions[in.QueryExecutionId]
	switch {
	case e == nil:
		return nil, badRequest("InvalidRequestException", "QueryExecution %s was not found", in.QueryExecutionId)
	case e.state != "SUCCEEDED":
		return nil, badRequest("InvalidRequestException", "Query has not yet finished. Current state: %s", e.state)
	}
	// The first row of all has the names of the columns.
	header := make([]*string, len(e.columns))
	for i := range e.columns {
		header[i] = &e.columns[i]
	}
	all := slices.Concat([][]*string{header}, e.rows)
	start := 0
	if in.NextToken != "" {
		var err error
		if start, err = strconv.Atoi(in.NextToken); err != nil || start < 0 || start > len(all) {
			return nil, badRequest("InvalidRequestException", "malformed NextToken")
		}
	}
	end := min(start+size, len(all))
	rows := []any{}
	for _, row := range all[start:end] {
		data := []any{}
		for _, v := range row {
			cell := map[string]string{}
			if v != nil {
				cell["VarCharValue"] = *v
			}
			data = append(data, cell)
		}
		rows = append(rows, map[string]any{"Data": data})
	}
	out := map[string]any{"ResultSet": map[string]any{"Rows": rows}, "UpdateCount": 0}
	if end < len(all) {
		out["NextToken"] = strconv.Itoa(end)
	}
	return out, nil
}
