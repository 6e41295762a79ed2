// A registry that holds everything in memory and answers the referrers API, which Debian's does not.
//
//	registry ADDRESS
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: registry ADDRESS, for example registry 127.0.0.1:5001")
		os.Exit(2)
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "registry:", err)
		os.Exit(1)
	}
	// The address is printed once it is bound: port 0 takes any that is free.
	fmt.Println(listener.Addr())
	fmt.Fprintln(os.Stderr, "registry:", http.Serve(listener, registry.New(registry.WithReferrersSupport(true))))
	os.Exit(1)
}
