package main

import (
	"bufio"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// set says what to generate. The same set gives the same bytes.
type set struct {
	seed     uint64
	bytes    int64 // of the Kubernetes audit log
	sessions int
}

const (
	account  = "123456789012"
	cluster  = "bench"
	perTrail = 400 // CloudTrail events a file, of which one in four is a CreateSession
	perLog   = 256 << 20
)

// session is what the audit log's side must know of a CreateSession.
type session struct {
	key, serial, role, address string
	from                       time.Time
}

type generator struct {
	*rand.Rand
	start    time.Time
	sessions []session
}

// generate writes dir/cloudtrail and dir/kubernetes, unless they are there.
func (s set) generate(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "done")); err == nil {
		return nil
	}
	for _, sub := range []string{"cloudtrail", "kubernetes"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	g := &generator{Rand: rand.New(rand.NewPCG(s.seed, 1)), start: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)}
	if err := g.cloudTrail(filepath.Join(dir, "cloudtrail"), s.sessions); err != nil {
		return err
	}
	if err := g.kubernetes(filepath.Join(dir, "kubernetes"), s.bytes); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "done"), nil, 0o600)
}

// certificates makes one for every five sessions. Ed25519 is no algorithm of
// Roles Anywhere, but signs the same bytes the same way each time.
func (g *generator) certificates(n int) ([]*x509.Certificate, error) {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, g.Uint64())
	key := ed25519.NewKeyFromSeed(seed)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Bench CA", Organization: []string{"Example"}}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: g.start.AddDate(-1, 0, 0), NotAfter: g.start.AddDate(5, 0, 0)}
	certs := make([]*x509.Certificate, n)
	for i := range certs {
		serial := make([]byte, 20)
		for j := range serial {
			serial[j] = byte(g.Uint32())
		}
		serial[0] = serial[0]&0x3f | 0x40
		template := &x509.Certificate{SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: fmt.Sprintf("user%05d", i), Organization: []string{"Example"}, OrganizationalUnit: []string{"Engineering"}},
			NotBefore: g.start.AddDate(0, -1, 0), NotAfter: g.start.AddDate(0, 11, 0), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		der, err := x509.CreateCertificate(nil, template, ca, key.Public(), key)
		if err != nil {
			return nil, err
		}
		if certs[i], err = x509.ParseCertificate(der); err != nil {
			return nil, err
		}
	}
	return certs, nil
}

func (g *generator) cloudTrail(dir string, sessions int) error {
	certs, err := g.certificates(max(sessions/5, 1))
	if err != nil {
		return err
	}
	roles := []string{"Developer", "Operator", "ReadOnly"}
	var records []json.RawMessage
	add := func(event any) error {
		raw, err := json.Marshal(event)
		records = append(records, raw)
		return err
	}
	files := 0
	flush := func() error {
		name := fmt.Sprintf("%s_CloudTrail_eu-central-1_%s_%06d.json.gz", account, g.start.Format("20060102T1504Z"), files)
		files++
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		defer file.Close()
		zip := gzip.NewWriter(file)
		if err := json.NewEncoder(zip).Encode(map[string]any{"Records": records}); err != nil {
			return err
		}
		records = nil
		return zip.Close()
	}
	for i := range sessions {
		cert := certs[i%len(certs)]
		serial := hex.EncodeToString(cert.SerialNumber.Bytes())
		s := session{key: "ASIA" + g.letters(16), serial: serial, role: roles[i%len(certs)%len(roles)], address: g.address(i % len(certs)),
			from: g.start.Add(time.Duration(i) * 24 * time.Hour / time.Duration(sessions))}
		g.sessions = append(g.sessions, s)
		if err := add(g.createSession(s, cert)); err != nil {
			return err
		}
		for range 3 { // what else an account's trail has
			if err := add(g.otherEvent(s)); err != nil {
				return err
			}
		}
		if len(records) >= perTrail || i == sessions-1 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *generator) createSession(s session, cert *x509.Certificate) map[string]any {
	arn := "arn:aws:sts::" + account + ":assumed-role/" + s.role + "/" + s.serial
	role := "arn:aws:iam::" + account + ":role/" + s.role
	return g.event(s.from, "rolesanywhere.amazonaws.com", "CreateSession", s.address, map[string]any{
		"userIdentity": map[string]any{"type": "Unknown", "principalId": "", "accountId": account},
		"requestParameters": map[string]any{"profileArn": "arn:aws:rolesanywhere:eu-central-1:" + account + ":profile/11111111-1111-4111-8111-111111111111",
			"roleArn": role, "trustAnchorArn": "arn:aws:rolesanywhere:eu-central-1:" + account + ":trust-anchor/22222222-2222-4222-8222-222222222222",
			"cert": base64.StdEncoding.EncodeToString(cert.Raw), "durationSeconds": 3600},
		"responseElements": map[string]any{"credentialSet": []any{map[string]any{
			"assumedRoleUser":  map[string]any{"arn": arn, "assumedRoleId": "AROAEXAMPLEROLEID1234:" + s.serial},
			"credentials":      map[string]any{"accessKeyId": s.key, "expiration": s.from.Add(time.Hour).Format(time.RFC3339), "secretAccessKey": "HIDDEN_DUE_TO_SECURITY_REASONS", "sessionToken": "HIDDEN_DUE_TO_SECURITY_REASONS"},
			"packedPolicySize": 12, "roleArn": role, "sourceIdentity": "CN=" + cert.Subject.CommonName}},
			"subjectArn": "arn:aws:rolesanywhere:eu-central-1:" + account + ":subject/33333333-3333-4333-8333-333333333333"},
	})
}

func (g *generator) otherEvent(s session) map[string]any {
	names := []string{"DescribeInstances", "GetCallerIdentity", "ListBuckets", "DescribeCluster", "GetObject", "Decrypt"}
	arn := "arn:aws:sts::" + account + ":assumed-role/App/i-0123456789abcdef0"
	return g.event(s.from, "ec2.amazonaws.com", names[g.IntN(len(names))], g.address(g.IntN(5000)), map[string]any{
		"userIdentity": map[string]any{"type": "AssumedRole", "principalId": "AROAEXAMPLEROLEID9999:i-0123456789abcdef0", "arn": arn, "accountId": account, "accessKeyId": "ASIA" + g.letters(16),
			"sessionContext": map[string]any{"sessionIssuer": map[string]any{"type": "Role", "principalId": "AROAEXAMPLEROLEID9999", "arn": "arn:aws:iam::" + account + ":role/App", "accountId": account, "userName": "App"},
				"attributes": map[string]any{"creationDate": s.from.Format(time.RFC3339), "mfaAuthenticated": "false"}}},
		"requestParameters": map[string]any{"maxResults": 100}, "responseElements": nil})
}

func (g *generator) event(at time.Time, source, name, address string, more map[string]any) map[string]any {
	event := map[string]any{"eventVersion": "1.09", "eventTime": at.Format(time.RFC3339), "eventSource": source, "eventName": name, "awsRegion": "eu-central-1", "sourceIPAddress": address,
		"userAgent": "eks-x509/1.0 aws-sdk-go-v2/1.48.0 ua/2.1 os/linux lang/go#1.26.0 md/GOOS#linux md/GOARCH#amd64", "requestID": g.uuid(), "eventID": g.uuid(), "readOnly": false,
		"eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": account, "eventCategory": "Management"}
	for k, v := range more {
		event[k] = v
	}
	return event
}

func (g *generator) kubernetes(dir string, total int64) error {
	var written int64
	for file := 0; written < total; file++ {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("audit-%04d.log", file)))
		if err != nil {
			return err
		}
		defer f.Close()
		w := bufio.NewWriterSize(f, 1<<20)
		var line []byte
		for size := int64(0); size < perLog && written < total; {
			at := g.start.Add(time.Duration(float64(24*time.Hour) * float64(written) / float64(total)))
			line = g.auditEvent(line[:0], at)
			if _, err := w.Write(line); err != nil {
				return err
			}
			size += int64(len(line))
			written += int64(len(line))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// auditEvent is seven times in ten one of the cluster's own components.
func (g *generator) auditEvent(b []byte, at time.Time) []byte {
	if g.IntN(10) < 7 {
		return g.componentEvent(b, at)
	}
	hour := sortedBefore(g.sessions, at)
	live := g.sessions[max(0, hour-len(g.sessions)/24):max(hour, 1)]
	s := live[g.IntN(len(live))]
	verbs := []string{"get", "list", "watch", "create", "patch", "delete"}
	resources := []string{"pods", "deployments", "configmaps", "services", "namespaces", "secrets"}
	verb, resource, ns := verbs[g.IntN(len(verbs))], resources[g.IntN(len(resources))], fmt.Sprintf("team-%02d", g.IntN(40))
	code, decision, reason := 200, "allow", `RBAC: allowed by RoleBinding \"developers/`+ns+`\" of ClusterRole \"edit\" to Group \"developers\"`
	if g.IntN(50) == 0 {
		code, decision, reason = 403, "forbid", ""
	}
	user := "ra:" + account + ":" + s.serial
	extra := fmt.Sprintf(`,"extra":{"accessKeyId":["%s"],"arn":["arn:aws:sts::%s:assumed-role/%s/%s"],"canonicalArn":["arn:aws:iam::%s:role/%s"],"principalId":["AROAEXAMPLEROLEID1234"],"sessionName":["%s"],"sigs.k8s.io/aws-iam-authenticator/principalId":["AROAEXAMPLEROLEID1234"]}`,
		s.key, account, s.role, s.serial, account, s.role, s.serial)
	uri := "/api/v1/namespaces/" + ns + "/" + resource + `?fieldManager=kubectl-client-side-apply\u0026fieldValidation=Strict\u0026limit=500`
	return g.append(b, at, event{user: user, uid: "aws-iam-authenticator:" + account + ":AROAEXAMPLEROLEID1234", groups: `"developers","system:authenticated"`, extra: extra, verb: verb, uri: uri,
		ref:     fmt.Sprintf(`{"resource":"%s","namespace":"%s","name":"web-%d","apiVersion":"v1"}`, resource, ns, g.IntN(100)),
		address: s.address, agent: "kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0", code: code, decision: decision, reason: reason, body: g.IntN(12) == 0})
}

func sortedBefore(sessions []session, at time.Time) int {
	i, _ := slices.BinarySearchFunc(sessions, at, func(s session, t time.Time) int { return s.from.Compare(t) })
	return i
}

type event struct {
	user, uid, groups, extra, verb, uri, ref, address, agent, decision, reason string
	code                                                                       int
	body                                                                       bool
}

func (g *generator) componentEvent(b []byte, at time.Time) []byte {
	n := g.IntN(200)
	switch g.IntN(5) {
	case 0:
		return g.append(b, at, event{user: "system:kube-controller-manager", groups: `"system:authenticated"`, verb: "update",
			uri: "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager?timeout=5s",
			ref: `{"resource":"leases","namespace":"kube-system","name":"kube-controller-manager","uid":"` + g.uuid() + `","apiGroup":"coordination.k8s.io","apiVersion":"v1","resourceVersion":"1234567"}`,
			// A leader's lease is logged without its body.
			address: "10.0.37.12", agent: "kube-controller-manager/v1.33.1 (linux/amd64) kubernetes/8adc0f0/leader-election", code: 200, decision: "allow", reason: `RBAC: allowed by ClusterRoleBinding \"system:kube-controller-manager\" of ClusterRole \"system:kube-controller-manager\" to User \"system:kube-controller-manager\"`})
	case 1:
		return g.append(b, at, event{user: fmt.Sprintf("system:node:ip-10-0-%d-%d.eu-central-1.compute.internal", n, n), groups: `"system:nodes","system:authenticated"`, verb: "patch",
			uri:     fmt.Sprintf("/api/v1/nodes/ip-10-0-%d-%d.eu-central-1.compute.internal/status?timeout=10s", n, n),
			ref:     fmt.Sprintf(`{"resource":"nodes","name":"ip-10-0-%d-%d.eu-central-1.compute.internal","apiVersion":"v1","subresource":"status"}`, n, n),
			address: fmt.Sprintf("10.0.%d.%d", n, n), agent: "kubelet/v1.33.1 (linux/amd64) kubernetes/8adc0f0", code: 200, decision: "allow", body: g.IntN(3) == 0})
	}
	account := fmt.Sprintf("controller-%02d", n%30)
	return g.append(b, at, event{user: "system:serviceaccount:kube-system:" + account, uid: g.uuid(), groups: `"system:serviceaccounts","system:serviceaccounts:kube-system","system:authenticated"`,
		extra: `,"extra":{"authentication.kubernetes.io/credential-id":["JTI=` + g.uuid() + `"],"authentication.kubernetes.io/node-name":["ip-10-0-1-1.eu-central-1.compute.internal"],"authentication.kubernetes.io/node-uid":["` + g.uuid() + `"],"authentication.kubernetes.io/pod-name":["` + account + `-7d4b9c6f5-x2x9z"],"authentication.kubernetes.io/pod-uid":["` + g.uuid() + `"]}`,
		verb:  []string{"get", "list", "watch", "update"}[g.IntN(4)],
		uri:   fmt.Sprintf(`/apis/apps/v1/replicasets?allowWatchBookmarks=true\u0026resourceVersion=%d\u0026timeout=8m31s\u0026timeoutSeconds=511\u0026watch=true`, 1e6+n),
		ref:   `{"resource":"replicasets","apiGroup":"apps","apiVersion":"v1"}`, address: fmt.Sprintf("10.0.%d.%d", n, 255-n),
		agent: account + "/v2.11.0 (linux/amd64) kubernetes/$Format", code: 200, decision: "allow", reason: `RBAC: allowed by ClusterRoleBinding \"` + account + `\" of ClusterRole \"` + account + `\" to ServiceAccount \"` + account + `/kube-system\"`, body: g.IntN(10) == 0})
}

// append writes the event's line, in the order and form of the API server.
func (g *generator) append(b []byte, at time.Time, e event) []byte {
	const stamp = "2006-01-02T15:04:05.000000Z"
	level, objects := "Metadata", ""
	if e.body {
		level = "RequestResponse"
		object := `{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"web","namespace":"team","uid":"` + g.uuid() + `","resourceVersion":"4711","generation":3,"creationTimestamp":"2026-10-01T08:00:00Z","labels":{"app":"web","team":"a"},"annotations":{"deployment.kubernetes.io/revision":"3"},"managedFields":[` +
			strings.Repeat(`{"manager":"kubectl-client-side-apply","operation":"Update","apiVersion":"apps/v1","time":"2026-10-01T08:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:annotations":{".":{},"f:deployment.kubernetes.io/revision":{}}},"f:spec":{"f:replicas":{},"f:selector":{}}}},`, 3) +
			`{}]},"spec":{"replicas":3,"selector":{"matchLabels":{"app":"web"}},"template":{"spec":{"containers":[{"name":"web","image":"example/web:1.2.3","resources":{"limits":{"cpu":"500m","memory":"512Mi"}}}]}}}}`
		objects = `,"requestObject":` + object + `,"responseObject":` + object
	}
	uid := ""
	if e.uid != "" {
		uid = `,"uid":"` + e.uid + `"`
	}
	done := at.Add(time.Duration(g.IntN(40_000)) * time.Microsecond)
	return fmt.Appendf(b, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"%s","auditID":"%s","stage":"ResponseComplete","requestURI":"%s","verb":"%s","user":{"username":"%s"%s,"groups":[%s]%s},"sourceIPs":["%s"],"userAgent":"%s","objectRef":%s,"responseStatus":{"metadata":{},"code":%d}%s,"requestReceivedTimestamp":"%s","stageTimestamp":"%s","annotations":{"authorization.k8s.io/decision":"%s","authorization.k8s.io/reason":"%s"}}`+"\n",
		level, g.uuid(), e.uri, e.verb, e.user, uid, e.groups, e.extra, e.address, e.agent, e.ref, e.code, objects, at.Format(stamp), done.Format(stamp), e.decision, e.reason)
}

func (g *generator) letters(n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[g.IntN(len(alphabet))]
	}
	return string(b)
}

func (g *generator) uuid() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], g.Uint64())
	binary.BigEndian.PutUint64(b[8:], g.Uint64())
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (g *generator) address(i int) string {
	return fmt.Sprintf("198.51.%d.%d", 100+i/250, 1+i%250)
}
