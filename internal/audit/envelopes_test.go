package audit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"go.yaml.in/yaml/v3"
)

const auditStream = "kube-apiserver-audit-0123456789abcdef0123456789abcdef"

func utf16Of(text string, big, mark bool) string {
	var b strings.Builder
	units := utf16.Encode([]rune(text))
	if mark {
		units = append([]uint16{0xfeff}, units...)
	}
	for _, u := range units {
		if big {
			b.WriteByte(byte(u >> 8))
		}
		b.WriteByte(byte(u))
		if !big {
			b.WriteByte(byte(u >> 8))
		}
	}
	return b.String()
}

// eachLine makes a line of each event.
func eachLine(t testing.TB, events []m, line func(event string) string) string {
	t.Helper()
	var b strings.Builder
	for _, e := range events {
		b.WriteString(line(encode(t, e)) + "\n")
	}
	return b.String()
}

func all[T any](events []m, make func(m) T) (list []T) {
	for _, e := range events {
		list = append(list, make(e))
	}
	return list
}

func yamlOf(t testing.TB, v any) string {
	t.Helper()
	b, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// forms are those in which either log comes from what people use.
func forms(t testing.TB, events []m) map[string]string {
	t.Helper()
	text := func(e m) string { return encode(t, e) }
	plain := lines(t, events...)
	messages := func(e m) m {
		return m{"logStreamName": auditStream, "timestamp": 1796054227000, "message": text(e), "ingestionTime": 1796054227000, "eventId": "1"}
	}
	subscription := func(e m) string {
		return encode(t, m{"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "/aws/other", "logStream": auditStream, "subscriptionFilters": []any{"f"}, "logEvents": []any{m{"id": "1", "timestamp": 1, "message": text(e)}}})
	}
	base64gzip := func(e m) string { return base64.StdEncoding.EncodeToString([]byte(zip(subscription(e)))) }
	cells := func(e m) []any {
		return []any{m{"field": "@timestamp", "value": "2026-11-30 15:57:07.938"}, m{"field": "@message", "value": text(e)}, m{"field": "@logStream", "value": auditStream}, m{"field": "@ptr", "value": "x"}}
	}
	return map[string]string{
		"UTF-16, little, marked":  utf16Of(plain, false, true),
		"UTF-16, big, marked":     utf16Of(plain, true, true),
		"UTF-16, little":          utf16Of(plain, false, false),
		"UTF-16, big":             utf16Of(plain, true, false),
		"UTF-16, indented, CRLF":  utf16Of(strings.ReplaceAll(indent(t, encode(t, m{"events": all(events, messages)})), "\n", "\r\n"), false, true),
		"UTF-16 in gzip":          zip(utf16Of(plain, false, true)),
		"byte order mark, CRLF":   "\ufeff" + strings.ReplaceAll(plain, "\n", "\r\n"),
		"gzip in gzip":            zip(zip(plain)),
		"gzip, four times":        zip(zip(zip(zip(plain)))),
		"members, in gzip":        zip(eachMember(t, events, "")),
		"members, newlines, gzip": zip(eachMember(t, events, "\n")),
		"members and newlines":    eachMember(t, events, "\n"),
		"logs tail":               eachLine(t, events, func(e string) string { return "2026-11-30T15:57:07.938000+00:00 " + auditStream + " " + e }),
		"logs tail, short":        eachLine(t, events, func(e string) string { return "2026-11-30T15:57:07 " + e }),
		"logs tail, json":         eachLine(t, events, func(e string) string { return "2026-11-30T15:57:07.938000+00:00 " + auditStream + " " + indent(t, e) }),
		"logs tail, json, apart":  eachLine(t, events, func(e string) string { return "2026-11-30T15:57:07.938000+00:00 " + auditStream + "\n" + indent(t, e) }),
		"logs tail, colours": eachLine(t, events, func(e string) string {
			return "\x1b[32m2026-11-30T15:57:07.938000+00:00\x1b[0m \x1b[36m" + auditStream + "\x1b[0m " + e
		}),
		"CRI":       eachLine(t, events, func(e string) string { return "2026-11-30T15:57:07.938834123Z stdout F " + e }),
		"CRI, tags": eachLine(t, events, func(e string) string { return "2026-11-30T15:57:07.938834123+01:00 stderr F:x " + e }),
		"CRI, parts": eachLine(t, events, func(e string) string {
			const head = "2026-11-30T15:57:07.938834123Z stdout "
			return head + "P " + e[:7] + "\n" + head + "P " + e[7:90] + "\n" + head + "F " + e[90:]
		}),
		"Docker": eachLine(t, events, func(e string) string { return encode(t, m{"log": e + "\n", "stream": "stdout", "time": "x"}) }),
		"Docker, parts": eachLine(t, events, func(e string) string {
			e = strings.Repeat(" ", 20<<10) + e
			return `{"log":` + encode(t, e[:18<<10]) + `,"stream":"stdout"}` + "\n" + `{"log":` + encode(t, e[18<<10:]+"\n") + `,"stream":"stdout"}`
		}),
		"jq, without -r":           eachLine(t, events, func(e string) string { return encode(t, e) }),
		"--query, strings":         encode(t, all(events, text)),
		"--query, strings, lines":  indent(t, encode(t, all(events, text))),
		"--query, lists":           indent(t, encode(t, all(events, func(e m) []any { return []any{1796054227000, text(e)} }))),
		"--query, lists of one":    encode(t, all(events, func(e m) []any { return []any{text(e)} })),
		"--query, objects":         indent(t, encode(t, all(events, func(e m) m { return m{"at": 1, "message": text(e)} }))),
		"--query, text":            strings.Join(all(events, text), "\t") + "\n",
		"--query, text, columns":   eachLine(t, events, func(e string) string { return "1796054227000\t" + e }),
		"--output yaml":            yamlOf(t, m{"events": all(events, messages), "searchedLogStreams": []any{}}),
		"--output yaml-stream":     yamlOf(t, []any{m{"events": all(events[:1], messages)}, m{"events": all(events[1:], messages)}}),
		"--output yaml, strings":   yamlOf(t, all(events, text)),
		"--output yaml, results":   yamlOf(t, m{"results": all(events, cells)}),
		"GetQueryResults":          encode(t, m{"queryLanguage": "CWLI", "results": all(events, cells), "status": "Complete", "statistics": m{"recordsMatched": 3}}),
		"GetQueryResults, lines":   indent(t, encode(t, m{"queryLanguage": "CWLI", "results": all(events, cells), "status": "Complete"})),
		"console, JSON":            encode(t, all(events, func(e m) m { return m{"@timestamp": "2026-11-30 15:57:07.938", "@message": e} })),
		"console, JSON, text":      indent(t, encode(t, all(events, func(e m) m { return m{"@timestamp": "2026-11-30 15:57:07.938", "@message": text(e)} }))),
		"console, CSV":             "@timestamp,@message\n" + eachLine(t, events, func(e string) string { return "2026-11-30 15:57:07.938," + quote(e) }),
		"console, CSV, CRLF, mark": "\ufeff\"@message\",\"@timestamp\"\r\n" + strings.ReplaceAll(eachLine(t, events, func(e string) string { return quote(e) + ",x" }), "\n", "\r\n"),
		"CSV, indented events":     "@logStream,@message\n" + eachLine(t, events, func(e string) string { return auditStream + "," + quote(indent(t, e)) }),
		"Athena, CSV":              "\"message\"\n" + eachLine(t, events, quote),
		"Athena, JSON": encode(t, m{"UpdateCount": 0, "ResultSet": m{"Rows": append([]any{m{"Data": []any{m{"VarCharValue": "message"}}}}, all(events, func(e m) any { return m{"Data": []any{m{"VarCharValue": text(e)}}} })...),
			"ResultSetMetadata": m{"ColumnInfo": []any{m{"Name": "message"}}}}}),
		"EventBridge":         eachLine(t, events, func(e string) string { return `{"version":"0","detail-type":"x","source":"x","detail":` + e + `}` }),
		"SQS":                 indent(t, encode(t, m{"Messages": all(events, func(e m) m { return m{"MessageId": "1", "Body": text(e)} })})),
		"SNS in SQS":          encode(t, m{"Messages": all(events, func(e m) m { return m{"Body": encode(t, m{"Type": "Notification", "Message": text(e)})} })}),
		"subscription":        eachLine(t, events, func(e string) string { var v m; _ = json.Unmarshal([]byte(e), &v); return subscription(v) }),
		"subscription, close": strings.Join(all(events, subscription), ""),
		"Lambda":              strings.Join(all(events, func(e m) string { return encode(t, m{"awslogs": m{"data": base64gzip(e)}}) }), "\n"),
		"Kinesis":             encode(t, m{"Records": all(events, func(e m) m { return m{"kinesis": m{"data": base64gzip(e)}} })}),
		"Kinesis, the CLI's":  indent(t, encode(t, m{"Records": all(events, func(e m) m { return m{"Data": base64gzip(e), "SequenceNumber": "1"} }), "NextShardIterator": "x"})),
		"base64 of JSON":      encode(t, m{"Records": all(events, func(e m) m { return m{"Data": base64.StdEncoding.EncodeToString([]byte(text(e)))} })}),
		"base64, lines":       strings.Join(all(events, base64gzip), "\n"),
		"OCSF with raw_data": eachLine(t, events, func(e string) string {
			return encode(t, m{"class_uid": 6003, "message": "ResponseComplete", "raw_data": e})
		}),
		"Elasticsearch": eachLine(t, events, func(e string) string { return `{"_index":"x","_source":{"message":` + encode(t, e) + `}}` }),
		"Splunk":        eachLine(t, events, func(e string) string { return `{"preview":false,"result":{"_raw":` + encode(t, e) + `}}` }),
		"Fluent Bit":    eachLine(t, events, func(e string) string { return `{"log_processed":` + e + `,"kubernetes":{}}` }),
	}
}

func eachMember(t testing.TB, events []m, between string) string {
	return strings.Join(all(events, func(e m) string { return zip(encode(t, e) + "\n") }), between) + between
}

// Whatever a log is wrapped in, it tells the same, and nothing is called damaged.
func TestEnvelopes(t *testing.T) {
	t.Parallel()
	trail := []m{created("ASIA1", "0a01", "alice", at(0), nil), created("ASIA2", "0b02", "bob", at(5), nil), assumed("ASIA3", "ASIA2", "ops", at(6))}
	events := []m{did("11111111-1111-4111-8111-111111111111", "ASIA1", "", "", at(1), nil), did("22222222-2222-4222-8222-222222222222", "ASIA3", "", "", at(7), forbidden),
		did("44444444-4444-4444-8444-444444444444", "ASIA1", "", "", at(9), func(e m) { e["userAgent"] = `it's a "quoted" \ {[ü] agent: - x, # y ` + strings.Repeat("long ", 50) })}
	want := told(t, audit(t, log(lines(t, trail...)), log(lines(t, events...)), Options{}))
	check := func(what string, r *Result) {
		t.Helper()
		equal(t, what, told(t, r), want)
		equal(t, what+": damage", r.Damage, []Damage(nil))
	}
	for _, block := range []int{128, 1000, 0} /* a block holds what a line begins with */ {
		for name, text := range forms(t, events) {
			check(fmt.Sprint("Kubernetes: ", name, " by ", block), audit(t, log(lines(t, trail...)), log(text), Options{Workers: 2, block: block}))
		}
		for name, text := range forms(t, trail) {
			check(fmt.Sprint("CloudTrail: ", name, " by ", block), audit(t, log(text), log(lines(t, events...)), Options{Workers: 2, block: block}))
		}
	}
	text := func(e m) string { return encode(t, e) }
	row := func(e m) []any {
		var row []any
		for _, key := range []string{"eventName", "eventSource", "eventTime", "eventID", "awsRegion", "sourceIPAddress", "userAgent", "eventVersion", "recipientAccountId"} {
			if value, ok := e[key].(string); ok {
				row = append(row, m{key: value})
			}
		}
		return append(row, m{"requestParameters": encode(t, e["requestParameters"])}, m{"responseElements": encode(t, e["responseElements"])}, m{"userIdentity": hive(e["userIdentity"].(m))})
	}
	athena := "\"useridentity\",\"eventname\",\"eventsource\",\"eventtime\",\"eventid\",\"awsregion\",\"sourceipaddress\",\"useragent\",\"errorcode\",\"requestparameters\",\"responseelements\"\n"
	flat := "useridentity.type,useridentity.accesskeyid,eventname,eventsource,eventtime,eventid,awsregion,sourceipaddress,useragent,requestparameters,responseelements\n"
	for _, e := range trail {
		who := e["userIdentity"].(m)
		fields := []string{fmt.Sprint(e["eventName"]), fmt.Sprint(e["eventSource"]), fmt.Sprint(e["eventTime"]), fmt.Sprint(e["eventID"]), orEmpty(e["awsRegion"]), orEmpty(e["sourceIPAddress"]), orEmpty(e["userAgent"])}
		parts := []string{encode(t, e["requestParameters"]), encode(t, e["responseElements"])}
		athena += strings.Join(append(append(append([]string{quote(hive(who))}, quoteAll(fields)...), ""), quoteAll(parts)...), ",") + "\n"
		flat += strings.Join(append(append([]string{fmt.Sprint(who["type"]), orEmpty(who["accessKeyId"])}, quoteAll(fields)...), quoteAll(parts)...), ",") + "\n"
	}
	for name, form := range map[string]string{
		"LookupEvents, yaml": yamlOf(t, m{"Events": all(trail, func(e m) m {
			return m{"EventId": "1", "Resources": []any{m{"ResourceName": "x"}}, "CloudTrailEvent": text(e)}
		})}),
		"LookupEvents, text":       eachLine(t, trail, func(e string) string { return "EVENTS\t" + e + "\t1\tCreateSession\nRESOURCES\tx\ty" }),
		"LookupEvents, strings":    indent(t, encode(t, all(trail, text))),
		"Lake, eventJson":          encode(t, m{"QueryStatus": "FINISHED", "QueryResultRows": all(trail, func(e m) []any { return []any{m{"eventJson": text(e)}} })}),
		"Lake, columns":            indent(t, encode(t, m{"QueryStatus": "FINISHED", "QueryResultRows": all(trail, row)})),
		"Lake, CSV":                "eventJson,eventName\n" + eachLine(t, trail, func(e string) string { return quote(e) + ",x" }),
		"Athena, CSV":              athena,
		"Athena, our query":        flat,
		"EventBridge through SQS":  encode(t, m{"Messages": all(trail, func(e m) m { return m{"Body": encode(t, m{"detail-type": "AWS API Call via CloudTrail", "detail": e})} })}),
		"CloudTrail by log export": eachLine(t, trail, func(e string) string { return "2026-11-30T15:57:07.938Z " + e }),
	} {
		for _, block := range []int{64, 0} {
			check(fmt.Sprint("CloudTrail: ", name, " by ", block), audit(t, log(form), log(lines(t, events...)), Options{block: block}))
		}
	}
	logsText := eachLine(t, events, func(e string) string {
		return "EVENTS\t1\t1796054227000\t" + auditStream + "\t" + e + "\t1796054227000"
	}) + "SEARCHEDLOGSTREAMS\t" + auditStream + "\tTrue\n"
	check("FilterLogEvents, text", audit(t, log(lines(t, trail...)), log(logsText), Options{}))
	logsText = "b/1/s\tf/2/s\n" + eachLine(t, events, func(e string) string { return "EVENTS\t1796054227000\t" + e + "\t1796054227000" })
	check("GetLogEvents, text", audit(t, log(lines(t, trail...)), log(logsText), Options{}))
	logsText = "2026 complete\n" + eachLine(t, events, func(e string) string {
		return "RESULTS\t@timestamp\t2026\nRESULTS\t@message\t" + e + "\nRESULTS\t@ptr\tx"
	})
	check("GetQueryResults, text", audit(t, log(lines(t, trail...)), log(logsText[len("2026 complete\n"):]), Options{}))
}

func orEmpty(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func quoteAll(list []string) (quoted []string) {
	for _, s := range list {
		quoted = append(quoted, quote(s))
	}
	return quoted
}

// hive is a struct as Athena shows it.
func hive(v m) string {
	return fmt.Sprintf("{type=%v, principalid=null, sessioncontext={attributes={accesskeyid=WRONG, type=x}}, invokedby=%v, accesskeyid=%v, username=null}", v["type"], orEmpty(v["invokedBy"]), orEmpty(v["accessKeyId"]))
}

// Each line and document is an event, or is counted by what it is.
func TestNothingIsDropped(t *testing.T) {
	t.Parallel()
	event := encode(t, did("1", "ASIA1", "", "", at(1), nil))
	trail := encode(t, created("ASIA1", "0a01", "alice", at(0), nil))
	other := func(stream, message string) string {
		return encode(t, m{"events": []any{m{"logStreamName": stream, "message": message}}})
	}
	for name, c := range map[string]struct {
		text, ignored, damage string
		actions               int64
	}{
		"test":                         {"Permission Check Successful\n", "tests of a CloudWatch Logs export 1", "", 0},
		"digest":                       {`{"digestStartTime":"x","logFiles":[]}`, "CloudTrail digests 1", "", 0},
		"digest of Lake":               {`{"version":"1.0","files":[{"fileHashValue":"x"}],"hashSignature":"x","queryCompleteTime":"x"}`, "CloudTrail digests 1", "", 0},
		"Insights events":              {`{"Records":[{"eventVersion":"1.07","eventType":"AwsCloudTrailInsight","eventCategory":"Insight","insightDetails":{}}]}`, "CloudTrail Insights events 1", "", 0},
		"control message":              {`{"messageType":"CONTROL_MESSAGE","logEvents":[{"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}` + "\n" + event, "control messages of CloudWatch Logs 1", "", 1},
		"klog":                         {event + "\nI1124 10:00:00.000000 1 a.go:1] x\ntime=\"x\" level=info\n", "lines of other log streams 2", "", 1},
		"export, other streams":        {"2026-11-30T15:57:07.938Z Trace[1]: x\n2026-11-30T15:57:07.938Z {\"ts\":1}\n2026-11-30T15:57:07.938Z " + event, "lines of other log streams 2", "", 1},
		"logs tail, other streams":     {"2026-11-30T15:57:07+00:00 kube-scheduler-0 I1130 x\n2026-11-30T15:57:07+00:00 authenticator-0 {\"a\":1}\n2026-11-30T15:57:07+00:00 " + auditStream + " " + event, "lines of other log streams 2", "", 1},
		"logs tail, the audit log":     {"2026-11-30T15:57:07+00:00 " + auditStream + " cut\n2026-11-30T15:57:07+00:00 " + auditStream + " {\"a\":1}\n", "", whyNotJSON + " 1 " + whyOther + " 1", 0},
		"events, another stream":       {other("kube-scheduler-0", "{\"ts\":1}"), "lines of other log streams 1", "", 0},
		"events, words":                {other("kube-scheduler-0", "Trace"), "lines of other log streams 1", "", 0},
		"events, the audit log":        {other(auditStream, "half a li"), "", whyNotJSON + " 1", 0},
		"events, cut":                  {other(auditStream, event[:100]), "", whyJSON + " 1", 0},
		"events, the other log":        {other("x", trail), "", whyOther + " 1", 0},
		"text, another stream":         {"EVENTS\t1\t1\tkube-scheduler-0\tTrace\t1\nSEARCHEDLOGSTREAMS\tx\tTrue\nNone\n", "lines of other log streams 1 lines of the AWS CLI without an event 2", "", 0},
		"text, the audit log":          {"EVENTS\t1\t1\t" + auditStream + "\thalf\t1\n", "", whyNotJSON + " 1", 0},
		"yaml, metadata":               {"events: []\nsearchedLogStreams:\n- logStreamName: x\n  searchedCompletely: true\nnextToken: x\n", "", "", 0},
		"yaml, another list":           {"events:\n- message: '" + event + "'\nsearchedLogStreams:\n- logStreamName: x\nresults:\n- logStreamName: y\nsomething: x\n", "lines of the AWS CLI without an event 1", whyOther + " 1", 1},
		"yaml, malformed":              {"events:\n- message: 'x\n  y: [\n", "", whyYAML + " 1", 0},
		"rows without the event":       {encode(t, m{"results": []any{[]any{m{"field": "user.username", "value": "x"}, m{"field": "verb", "value": "get"}}}}), "", whyRow + " 1", 0},
		"Lake without JSON":            {encode(t, m{"QueryResultRows": []any{[]any{m{"eventName": "CreateSession"}, m{"requestParameters": "{a=b}"}, m{"responseElements": "{a=b}"}}}}), "", whyColumns + " 1", 0},
		"Lake, too few columns":        {encode(t, m{"QueryResultRows": []any{[]any{m{"eventName": "CreateSession"}}}}), "", whyColumns + " 1", 0},
		"event history, CSV":           {"User name,AWS access key,Event time,eventName\na,b,c,CreateSession\n", "", whyColumns + " 1", 0},
		"CSV, another stream":          {"@logStream,@message\nkube-scheduler-0,x\n" + auditStream + ",half\n", "lines of other log streams 1", whyNotJSON + " 1", 0},
		"CSV, cut":                     {"@message\n" + quote(event) + "\n\"{\"\"a", "", whyCut + " 1", 1},
		"CRI, cut":                     {"2026-11-30T15:57:07Z stdout F " + event + "\n2026-11-30T15:57:07Z stdout P {\"a", "", whyCut + " 1", 1},
		"CRI, words":                   {"2026-11-30T15:57:07Z stdout F panic: x\n", "lines of other log streams 1", "", 0},
		"words":                        {"an old poem\n", "", whyNotJSON + " 1", 0},
		"a text in JSON":               {"\"an old poem\"\n", "", whyOther + " 1", 0},
		"null":                         {event + "\nnull\n", "", whyNotJSON + " 1", 1},
		"OCSF":                         {`{"class_uid":6003,"message":"ResponseComplete","unmapped":{}}`, "", whyOCSF + " 1", 0},
		"within too many":              {strings.Repeat(`{"detail":{"body":`, 1) + deepText(t, event, 9) + "}}", "", whyWrapped + " 1", 0},
		"base64 of rubbish":            {`{"awslogs":{"data":"H4sIAAAAAAAAAAAAAAAAAAAA"}}`, "", whyPacked + " 1", 0},
		"an application's log":         {`{"level":"info","msg":"x"}`, "", whyOther + " 1", 0},
		"nothing but a time":           {"2026-11-30T15:57:07.938Z \n\n", "", "", 0},
		"an empty answer":              {`{"events":[],"searchedLogStreams":[]}`, "", "", 0},
		"a prefix that is no stream's": {"x=y {\"auditID\":\"f\"}\nsomebody said: " + event + "\n", "lines of other log streams 1", whyNotJSON + " 1", 0},
	} {
		for _, block := range []int{64, 0} {
			r := audit(t, nil, log(c.text), Options{block: block})
			var ignored, damage []string
			for _, i := range r.Ignored {
				ignored = append(ignored, fmt.Sprint(i.What, " ", i.Count))
			}
			for _, d := range r.Damage {
				damage = append(damage, fmt.Sprint(d.Why, " ", d.Count))
			}
			if strings.Join(ignored, " ") != c.ignored || strings.Join(damage, " ") != c.damage || r.Counts.KubernetesEvents != c.actions {
				t.Errorf("%s by %d: ignored %q, damage %q, %d events; want %q, %q, %d", name, block, ignored, damage, r.Counts.KubernetesEvents, c.ignored, c.damage, c.actions)
			}
		}
	}
	// In an export a folder is named after the stream.
	in := log("2026-11-30T15:57:07.938Z half a line\n2026-11-30T15:57:07.938Z {\"a\":1}\n")
	in[0].Name = "export/uuid/kube-apiserver-audit-0123/000000.gz"
	if r := audit(t, nil, in, Options{}); r.Counts.Damaged != 2 || r.Ignored != nil {
		t.Errorf("%+v %+v", r.Damage, r.Ignored)
	}
	in[0].Name = "results/1.csv.metadata"
	if r := audit(t, nil, in, Options{}); r.Damage != nil || len(r.Ignored) != 1 {
		t.Errorf("%+v %+v", r.Damage, r.Ignored)
	}
}

func deepText(t testing.TB, text string, times int) string {
	for range times {
		text = encode(t, m{"message": text})
	}
	return encode(t, text)
}

// What is not read is named, with the command that makes it readable.
func TestUnsupportedForms(t *testing.T) {
	t.Parallel()
	tar := strings.Repeat("\x00", 257) + "ustar\x00"
	for text, want := range map[string]string{
		"\x28\xb5\x2f\xfdrest": "zstd -d", "\xfd7zXZ\x00": "xz -d", "BZh91AY&SY": "bunzip2", "PK\x03\x04rest": "unzip", "PAR1rest": "duckdb", "ORC\x00": "Athena", "Obj\x01\x00": "avro-tools",
		tar: "tar -xf", zip("PK\x03\x04rest"): "unzip", zip(tar): "tar -xf", "\xff\xfe\x00\x00{\x00\x00\x00": "iconv", "  <!DOCTYPE html><p>": "HTML", "<?xml version=\"1.0\"?><Error/>": "XML",
		"-----------------\n|  FilterLogEvents |\n": "--output json", "+------+\n| x |\n": "--output json", zip(zip(zip(zip(zip("{}"))))): "more than 4 times", "\x04\x22\x4d\x18x": "lz4", "SQLite format 3\x00": "SQLite",
	} {
		r := audit(t, nil, log(text), Options{})
		if len(r.Damage) != 1 || r.Damage[0].Line != 0 || !strings.HasPrefix(r.Damage[0].Why, "unsupported format: ") || !strings.Contains(r.Damage[0].Why, want) {
			t.Errorf("%.20q: %+v", text, r.Damage)
		}
	}
}
