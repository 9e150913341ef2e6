// Command probe confines itself and tries what its arguments say.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/eks-x509/eks-x509/internal/confine"
)

func main() {
	var access confine.Access
	if err := json.Unmarshal([]byte(os.Args[1]), &access); err != nil {
		panic(err)
	}
	go func() { time.Sleep(time.Minute) }() // more than one thread
	if !confine.Restrict(access) {
		fmt.Println("unsupported")
		return
	}
	for i := 2; i < len(os.Args); i += 2 {
		what, arg := os.Args[i], os.Args[i+1]
		fmt.Println(what, arg, onNewThread(func() error { return try(what, arg) }))
	}
}

// onNewThread: the whole process is confined, and not a thread of it.
func onNewThread(f func() error) string {
	done := make(chan error)
	go func() { done <- f() }()
	if err := <-done; err != nil {
		return "refused"
	}
	return "allowed"
}

func try(what, arg string) error {
	switch what {
	case "read":
		f, err := os.Open(arg)
		if err == nil {
			_, err = f.Read(make([]byte, 1))
		}
		return err
	case "list":
		_, err := os.ReadDir(arg)
		return err
	case "write":
		return os.WriteFile(arg, []byte("x"), 0o600)
	case "make":
		return os.Mkdir(arg, 0o700)
	case "remove":
		return os.Remove(arg)
	case "rename":
		return os.Rename(arg, arg+".new")
	case "link":
		return os.Symlink("/etc/passwd", arg)
	case "run":
		return exec.Command(arg).Run()
	case "connect":
		c, err := net.DialTimeout("tcp", arg, 5*time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err
	case "listen":
		var c net.ListenConfig
		c.SetMultipathTCP(false) // which Landlock does not know
		l, err := c.Listen(context.Background(), "tcp", arg)
		if err == nil {
			_ = l.Close()
		}
		return err
	}
	panic(what)
}
