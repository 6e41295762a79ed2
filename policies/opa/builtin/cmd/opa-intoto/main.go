// Command opa-intoto is Open Policy Agent with the function intoto.verify; all of OPA's commands are here.
//
// LINKGATE_MODULE names the verifier's module, which `linkgate component --format core` writes. It can be bounded:
// LINKGATE_MEMORY_MIB (256), LINKGATE_DEADLINE (5s), LINKGATE_QUESTIONS at once (4). LINKGATE_SIGNATURES=pure has the
// module check all signatures by itself; LINKGATE_CACHE is a folder for the compiled module.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/open-policy-agent/opa/cmd"

	"linkgate.dev/policies/opa/builtin"
	"linkgate.dev/policies/opa/builtin/intoto"
)

func main() {
	verifier, err := load(context.Background(), os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, "opa-intoto:", err)
		os.Exit(2)
	}
	builtin.Register(verifier)
	if err := cmd.RootCommand.Execute(); err != nil {
		// Commands tell by their status how a policy was evaluated or tested.
		if status := (*cmd.ExitError)(nil); errors.As(err, &status) {
			os.Exit(status.Exit)
		}
		os.Exit(1)
	}
}

func load(ctx context.Context, setting func(string) string) (*intoto.Verifier, error) {
	path := setting("LINKGATE_MODULE")
	if path == "" {
		return nil, errors.New("LINKGATE_MODULE is not set: name the file that `linkgate component --format core > verifier.core.wasm` writes")
	}
	var bounds intoto.Bounds
	var options []intoto.Option
	if text := setting("LINKGATE_MEMORY_MIB"); text != "" {
		mib, err := strconv.ParseUint(text, 10, 12)
		if err != nil || mib == 0 {
			return nil, fmt.Errorf("LINKGATE_MEMORY_MIB is `%s`: it takes 1 to 2048", text)
		}
		bounds.Memory = mib << 20
	}
	if text := setting("LINKGATE_DEADLINE"); text != "" {
		deadline, err := time.ParseDuration(text)
		if err != nil || deadline <= 0 {
			return nil, fmt.Errorf("LINKGATE_DEADLINE is `%s`: it takes a duration, such as 5s", text)
		}
		bounds.Deadline = deadline
	}
	if text := setting("LINKGATE_QUESTIONS"); text != "" {
		questions, err := strconv.ParseUint(text, 10, 10)
		if err != nil || questions == 0 {
			return nil, fmt.Errorf("LINKGATE_QUESTIONS is `%s`: it takes 1 to 1023", text)
		}
		bounds.Questions = int(questions)
	}
	switch text := setting("LINKGATE_SIGNATURES"); text {
	case "", "native":
	case "pure":
		options = append(options, intoto.WithSignatures(intoto.Pure{}))
	default:
		return nil, fmt.Errorf("LINKGATE_SIGNATURES is `%s`: it takes native or pure", text)
	}
	if folder := setting("LINKGATE_CACHE"); folder != "" {
		options = append(options, intoto.WithCache(folder))
	}
	return intoto.LoadFile(ctx, path, bounds, options...)
}
