package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build is what the toolchain recorded in the binary: the module's version from
// its tag, and the commit.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Date     string `json:"date,omitempty"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

func readBuild() build {
	b := build{Version: "unknown", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (b build) String() string {
	s := "eks-x509 " + b.Version
	if b.Commit != "" {
		s += " commit " + b.Commit
	}
	return fmt.Sprintf("%s %s %s/%s", s, b.Go, b.OS, b.Arch)
}

// userAgent names us to AWS, as its own helper does: CloudTrail shows it.
func userAgent() string {
	b := readBuild()
	return fmt.Sprintf("eks-x509/%s (%s; %s; %s)", b.Version, b.Go, b.OS, b.Arch)
}

func newVersionCmd(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  eks-x509 version --output json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			switch output {
			case "text":
				return a.out.print("%s\n", readBuild().String())
			case "json":
				return a.out.json(readBuild())
			default:
				return misuse("unsupported --output %q (supported: text, json)", output)
			}
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	addChoices(cmd, "output", "text", "json")
	return cmd
}
