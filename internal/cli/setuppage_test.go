package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pageBlock is a block of a page: what is run, and what it prints, with … for
// anything.
type pageBlock struct {
	line             int
	info, code, want string
}

// pageBlocks are the blocks "sh" and "sh fails" of a page, each with the block
// "text" behind it.
func pageBlocks(page string) []pageBlock {
	var blocks []pageBlock
	info, open := "", false
	for i, line := range strings.SplitAfter(page, "\n") {
		if fence, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); ok {
			if open = !open; !open {
				continue
			}
			if info = fence; info == "sh" || info == "sh fails" {
				blocks = append(blocks, pageBlock{line: i + 1, info: info})
			}
			continue
		}
		if !open || len(blocks) == 0 {
			continue
		}
		switch last := &blocks[len(blocks)-1]; info {
		case last.info:
			last.code += line
		case "text":
			last.want += line
		}
	}
	return blocks
}

// docs/setup.md is true: its blocks run, in their order, and print what it says.
func TestSetupPage(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	page, err := os.ReadFile("../../docs/setup.md")
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t)
	w := l.s.World()
	w.Clusters[0].Name = "my-cluster"
	if err := l.s.SetWorld(w); err != nil {
		t.Fatal(err)
	}
	blocks := pageBlocks(string(page))
	if len(blocks) < 10 {
		t.Fatalf("only %d blocks found", len(blocks))
	}
	state := filepath.Join(l.dir, "variables")
	for _, b := range blocks {
		script := fmt.Sprintf("touch %[1]s; . %[1]s; set -e -o pipefail\n%s\n{ declare -p ca 2>/dev/null || true; } >%[1]s\n", state, b.code)
		c := l.command("-c", script)
		c.Path = bash
		for _, name := range []string{"TRUST_ANCHOR_ARN", "PROFILE_ARN", "ROLE_ARN", "CERTIFICATE", "PRIVATE_KEY"} {
			c.Env = append(c.Env, "EKS_X509_"+name+"=")
		}
		out, err := c.CombinedOutput()
		if failed := err != nil; failed != (b.info == "sh fails") {
			t.Fatalf("docs/setup.md:%d: %v\n%s\n%s", b.line, err, b.code, out)
		}
		pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(b.want)), "…", "(?s:.*)")
		if b.want != "" && !regexp.MustCompile("^"+pattern+"$").MatchString(strings.TrimSpace(string(out))) {
			t.Errorf("docs/setup.md:%d prints\n%s\nand the page says\n%s", b.line, out, b.want)
		}
	}
}
