package browser

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

type object = map[string]any

// hostile are what somebody may put into a log: as a user agent, a name, a
// common name of a certificate.
func hostile() []string {
	return []string{
		`</script><script>window.pwned = 1</script>`,
		`<img src=x onerror="window.pwned = 1">`,
		`"><svg onload=window.pwned=1>`,
		`<!--<script>`, `]]>`, `</style></title></textarea><iframe src="javascript:parent.pwned=1">`,
		`javascript:window.pwned=1`, "\u2028window.pwned = 1\u2029", "\u202egpj.exe", "\x1b[2J\x00\x07", "ünïcödé 名前 🦊 e\u0301",
		fmt.Sprintf("%0500d", 7), "__proto__", "constructor", `{{constructor.constructor("window.pwned=1")()}}`, `\u003cscript>`,
	}
}

// writeLogs writes both logs: so many sessions, each with so many actions, a
// seeded choice of what they do.
func writeLogs(t *testing.T, dir string, sessions, actions int) (cloudtrail, kubernetes string) {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 11))
	bad := hostile()
	cloudtrail, kubernetes = filepath.Join(dir, "cloudtrail.json"), filepath.Join(dir, "cluster.log")
	var records []object
	file, err := os.Create(kubernetes)
	check(t, err)
	defer file.Close()
	out := bufio.NewWriter(file)
	lines := json.NewEncoder(out)
	start := time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC)
	verbs := []string{"get", "list", "watch", "get", "create", "patch", "update", "delete"}
	for i := range sessions {
		serial := fmt.Sprintf("%x%030x", 0x4a45eae3+i%(sessions/5+1)*7919, i%(sessions/5+1)+1)
		key := fmt.Sprintf("ASIAEXAMPLE%09d", i)
		from := start.Add(time.Duration(r.IntN(72*3600)) * time.Second)
		address := fmt.Sprintf("203.0.113.%d", 1+r.IntN(250))
		name := fmt.Sprintf("user-%d", i%(sessions/5+1))
		if i%(sessions/5+1) < len(bad) {
			name = bad[i%(sessions/5+1)]
		}
		role := object{"arn": "arn:aws:sts::123456789012:assumed-role/view/" + serial, "assumedRoleId": "AROAEXAMPLE:" + serial}
		records = append(records, object{
			"eventVersion": "1.10", "eventTime": from.Format(time.RFC3339), "eventSource": "rolesanywhere.amazonaws.com", "eventName": "CreateSession", "awsRegion": "us-east-1",
			"sourceIPAddress": address, "userAgent": bad[i%len(bad)], "eventID": fmt.Sprintf("00000000-0000-4000-8000-%012d", i),
			"requestParameters": object{"roleArn": "arn:aws:iam::123456789012:role/view", "profileArn": "arn:aws:rolesanywhere:us-east-1:123456789012:profile/1", "trustAnchorArn": "arn:aws:rolesanywhere:us-east-1:123456789012:trust-anchor/1"},
			"responseElements": object{"credentialSet": []object{{"assumedRoleUser": role, "roleArn": "arn:aws:iam::123456789012:role/view", "sourceIdentity": "CN=" + name,
				"credentials": object{"accessKeyId": key, "expiration": from.Add(time.Hour).Format(time.RFC3339), "secretAccessKey": "SECRETEXAMPLE", "sessionToken": "SECRETTOKEN"}}}},
		})
		for j := range actions {
			at := from.Add(time.Duration(r.IntN(3600_000)) * time.Millisecond)
			code, decision := 200, "allow"
			if r.IntN(20) == 0 {
				code, decision = 403, "forbid"
			}
			object_ := fmt.Sprintf("web-%d", r.IntN(1000))
			agent := "kubectl/v1.34.1"
			if j < len(bad) {
				object_, agent = bad[j], bad[(i+j)%len(bad)]
			}
			check(t, lines.Encode(object{
				"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": fmt.Sprintf("%08x-0000-4000-8000-%012x", i, j), "stage": "ResponseComplete", "verb": verbs[r.IntN(len(verbs))],
				"requestURI": "/api/v1/namespaces/default/pods", "userAgent": agent, "sourceIPs": []string{address},
				"user":           object{"username": "viewer", "extra": object{"accessKeyId": []string{key}, "arn": []any{role["arn"]}, "sessionName": []string{serial}}},
				"objectRef":      object{"resource": []string{"pods", "secrets", "configmaps"}[r.IntN(3)], "namespace": "default", "name": object_, "apiVersion": "v1"},
				"responseStatus": object{"code": code}, "requestReceivedTimestamp": at.Format("2006-01-02T15:04:05.000000Z"), "stageTimestamp": at.Format("2006-01-02T15:04:05.000000Z"),
				"annotations": object{"authorization.k8s.io/decision": decision},
			}))
		}
	}
	check(t, out.Flush())
	data, err := json.Marshal(object{"Records": records})
	check(t, err)
	check(t, os.WriteFile(cloudtrail, data, 0o600))
	return cloudtrail, kubernetes
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
