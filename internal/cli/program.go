package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const programName = "eks-x509"

// programPath is how another program is to start this one: by its name if PATH leads to
// it and no whole path is wanted. A path is the one on PATH, or that of the call, if it
// leads here: package managers put a link there and remove what it leads to with the
// next version.
func (a *app) programPath(whole bool) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	found, err := exec.LookPath(programName)
	if err == nil && sameFile(found, self) {
		if !whole {
			return programName, nil
		}
		return filepath.Abs(found)
	}
	path := self
	if called := a.calledAs(self); called != "" {
		path = called
	}
	why := programName + " is not on PATH"
	if err == nil {
		why = "PATH leads to another " + programName + ", " + found
	}
	a.say("warning", why+": the whole path is written, "+path+"; run this again if the program moves")
	return path, nil
}

// calledAs is the path of the program as it was called, or as a later directory of PATH
// has it; empty if neither leads to self.
func (a *app) calledAs(self string) string {
	var paths []string
	if strings.ContainsRune(a.Program, filepath.Separator) {
		paths = append(paths, a.Program)
	}
	for _, dir := range filepath.SplitList(a.Getenv("PATH")) {
		if filepath.IsAbs(dir) {
			paths = append(paths, filepath.Join(dir, programName+map[bool]string{true: ".exe"}[runtime.GOOS == "windows"]))
		}
	}
	for _, path := range paths {
		if path, err := filepath.Abs(path); err == nil && sameFile(path, self) {
			return path
		}
	}
	return ""
}

func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}
