package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	dir := flag.String("dir", "", "")
	n := flag.Int64("bytes", 1<<30, "")
	flag.Parse()
	if err := (set{seed: 1, bytes: *n, sessions: 10000}).generate(*dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
