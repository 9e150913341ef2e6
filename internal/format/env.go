package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Var is one environment variable.
type Var struct {
	Name, Value string
}

// ErrNoUnset tells that a dotenv file has no way to take a variable back.
var ErrNoUnset = errors.New("unsetting variables: unsupported for dotenv")

// Export writes what sets vars, to be used like this:
//
//	sh          eval "$(eks-x509 env --shell sh)"
//	fish        eks-x509 env --shell fish | source
//	powershell  eks-x509 env --shell powershell | Invoke-Expression
//	cmd         for /f "delims=" %i in ('eks-x509 env --shell cmd') do @%i
//	nushell     eks-x509 env --shell nushell | from json | load-env
//	dotenv      lines NAME=VALUE, which all readers of such files take alike
//	json        one object, in the order of vars
//
// No value can break out of its quotes. One that would not arrive byte for
// byte is an error that names the variable, and nothing is written.
func Export(w io.Writer, sh Shell, vars []Var) error {
	lines := make([]string, len(vars))
	for i, v := range vars {
		if !isName(v.Name) {
			return fmt.Errorf("setting variables: invalid name %q", v.Name)
		}
		line, err := exportLine(sh, v)
		if err != nil {
			return fmt.Errorf("setting variable %s for %s: %w", v.Name, sh, err)
		}
		lines[i] = line
	}
	return writeLines(w, sh, '{', lines, '}')
}

// Unset writes what takes variables back, to be used as in Export, except:
//
//	nushell     hide-env -i ...(eks-x509 env --unset --shell nushell | from json)
//	dotenv      ErrNoUnset
//	json        an array of the names
func Unset(w io.Writer, sh Shell, names []string) error {
	lines := make([]string, len(names))
	for i, name := range names {
		if !isName(name) {
			return fmt.Errorf("unsetting variables: invalid name %q", name)
		}
		switch sh {
		case Sh:
			lines[i] = "unset -v " + name + "\n"
		case Fish:
			lines[i] = "set -eg " + name + "\n"
		case PowerShell:
			lines[i] = "$Env:" + name + " = $null\n"
		case Cmd:
			lines[i] = `set "` + name + "=\"\n"
		case Nushell, JSON:
			lines[i] = `"` + name + `"`
		case Dotenv:
			return ErrNoUnset
		default:
			return fmt.Errorf("unsetting variables: unsupported shell %q", sh)
		}
	}
	return writeLines(w, sh, '[', lines, ']')
}

// exportLine is one statement that sets v, or one member of a JSON object.
func exportLine(sh Shell, v Var) (string, error) {
	if strings.IndexByte(v.Value, 0) >= 0 {
		return "", errors.New("invalid value: contains a NUL byte")
	}
	switch sh {
	case Sh:
		// POSIX XCU 2.2.2: inside single quotes all but the quote itself stands for itself.
		// yash alone needs text of its locale, and else runs nothing of the whole.
		return "export " + v.Name + "='" + strings.ReplaceAll(v.Value, "'", `'\''`) + "'\n", nil
	case Fish:
		return "set -gx " + v.Name + " '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v.Value) + "'\n", nil
	case PowerShell:
		return "$Env:" + v.Name + " = '" + strings.ReplaceAll(v.Value, "'", "''") + "'\n", checkPowerShell(v.Value)
	case Cmd:
		line := `set "` + v.Name + "=" + v.Value + "\"\n"
		return line, checkCmd(v.Value, line)
	case Dotenv:
		return v.Name + "=" + v.Value + "\n", checkPlain(v.Value)
	case Nushell, JSON:
		if !utf8.ValidString(v.Value) {
			return "", errors.New("unsupported value: not UTF-8")
		}
		quoted, err := json.Marshal(v.Value)
		return `"` + v.Name + `":` + string(quoted), err
	}
	return "", errors.New("unsupported shell")
}

// writeLines writes the statements, or the JSON list that they make, at once.
func writeLines(w io.Writer, sh Shell, open byte, lines []string, end byte) error {
	out := strings.Join(lines, "")
	if sh == Nushell || sh == JSON {
		out = string(open) + strings.Join(lines, ",") + string(end) + "\n"
	}
	_, err := io.WriteString(w, out)
	return err
}

// checkPowerShell takes printable ASCII. PowerShell splits a program's output
// at line ends and decodes it by the console's code page, where a byte of a
// UTF-8 sequence may be U+2018 to U+201B, all of which end a quoted string.
func checkPowerShell(value string) error {
	if value == "" {
		return errors.New("unsupported value: empty, which removes the variable")
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return errors.New("unsupported value: a byte is not printable ASCII")
		}
	}
	return nil
}

// maxCmdLine is the longest line that cmd.exe takes.
// https://learn.microsoft.com/troubleshoot/windows-client/shell-experience/command-line-string-limitation
const maxCmdLine = 8191

// checkCmd takes checkPlain's bytes: cmd.exe expands % and !, and has no escape
// for them that holds both at its prompt and in a batch file.
func checkCmd(value, line string) error {
	if value == "" {
		return errors.New("unsupported value: empty, which removes the variable")
	}
	if len(line) > maxCmdLine {
		return fmt.Errorf("unsupported value: makes a line of more than %d bytes", maxCmdLine)
	}
	return checkPlain(value)
}

// checkPlain takes what needs no quotes anywhere. Docker's --env-file keeps
// quotes as part of the value, other readers of dotenv files drop them.
func checkPlain(value string) error {
	const marks = "+/=:-_.,@"
	for i := range len(value) {
		if !isAlnum(value[i]) && strings.IndexByte(marks, value[i]) < 0 {
			return fmt.Errorf("unsupported value: a byte is neither letter, digit nor one of %s", marks)
		}
	}
	return nil
}

// isName tells a portable name, POSIX XBD 3.216: letters, digits and underscores, no digit first.
func isName(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && s[i] != '_' {
			return false
		}
	}
	return s != "" && (s[0] < '0' || s[0] > '9')
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
