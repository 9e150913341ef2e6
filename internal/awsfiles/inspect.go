package awsfiles

import (
	"fmt"
	"slices"
	"strings"
)

// Process is a credential_process and the profile that has it.
type Process struct{ Profile, Command string }

// Processes are the credential_process settings of a config file, each once.
func Processes(data []byte) []Process {
	var found []Process
	var names []string
	for line := range strings.Lines(string(data)) {
		name, ok := profileOf(line)
		if !ok || name == noProfile {
			continue
		}
		if name == profileDefault {
			name = "default"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if command := parse(data, name, process).value(); command != "" {
			found = append(found, Process{name, command})
		}
	}
	return found
}

// Rivals are the settings that AWS's tools use in place of the profile's
// credential_process, each with the file that it is in: static keys, single sign-on, a
// role to assume. botocore takes those of either file before it starts a process.
// https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html
func Rivals(config, credentials []byte, configPath, credentialsPath, profile string) []string {
	var all []string
	add := func(key, path string) {
		if line := fmt.Sprintf("profile %q has %s in %s", profile, key, path); !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	for _, s := range parse(config, profile, process).settings {
		if fights(s.key) {
			add(s.key, configPath)
		}
	}
	// Sections of this file are named like the profile, and have no prefix.
	section := ""
	for line := range strings.Lines(string(credentials)) {
		line = strings.TrimSpace(strings.TrimPrefix(line, bom))
		if blank(line) {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "["); ok {
			section, _, _ = strings.Cut(rest, "]")
			section = unquoted(strings.TrimSpace(section))
			continue
		}
		if s, ok := parseSetting(line); ok && section == profile && (fights(s.key) || s.key == process) {
			add(s.key, credentialsPath)
		}
	}
	return all
}

// Words are those of a credential_process line, as a POSIX shell and Python's shlex
// split it. A quote that is not closed ends with the line.
func Words(command string) []string {
	var words []string
	var word strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(command); i++ {
		switch c := command[i]; {
		case quote == '\'' && c != quote, quote == '"' && c != quote && c != '\\':
			word.WriteByte(c)
		case c == quote:
			quote = 0
		case c == '\\' && i+1 < len(command):
			i++
			if quote == '"' && !strings.ContainsRune(`"\$`+"`", rune(command[i])) {
				word.WriteByte(c)
			}
			word.WriteByte(command[i])
			in = true
		case c == '"' || c == '\'':
			quote, in = c, true
		case c == ' ' || c == '\t':
			if in {
				words = append(words, word.String())
			}
			word.Reset()
			in = false
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if in {
		words = append(words, word.String())
	}
	return words
}

// HasBackslash says whether the line has a backslash that does not escape a character
// which needs it, as a Windows path has: AWS's tools that split the line like a shell take
// it away.
func HasBackslash(command string) bool {
	for i := 0; i < len(command); i++ {
		if command[i] != '\\' {
			continue
		}
		i++
		if i == len(command) || command[i] >= 0x80 || strings.IndexByte(plain, command[i]) >= 0 || isAlphanumeric(command[i]) {
			return true
		}
	}
	return false
}
