package format

import (
	"fmt"
	"strings"
)

// Shell is a syntax in which environment variables are written.
type Shell string

// The syntaxes. Sh is for every shell of the Bourne family.
const (
	Sh         Shell = "sh"
	Fish       Shell = "fish"
	PowerShell Shell = "powershell"
	Cmd        Shell = "cmd"
	Nushell    Shell = "nushell"
	Dotenv     Shell = "dotenv"
	JSON       Shell = "json"
)

// ParseShell finds a Shell by its name or by a shell's path, such as
// "zsh", "/usr/bin/fish" or `C:\Windows\System32\cmd.exe`.
func ParseShell(name string) (Shell, error) {
	base := strings.ToLower(name[strings.LastIndexAny(name, `/\`)+1:])
	switch strings.TrimSuffix(base, ".exe") {
	case "sh", "bash", "zsh", "dash", "ash", "ksh", "ksh93", "mksh", "yash", "posh", "busybox":
		return Sh, nil
	case "fish":
		return Fish, nil
	case "powershell", "pwsh":
		return PowerShell, nil
	case "cmd":
		return Cmd, nil
	case "nushell", "nu":
		return Nushell, nil
	case "dotenv":
		return Dotenv, nil
	case "json":
		return JSON, nil
	}
	return "", fmt.Errorf("unsupported shell %q (supported: sh, bash, zsh, dash, ksh, fish, powershell, cmd, nushell, dotenv, json)", name)
}

// DetectShell guesses the calling shell from the environment, which can tell
// only so much: a shell started from another inherits the other's signs. In order:
//
//  1. NU_VERSION: set by nushell
//  2. PSModulePath with a folder that PowerShell itself puts there when it starts
//  3. SHELL: the login shell; on Windows set by Git Bash, MSYS2 and Cygwin
//  4. cmd on Windows, sh elsewhere
//
// On Windows SHELL goes before PSModulePath, which Git Bash inherits more
// often than PowerShell inherits SHELL.
func DetectShell(getenv func(string) string, goos string) Shell {
	if getenv("NU_VERSION") != "" {
		return Nushell
	}
	login, err := ParseShell(getenv("SHELL"))
	inPowerShell := hasPowerShellFolder(getenv("PSModulePath"))
	switch {
	case goos == "windows" && err == nil:
		return login
	case inPowerShell:
		return PowerShell
	case err == nil:
		return login
	case goos == "windows":
		return Cmd
	}
	return Sh
}

// hasPowerShellFolder tells a PSModulePath that PowerShell has added to from
// one that the machine's own settings hold: Windows always sets one, and so do
// GitHub's Ubuntu runners (https://github.com/actions/runner-images/pull/13482).
func hasPowerShellFolder(path string) bool {
	path = strings.ToLower(strings.ReplaceAll(path, `\`, "/"))
	return strings.Contains(path, "/powershell/") || strings.Contains(path, "/documents/windowspowershell/")
}
