package doctor

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/safetext"
)

// Bundle is a report as text, to attach to a ticket. The names and values of
// extra are the caller's, such as the program's version; variables are named
// without their values.
func Bundle(r Report, extra map[string]string) []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) {
		b.WriteString(safetext.Line(safetext.Scrub(fmt.Sprintf(format, args...))) + "\n")
	}
	line("eks-x509 doctor, %s: %s", r.Time.Format(time.RFC3339), r.Status)
	line("")
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		line("%s: %s", name, extra[name])
	}
	line("variables set: %s", strings.Join(r.variables, " "))
	for _, one := range r.Results {
		line("")
		line("%s: %s", one.Name, one.Status)
		line("  found:  %s", one.Found)
		line("  why:    %s", one.Why)
		if one.Remedy != "" {
			line("  remedy: %s", one.Remedy)
		}
	}
	return b.Bytes()
}
