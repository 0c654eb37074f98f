// Command noshell is all of an image that has no shell: it saves one output, named by its argument, and ends.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: noshell FILE-NAME")
		os.Exit(2)
	}
	target := filepath.Join(os.Getenv("VH_OUTPUTS_DIR"), os.Args[1])
	if err := os.WriteFile(target, []byte("saved without a shell\n"), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("saved", target)
}
