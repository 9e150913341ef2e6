package cache

import (
	"encoding/json"
	"time"

	"github.com/eks-x509/eks-x509/internal/safefile"
)

// A kubectl whose token was accepted runs us once. One that is told 401 runs us
// again at once, some ten times in all, and gets the same token from the same
// session each time. So the third request of one process within askWindow means
// that the cluster refuses what we give, and a new session may help (the role's
// mapping was changed, the session was revoked).
const (
	askWindow = 10 * time.Second
	askLimit  = 3
)

// asked is who asked last, beside the session. It is only a hint: processes that
// overwrite each other's cost nothing but the hint.
type asked struct {
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
	Count int       `json:"count"`
}

// refusedByCluster counts this request and says whether it is one too many. A
// session younger than a minute is served all the same (Get), which bounds the
// calls to one a minute.
func (c *Cache) refusedByCluster(path string) bool {
	path += ".asked"
	now := c.Now().Round(0)
	var last asked
	if data, err := safefile.Read(path, maxSize); err != nil || json.Unmarshal(data, &last) != nil {
		last = asked{}
	}
	age := now.Sub(last.Since)
	if last.PID != c.Asker || age < 0 || age > askWindow {
		last = asked{PID: c.Asker, Since: now}
	}
	last.Count++
	data, err := json.Marshal(last)
	if err != nil {
		return false
	}
	_ = safefile.Overwrite(path, data) // not worth a flush to the disk; a torn file reads as nobody's
	return last.Count >= askLimit
}
