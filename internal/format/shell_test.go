package format

import (
	"strconv"
	"testing"
)

func TestParseShell(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Shell{
		"sh": Sh, "bash": Sh, "zsh": Sh, "dash": Sh, "ksh": Sh, "fish": Fish, "powershell": PowerShell, "pwsh": PowerShell,
		"cmd": Cmd, "nushell": Nushell, "nu": Nushell, "dotenv": Dotenv, "json": JSON,
		"/usr/bin/zsh": Sh, `C:\Program Files\Git\usr\bin\bash.exe`: Sh, `C:\Windows\System32\CMD.EXE`: Cmd, "PowerShell": PowerShell,
	} {
		if got, err := ParseShell(name); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"", "tcsh", "/bin/", "sh ", ".exe", "bash\n"} {
		want := `unsupported shell ` + strconv.Quote(name) + ` (supported: sh, bash, zsh, dash, ksh, fish, powershell, cmd, nushell, dotenv, json)`
		if got, err := ParseShell(name); err == nil || err.Error() != want || got != "" {
			t.Errorf("%q: got %q, error %v, want %q", name, got, err, want)
		}
	}
}

func TestDetectShell(t *testing.T) {
	t.Parallel()
	const (
		machinePath = `C:\Program Files\WindowsPowerShell\Modules;C:\Windows\system32\WindowsPowerShell\v1.0\Modules`
		ps5Path     = `C:\Users\me\Documents\WindowsPowerShell\Modules;` + machinePath
		ps7Path     = `C:\Users\me\OneDrive\Documents\PowerShell\Modules;C:\Program Files\PowerShell\Modules;c:\program files\powershell\7\Modules;` + machinePath
		unixPath    = "/home/me/.local/share/powershell/Modules:/usr/local/share/powershell/Modules:/opt/microsoft/powershell/7/Modules"
	)
	for _, tc := range []struct {
		name, goos string
		env        map[string]string
		want       Shell
	}{
		{"login shell bash", "linux", map[string]string{"SHELL": "/bin/bash"}, Sh},
		{"login shell zsh", "darwin", map[string]string{"SHELL": "/bin/zsh"}, Sh},
		{"login shell fish", "linux", map[string]string{"SHELL": "/usr/bin/fish"}, Fish},
		{"login shell that we do not know", "linux", map[string]string{"SHELL": "/bin/tcsh"}, Sh},
		{"no login shell", "linux", nil, Sh},
		{"nushell under bash", "linux", map[string]string{"SHELL": "/bin/bash", "NU_VERSION": "0.115.1"}, Nushell},
		{"PowerShell under bash", "linux", map[string]string{"SHELL": "/bin/bash", "PSModulePath": unixPath}, PowerShell},
		{"bash on a GitHub runner", "linux", map[string]string{"SHELL": "/bin/bash", "PSModulePath": "/usr/share/az_14.6.0"}, Sh},
		{"cmd", "windows", map[string]string{"ComSpec": `C:\Windows\system32\cmd.exe`, "PSModulePath": machinePath}, Cmd},
		{"nothing on Windows", "windows", nil, Cmd},
		{"Windows PowerShell 5", "windows", map[string]string{"PSModulePath": ps5Path}, PowerShell},
		{"PowerShell 7 on Windows", "windows", map[string]string{"PSModulePath": ps7Path}, PowerShell},
		{"Git Bash", "windows", map[string]string{"SHELL": "/usr/bin/bash", "PSModulePath": ps7Path}, Sh},
		{"nushell on Windows", "windows", map[string]string{"NU_VERSION": "0.115.1", "PSModulePath": machinePath}, Nushell},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := DetectShell(func(name string) string { return tc.env[name] }, tc.goos); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
