package provision

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/minica"
)

// apiServer keeps one ConfigMap, and before it looks at a write it lets another writer in, as often as it is told.
type apiServer struct {
	mu      sync.Mutex
	version int // 0: it is not there
	data    map[string]string
	others  []func(data map[string]string)
	writes  int
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := func(code int, reason string) {
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "code": code, "reason": reason, "message": reason})
	}
	if r.Method == http.MethodGet {
		if s.version == 0 {
			status(http.StatusNotFound, "NotFound")
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"metadata": map[string]string{"resourceVersion": strconv.Itoa(s.version)}, "data": s.data})
		return
	}
	s.writes++
	if len(s.others) > 0 {
		s.others[0](s.data)
		s.others, s.version = s.others[1:], s.version+1
	}
	var in struct {
		Metadata struct{ ResourceVersion string }
		Data     map[string]string
	}
	body, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(body, &in); err != nil {
		status(http.StatusBadRequest, "BadRequest")
		return
	}
	if known := (map[string]string{http.MethodPatch: strconv.Itoa(s.version), http.MethodPost: ""})[r.Method]; in.Metadata.ResourceVersion != known || r.Method == http.MethodPost && s.version != 0 {
		status(http.StatusConflict, "Conflict")
		return
	}
	for key, value := range in.Data {
		s.data[key] = value
	}
	s.version++
	_, _ = w.Write([]byte("{}"))
}

func (s *apiServer) api(t *testing.T) awsapi.KubeAPI {
	t.Helper()
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	return awsapi.KubeAPI{Server: server.URL, CA: minica.CertificatePEM(server.Certificate()), ServerName: "example.com", Token: "t", Now: time.Now}
}

func noWait(ctx context.Context, _ time.Duration) error { return ctx.Err() }

func mapTeam(text string) (string, error) {
	after, _, err := MapRole(text, team(), false)
	return after, err
}

func TestEditMapRoles(t *testing.T) {
	t.Parallel()
	add := func(text string) func(map[string]string) {
		return func(data map[string]string) { data["mapRoles"] += text }
	}
	const a, b = "- {rolearn: a, username: a}\n", "- {rolearn: b, username: b}\n"
	for name, row := range map[string]struct {
		server *apiServer
		want   string
		writes int
	}{
		"not there":              {&apiServer{}, teamLines, 1},
		"not there, then there":  {&apiServer{others: []func(map[string]string){add(a)}}, a + teamLines, 2},
		"there":                  {&apiServer{version: 1, data: map[string]string{"mapRoles": nodes}}, nodes + teamLines, 1},
		"others write meanwhile": {&apiServer{version: 1, data: map[string]string{"mapRoles": nodes}, others: []func(map[string]string){add(a), add(b)}}, nodes + a + b + teamLines, 3},
		"mapped already":         {&apiServer{version: 1, data: map[string]string{"mapRoles": teamLines}}, teamLines, 0},
		"another maps the same":  {&apiServer{version: 1, data: map[string]string{}, others: []func(map[string]string){add(teamLines)}}, teamLines, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := row.server
			if s.data == nil {
				s.data = map[string]string{}
			}
			s.data["mapUsers"] = "- x\n"
			before := s.data["mapRoles"]
			changed, err := EditMapRoles(t.Context(), s.api(t), noWait, mapTeam)
			if err != nil || s.data["mapRoles"] != row.want || s.data["mapUsers"] != "- x\n" || s.writes != row.writes {
				t.Errorf("%v after %d writes:\n%v", err, s.writes, s.data)
			}
			if want := row.want != before && name != "another maps the same"; changed != want {
				t.Errorf("changed is %v", changed)
			}
		})
	}
}

func TestEditMapRolesGivesUp(t *testing.T) {
	t.Parallel()
	s := &apiServer{version: 1, data: map[string]string{}}
	for range 2 * conflicts {
		s.others = append(s.others, func(map[string]string) {})
	}
	_, err := EditMapRoles(t.Context(), s.api(t), noWait, mapTeam)
	if e, ok := errors.AsType[*awsapi.Error](err); !ok || e.StatusCode != http.StatusConflict || s.writes != conflicts || s.data["mapRoles"] != "" {
		t.Errorf("%v after %d writes", err, s.writes)
	}
	ctx, cancel := context.WithCancel(t.Context())
	interrupt := func(ctx context.Context, d time.Duration) error { cancel(); return noWait(ctx, d) }
	if _, err := EditMapRoles(ctx, s.api(t), interrupt, mapTeam); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	s = &apiServer{version: 1, data: map[string]string{"mapRoles": "no list"}}
	if _, err := EditMapRoles(t.Context(), s.api(t), noWait, mapTeam); err == nil || !strings.Contains(err.Error(), "it is no list") || s.writes != 0 {
		t.Error(err)
	}
}
