// Package intoto runs linkgate's in-toto verifier in a Go program: the core module, in wazero, without cgo.
//
//	verifier, err := intoto.LoadFile(ctx, "verifier.core.wasm", intoto.Bounds{})
//	..
//	answer := verifier.Verify(ctx, request)
//	if !answer.Accepted() { refuse }
package intoto

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// The version of the module's interface that this package speaks.
const interfaceVersion = 1

// Bounds are what questions may cost. A zero stands for the default.
type Bounds struct {
	// Memory is how many bytes the module may have for one question, in whole pages of 64 KiB: 256 MiB. The largest
	// request that the verifier's own limits admit needs more, for its JSON text is there, too; 2 GiB is the most.
	Memory uint64
	// Deadline is how long one question may take, waiting for its turn included: 5 seconds. The costliest one that the
	// verifier's own limits admit computes for about as long.
	Deadline time.Duration
	// Questions is how many are answered at once, each in a memory of its own: 4. More wait for their turn.
	Questions int
}

const (
	page      = 64 << 10
	mostPages = 2 << 30 / page
)

// Verifier answers any number of questions from any number of goroutines.
type Verifier struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
	cache   wazero.CompilationCache
	bounds  Bounds
	turns   chan struct{}
}

// Option changes how a verifier is loaded.
type Option func(*settings)

type settings struct {
	signatures Signatures
	cache      string
}

// WithSignatures says who checks signatures: Native unless it is given, or Pure, or one's own.
func WithSignatures(signatures Signatures) Option {
	return func(s *settings) { s.signatures = signatures }
}

// WithCache keeps the compiled module in a folder, for the next process: a program that asks once starts much faster.
// Whoever can write there can have the verifier say anything, so it must belong to who runs this program.
func WithCache(folder string) Option {
	return func(s *settings) { s.cache = folder }
}

// LoadFile loads the module that `linkgate component --format core` writes.
func LoadFile(ctx context.Context, path string, bounds Bounds, options ...Option) (*Verifier, error) {
	module, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the verifier cannot be loaded: %w (`linkgate component --format core > %s` makes it)", err, path)
	}
	verifier, err := Load(ctx, module, bounds, options...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return verifier, nil
}

// Load compiles the module, once for all questions, and asks nothing yet.
func Load(ctx context.Context, module []byte, bounds Bounds, options ...Option) (*Verifier, error) {
	chosen := settings{signatures: Native{}}
	for _, option := range options {
		option(&chosen)
	}
	if bounds.Memory == 0 {
		bounds.Memory = 256 << 20
	}
	if bounds.Deadline == 0 {
		bounds.Deadline = 5 * time.Second
	}
	if bounds.Questions == 0 {
		bounds.Questions = 4
	}
	pages := bounds.Memory / page
	if pages == 0 || pages > mostPages || bounds.Deadline < 0 || bounds.Questions < 0 {
		return nil, errors.New("the verifier cannot be loaded: its bounds are a memory of 64 KiB to 2 GiB, and a positive deadline and number of questions")
	}

	verifier := &Verifier{bounds: bounds, turns: make(chan struct{}, bounds.Questions)}
	// The compiler runs on amd64 and arm64; elsewhere wazero interprets. A context that is done ends the module's
	// computation, for which the compiler adds a check to each loop.
	config := wazero.NewRuntimeConfig().WithMemoryLimitPages(uint32(pages)).WithCloseOnContextDone(true)
	if chosen.cache != "" {
		cache, err := wazero.NewCompilationCacheWithDir(chosen.cache)
		if err != nil {
			return nil, fmt.Errorf("the verifier cannot be loaded: its cache %s: %w", chosen.cache, err)
		}
		verifier.cache = cache
		config = config.WithCompilationCache(cache)
	}
	verifier.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if err := verifier.compile(ctx, module, chosen.signatures); err != nil {
		_ = verifier.Close(ctx)
		return nil, fmt.Errorf("the verifier cannot be loaded: %w (`linkgate component --format core` writes the module)", err)
	}
	return verifier, nil
}

// Close gives back what the verifier holds. Questions that are still open are undecided.
func (v *Verifier) Close(ctx context.Context) error {
	err := v.runtime.Close(ctx)
	if v.cache != nil {
		err = errors.Join(err, v.cache.Close(ctx))
	}
	return err
}

func (v *Verifier) compile(ctx context.Context, module []byte, signatures Signatures) error {
	// A place and a length each of scheme, key, message and signature.
	places := slices.Repeat([]api.ValueType{api.ValueTypeI32}, 8)
	_, err := v.runtime.NewHostModuleBuilder("linkgate").NewFunctionBuilder().
		WithGoModuleFunction(check(signatures), places, []api.ValueType{api.ValueTypeI64}).
		Export("signatures").Instantiate(ctx)
	if err != nil {
		return err
	}
	if v.module, err = v.runtime.CompileModule(ctx, module); err != nil {
		return err
	}
	// An instance now tells of a module that is none of ours, rather than the first question.
	instance, err := v.instance(ctx)
	if err != nil {
		return err
	}
	defer instance.module.Close(ctx)
	version, err := instance.version.Call(ctx)
	if err != nil {
		return err
	}
	if uint32(version[0]) != interfaceVersion {
		return fmt.Errorf("its interface has version %d, this package speaks %d", uint32(version[0]), interfaceVersion)
	}
	return nil
}

// Verify answers a request, the JSON that wit/request.schema.json describes. Whatever goes wrong is an answer as well:
// undecided, which refuses. It does not panic, and nothing of one question is left for the next.
func (v *Verifier) Verify(ctx context.Context, request []byte) (answer Answer) {
	defer func() {
		if cause := recover(); cause != nil {
			answer = Stopped(fmt.Sprintf("%v", cause))
		}
	}()
	bounded, cancel := context.WithTimeout(ctx, v.bounds.Deadline)
	defer cancel()
	select {
	case v.turns <- struct{}{}:
		defer func() { <-v.turns }()
	case <-bounded.Done():
		return Stopped(v.ended(ctx) + ", waiting for its turn")
	}
	text, err := v.ask(bounded, request)
	if err != nil {
		return Stopped(v.cause(ctx, bounded, err))
	}
	answer, ok := parse(text)
	if !ok {
		return Stopped("it gave no answer")
	}
	return answer
}

// ask has a fresh instance answer. To make one takes about 0.3 ms, a fifth of a small question's time; and then nothing
// of one question is there for the next, no memory stays grown, and one that trapped or was stopped is never asked again.
func (v *Verifier) ask(ctx context.Context, request []byte) ([]byte, error) {
	if uint64(len(request)) > v.bounds.Memory {
		return nil, fmt.Errorf("the request has %d bytes", len(request))
	}
	instance, err := v.instance(ctx)
	if err != nil {
		return nil, err
	}
	defer instance.module.Close(context.WithoutCancel(ctx))
	pointer, err := instance.place(ctx, request)
	if err != nil {
		return nil, err
	}
	results, err := instance.verify.Call(ctx, uint64(pointer), uint64(len(request)))
	if err != nil {
		return nil, err
	}
	text, ok := instance.module.Memory().Read(uint32(results[0]>>32), uint32(results[0]))
	if !ok {
		return nil, errors.New("its answer lies outside its memory")
	}
	// The memory ends with the instance.
	return append([]byte(nil), text...), nil
}

// ended says which bound ended the question: its own deadline or the caller's context.
func (v *Verifier) ended(ctx context.Context) string {
	switch ctx.Err() {
	case nil:
		return fmt.Sprintf("it did not end within %v", v.bounds.Deadline)
	case context.DeadlineExceeded:
		return "its caller's deadline was reached"
	}
	return "it was no longer wanted"
}

func (v *Verifier) cause(ctx, bounded context.Context, err error) string {
	if exit := (*sys.ExitError)(nil); bounded.Err() != nil || errors.As(err, &exit) {
		return v.ended(ctx)
	}
	// The first line says what; wazero adds the module's stack.
	first, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Sprintf("%s, with at most %d MiB of memory", first, v.bounds.Memory>>20)
}

// instance is a module with a memory of its own.
type instance struct {
	module                 api.Module
	version, alloc, verify api.Function
}

func (v *Verifier) instance(ctx context.Context) (instance, error) {
	// Without a name there may be many.
	module, err := v.runtime.InstantiateModule(ctx, v.module, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return instance{}, err
	}
	made := instance{
		module:  module,
		version: module.ExportedFunction("abi_version"),
		alloc:   module.ExportedFunction("alloc"),
		verify:  module.ExportedFunction("verify"),
	}
	if made.version == nil || made.alloc == nil || made.verify == nil || module.Memory() == nil {
		_ = module.Close(ctx)
		return instance{}, errors.New("the module is not linkgate's core module: it exports no abi_version, alloc, verify and memory")
	}
	return made, nil
}

func (i instance) place(ctx context.Context, bytes []byte) (uint32, error) {
	return place(ctx, i.module, i.alloc, bytes)
}

// place writes bytes where the module made room for them.
func place(ctx context.Context, module api.Module, alloc api.Function, bytes []byte) (uint32, error) {
	results, err := alloc.Call(ctx, uint64(len(bytes)))
	if err != nil {
		return 0, err
	}
	pointer := uint32(results[0])
	if pointer == 0 || !module.Memory().Write(pointer, bytes) {
		return 0, fmt.Errorf("it has no room for %d bytes", len(bytes))
	}
	return pointer, nil
}

// check is what the module calls to have a signature checked.
func check(signatures Signatures) api.GoModuleFunc {
	return func(ctx context.Context, module api.Module, stack []uint64) {
		var parts [4][]byte
		for i := range parts {
			bytes, ok := module.Memory().Read(uint32(stack[2*i]), uint32(stack[2*i+1]))
			if !ok {
				panic(errors.New("it had a signature checked that lies outside its memory"))
			}
			// What was read is the module's memory itself: whoever checks could write there, or keep what changes later.
			parts[i] = slices.Clone(bytes)
		}
		outcome, why := judge(ctx, signatures, string(parts[0]), parts[1], parts[2], parts[3])
		if why == "" {
			stack[0] = uint64(outcome)
			return
		}
		pointer, err := place(ctx, module, module.ExportedFunction("alloc"), []byte(why))
		if err != nil {
			panic(err)
		}
		stack[0] = uint64(pointer)<<32 | uint64(uint32(len(why)))
	}
}

// judge asks whoever checks signatures. One who fails, panics or says what nobody understands has not checked.
func judge(ctx context.Context, signatures Signatures, scheme string, spki, message, signature []byte) (outcome Outcome, why string) {
	defer func() {
		if cause := recover(); cause != nil {
			outcome, why = NotHandled, told(fmt.Sprintf("the host's check panicked: %v", cause))
		}
	}()
	outcome, err := signatures.Check(ctx, scheme, spki, message, signature)
	switch {
	case err != nil:
		return NotHandled, told("the host's check failed: " + err.Error())
	case outcome != NotHandled && outcome != Valid && outcome != Invalid:
		return NotHandled, fmt.Sprintf("the host's check said %d, which means nothing", outcome)
	}
	return outcome, ""
}

// told is a reason as the module takes it: not empty, in UTF-8, and no longer than anybody reads.
func told(why string) string {
	const most = 4096
	return strings.ToValidUTF8(why[:min(len(why), most)], "\uFFFD")
}
