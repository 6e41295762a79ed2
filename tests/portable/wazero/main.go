// Command wazero answers cases as a Go program does that embeds the verifier: by the package intoto.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"linkgate.dev/policies/opa/builtin/intoto"
)

type question struct {
	Name    string `json:"name"`
	Request string `json:"request"`
}

type answer struct {
	Name   string `json:"name"`
	Answer string `json:"answer"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "wazero:", err)
		os.Exit(1)
	}
}

func run() error {
	cases := flag.String("cases", "", "questions, a JSON object a line")
	answers := flag.String("answers", "", "where the answers go")
	signatures := flag.String("signatures", "none", "who checks signatures: host or none")
	module := flag.String("module", "verifier.core.wasm", "the core module")
	times := flag.Int("time", 0, "judge the first case so many times, and print the median")
	flag.Parse()

	options := []intoto.Option{intoto.WithSignatures(intoto.Pure{})}
	if *signatures == "host" {
		options = nil
	}
	// As the native host has them, so that the costliest cases come to their end.
	bounds := intoto.Bounds{Memory: 2 << 30, Deadline: time.Minute}
	ctx := context.Background()
	begin := time.Now()
	verifier, err := intoto.LoadFile(ctx, *module, bounds, options...)
	if err != nil {
		return err
	}
	defer verifier.Close(ctx)
	loaded := time.Since(begin)

	text, err := os.ReadFile(*cases)
	if err != nil {
		return err
	}
	var questions []question
	decoder := json.NewDecoder(bytes.NewReader(text))
	for decoder.More() {
		var one question
		if err := decoder.Decode(&one); err != nil {
			return fmt.Errorf("%s: %w", *cases, err)
		}
		questions = append(questions, one)
	}
	if *times > 0 {
		return clock(ctx, verifier, []byte(questions[0].Request), *times, loaded)
	}

	file, err := os.Create(*answers)
	if err != nil {
		return err
	}
	defer file.Close()
	buffered := bufio.NewWriter(file)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false)
	for _, question := range questions {
		judged := verifier.Verify(ctx, []byte(question.Request))
		if err := encoder.Encode(answer{question.Name, string(judged.JSON)}); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

func clock(ctx context.Context, verifier *intoto.Verifier, request []byte, times int, loaded time.Duration) error {
	var took []time.Duration
	for round := range times + 3 {
		begin := time.Now()
		if judged := verifier.Verify(ctx, request); judged.Decision == "undecided" {
			return fmt.Errorf("the case is undecided: %s", judged.JSON)
		}
		if round >= 3 {
			took = append(took, time.Since(begin))
		}
	}
	slices.Sort(took)
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"engine":    "wazero " + version("github.com/tetratelabs/wazero"),
		"median_us": took[len(took)/2].Microseconds(),
		"load_ms":   loaded.Milliseconds(),
	})
}

// version is that of a module which this program was built with.
func version(path string) string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == path {
			return module.Version[1:]
		}
	}
	return "?"
}
