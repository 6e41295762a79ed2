// Command referrers is a registry in memory that lists referrers, which Debian's does not: that of go-containerregistry.
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/registry"
)

// withSubject says what the specification demands and the registry leaves out: that it lists a manifest among the
// referrers of its subject.
func withSubject(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodPut {
			body, err := io.ReadAll(request.Body)
			if err != nil {
				http.Error(answer, err.Error(), http.StatusBadRequest)
				return
			}
			request.Body = io.NopCloser(bytes.NewReader(body))
			var manifest struct{ Subject *struct{ Digest string } }
			if json.Unmarshal(body, &manifest) == nil && manifest.Subject != nil {
				answer.Header().Set("OCI-Subject", manifest.Subject.Digest)
			}
		}
		inner.ServeHTTP(answer, request)
	})
}

func main() {
	log.Fatal(http.ListenAndServe(os.Args[1], withSubject(registry.New(registry.WithReferrersSupport(true)))))
}
