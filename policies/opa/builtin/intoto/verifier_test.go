package intoto

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const cases = "../../../../tests/cases/subject"

// The module under test: CORE=verifier.core.wasm go test ./...
func core(t testing.TB) []byte {
	t.Helper()
	path := os.Getenv("CORE")
	if path == "" {
		t.Fatal("set CORE to the absolute path of the module that `linkgate component --format core` writes")
	}
	module, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

func load(t testing.TB, bounds Bounds, options ...Option) *Verifier {
	t.Helper()
	verifier, err := Load(context.Background(), core(t), bounds, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = verifier.Close(context.Background()) })
	return verifier
}

func request(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(cases, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var one struct {
		Request json.RawMessage `json:"request"`
	}
	if err := json.Unmarshal(text, &one); err != nil {
		t.Fatal(err)
	}
	return one.Request
}

func good(t testing.TB) []byte { return request(t, "product-of-the-last-step") }

// accepts asks a question that has a good answer. It asks again where the verifier's deadline passed: on a busy machine
// a short one may do so, but not each time.
func accepts(t testing.TB, verifier *Verifier) {
	t.Helper()
	ends := time.Now().Add(time.Minute)
	answer := verifier.Verify(context.Background(), good(t))
	for strings.Contains(string(answer.JSON), "it did not end within") && time.Now().Before(ends) {
		answer = verifier.Verify(context.Background(), good(t))
	}
	if !answer.Accepted() {
		t.Fatalf("a good chain: %s", answer.JSON)
	}
}

// undecided checks that an answer is in the form that all hosts share, and says why.
func undecided(t testing.TB, answer Answer, code, why string) {
	t.Helper()
	var form struct {
		Decision, Code, Message string
		Reasons                 []struct{ Code, Message string }
	}
	if err := json.Unmarshal(answer.JSON, &form); err != nil {
		t.Fatalf("%v: %s", err, answer.JSON)
	}
	if answer.Accepted() || answer.Decision != "undecided" || form.Decision != "undecided" || form.Code != code ||
		len(form.Reasons) == 0 || !strings.Contains(form.Message, why) {
		t.Fatalf("it should be undecided by %s, %q: %s", code, why, answer.JSON)
	}
}

// many is a request with thousands of signatures to check: it takes seconds, and a memory of many megabytes.
func many(t testing.TB) []byte {
	t.Helper()
	var question map[string]any
	if err := json.Unmarshal(good(t), &question); err != nil {
		t.Fatal(err)
	}
	documents := question["documents"].([]any)
	first := documents[0].(map[string]any)
	text := first["text"].(string) + strings.Repeat(" ", 4000)
	for i := range 5000 {
		documents = append(documents, map[string]any{"name": fmt.Sprintf("copy.%d", i), "text": text})
	}
	question["documents"] = documents
	whole, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

// Checks answers as its function does.
type checks func() (Outcome, error)

func (c checks) Check(context.Context, string, []byte, []byte, []byte) (Outcome, error) { return c() }

func TestAcceptsAndRejects(t *testing.T) {
	for name, signatures := range map[string]Signatures{"native": Native{}, "pure": Pure{}} {
		t.Run(name, func(t *testing.T) {
			verifier := load(t, Bounds{}, WithSignatures(signatures))
			accepts(t, verifier)
			if answer := verifier.Verify(context.Background(), request(t, "product-of-no-step")); answer.Decision != "reject" {
				t.Fatalf("an artifact that nobody made: %s", answer.JSON)
			}
		})
	}
}

func TestNativeChecksAreAsked(t *testing.T) {
	var asked atomic.Int32
	accepts(t, load(t, Bounds{}, WithSignatures(checks(func() (Outcome, error) {
		asked.Add(1)
		return NotHandled, nil
	}))))
	if asked.Load() == 0 {
		t.Fatal("nobody asked the host")
	}
}

func TestWhatIsNoRequest(t *testing.T) {
	verifier := load(t, Bounds{})
	for _, text := range []string{"", "{", "[]", "null", "\xff\xfe", `{"now": 1.5}`} {
		undecided(t, verifier.Verify(context.Background(), []byte(text)), "request-malformed", "")
	}
	accepts(t, verifier)
}

func TestRequestOverLimits(t *testing.T) {
	var question map[string]any
	if err := json.Unmarshal(good(t), &question); err != nil {
		t.Fatal(err)
	}
	documents := make([]any, 10001)
	for i := range documents {
		documents[i] = map[string]any{"name": fmt.Sprint(i), "text": ""}
	}
	question["documents"] = documents
	text, _ := json.Marshal(question)
	verifier := load(t, Bounds{})
	undecided(t, verifier.Verify(context.Background(), text), "limit-exceeded", "")
	accepts(t, verifier)
}

func TestModulesThatAreNone(t *testing.T) {
	module := core(t)
	for name, bytes := range map[string][]byte{
		"empty":     nil,
		"text":      []byte("verifier"),
		"truncated": module[:len(module)/2],
		"cut short": module[:len(module)-1],
		// Whole, and somebody else's.
		"another": {0, 'a', 's', 'm', 1, 0, 0, 0},
	} {
		if _, err := Load(context.Background(), bytes, Bounds{}); err == nil || !strings.Contains(err.Error(), "linkgate component") {
			t.Errorf("%s: %v", name, err)
		}
	}
	missing := filepath.Join(t.TempDir(), "verifier.core.wasm")
	if _, err := LoadFile(context.Background(), missing, Bounds{}); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing: %v", err)
	}
}

func TestBoundsThatAreNone(t *testing.T) {
	for _, bounds := range []Bounds{{Memory: 1}, {Memory: 3 << 30}, {Deadline: -1}, {Questions: -1}} {
		if _, err := Load(context.Background(), core(t), bounds); err == nil {
			t.Errorf("%+v are bounds", bounds)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	verifier := load(t, Bounds{Memory: 16 << 20, Questions: 1})
	large := many(t)
	if len(large) < 16<<20 {
		t.Fatalf("the request has %d bytes only", len(large))
	}
	undecided(t, verifier.Verify(context.Background(), large), "verifier-stopped", "at most 16 MiB of memory")
	accepts(t, verifier)

	// It fits in, but its documents do not fit beside it: the module runs out of memory and traps.
	verifier = load(t, Bounds{Memory: uint64(len(large)) + 4<<20, Questions: 1})
	undecided(t, verifier.Verify(context.Background(), large), "verifier-stopped", "MiB of memory")
	for range 3 {
		accepts(t, verifier)
	}
}

func TestDeadline(t *testing.T) {
	verifier := load(t, Bounds{Deadline: 300 * time.Millisecond, Questions: 1}, WithSignatures(Pure{}))
	long := many(t)
	begin := time.Now()
	undecided(t, verifier.Verify(context.Background(), long), "verifier-stopped", "it did not end within 300ms")
	if took := time.Since(begin); took < 300*time.Millisecond || took > 3*time.Second {
		t.Fatalf("it took %v", took)
	}
	accepts(t, verifier)
}

func TestCallersContext(t *testing.T) {
	verifier := load(t, Bounds{Questions: 1}, WithSignatures(Pure{}))
	long := many(t)
	short, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	undecided(t, verifier.Verify(short, long), "verifier-stopped", "its caller's deadline was reached")
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	undecided(t, verifier.Verify(gone, good(t)), "verifier-stopped", "it was no longer wanted")
	accepts(t, verifier)
}

func TestWaitingIsBounded(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	verifier := load(t, Bounds{Deadline: time.Minute, Questions: 1}, WithSignatures(checks(func() (Outcome, error) {
		select {
		case entered <- struct{}{}:
			<-release
		default:
		}
		return NotHandled, nil
	})))
	var first sync.WaitGroup
	first.Go(func() { verifier.Verify(context.Background(), good(t)) })
	<-entered
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	undecided(t, verifier.Verify(short, good(t)), "verifier-stopped", "waiting for its turn")
	close(release)
	first.Wait()
	accepts(t, verifier)
}

func TestChecksThatGoWrong(t *testing.T) {
	for name, one := range map[string]struct {
		check checks
		why   string
	}{
		"fails":           {func() (Outcome, error) { return Valid, errors.New("the token was unplugged") }, "the token was unplugged"},
		"fails silently":  {func() (Outcome, error) { return Valid, errors.New("") }, "the host's check failed"},
		"is not UTF-8":    {func() (Outcome, error) { return Valid, errors.New("\xff") }, "the host's check failed"},
		"fails at length": {func() (Outcome, error) { return Valid, errors.New(strings.Repeat("é", 1<<27)) }, "the host's check failed"},
		"panics":          {func() (Outcome, error) { panic("out of order") }, "out of order"},
		"nonsense":        {func() (Outcome, error) { return 77, nil }, "77"},
		"a place":         {func() (Outcome, error) { return 1 << 40, nil }, "means nothing"},
		"negative":        {func() (Outcome, error) { return -1, nil }, "-1"},
	} {
		t.Run(name, func(t *testing.T) {
			var wrong atomic.Bool
			wrong.Store(true)
			verifier := load(t, Bounds{Questions: 1}, WithSignatures(checks(func() (Outcome, error) {
				if wrong.Load() {
					return one.check()
				}
				return NotHandled, nil
			})))
			undecided(t, verifier.Verify(context.Background(), good(t)), "signature-unchecked", one.why)
			wrong.Store(false)
			accepts(t, verifier)
		})
	}
}

// shown keeps what it is shown, copies it, and then writes to it.
type shown struct{ kept, copies [][]byte }

func (s *shown) Check(_ context.Context, _ string, spki, message, signature []byte) (Outcome, error) {
	for _, bytes := range [][]byte{spki, message, signature} {
		for i := range bytes {
			bytes[i] ^= 0xff
		}
		s.kept = append(s.kept, bytes)
		s.copies = append(s.copies, slices.Clone(bytes))
	}
	return NotHandled, nil
}

func TestACheckGetsCopies(t *testing.T) {
	var check shown
	verifier := load(t, Bounds{}, WithSignatures(&check))
	// The module judges what it had, not what the check wrote.
	accepts(t, verifier)
	request := good(t)
	answer := verifier.Verify(context.Background(), request)
	before := string(answer.JSON)
	accepts(t, verifier)
	for i, kept := range check.kept {
		if len(kept) == 0 || !bytes.Equal(kept, check.copies[i]) {
			t.Fatalf("what the check kept has changed: %x, and it was %x", kept, check.copies[i])
		}
	}
	if string(answer.JSON) != before || !bytes.Equal(request, good(t)) {
		t.Fatal("an answer or a request has changed")
	}
}

func TestACheckMayAskTheVerifier(t *testing.T) {
	var verifier *Verifier
	asks := checks(func() (Outcome, error) {
		if answer := verifier.Verify(context.Background(), []byte("{")); answer.Decision != "undecided" {
			return Valid, nil
		}
		return NotHandled, nil
	})
	verifier = load(t, Bounds{Questions: 2, Deadline: time.Minute}, WithSignatures(asks))
	accepts(t, verifier)
	// Without a second turn it waits in vain, and no longer than the deadline.
	verifier = load(t, Bounds{Questions: 1, Deadline: 300 * time.Millisecond}, WithSignatures(asks))
	if answer := verifier.Verify(context.Background(), good(t)); answer.Decision != "undecided" {
		t.Fatalf("%s", answer.JSON)
	}
}

func TestInvalidIsBelieved(t *testing.T) {
	verifier := load(t, Bounds{}, WithSignatures(checks(func() (Outcome, error) { return Invalid, nil })))
	if answer := verifier.Verify(context.Background(), good(t)); answer.Decision != "reject" {
		t.Fatalf("%s", answer.JSON)
	}
}

func TestManyAtOnce(t *testing.T) {
	verifier := load(t, Bounds{Questions: 3, Deadline: time.Minute})
	want := verifier.Verify(context.Background(), good(t))
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			for j := range 10 {
				if (i+j)%4 == 0 {
					undecided(t, verifier.Verify(context.Background(), []byte("{")), "request-malformed", "")
				} else if got := verifier.Verify(context.Background(), good(t)); string(got.JSON) != string(want.JSON) {
					t.Errorf("%s", got.JSON)
				}
			}
		})
	}
	all.Wait()
}

func TestClosed(t *testing.T) {
	verifier := load(t, Bounds{})
	_ = verifier.Close(context.Background())
	undecided(t, verifier.Verify(context.Background(), good(t)), "verifier-stopped", "")
}

func TestCacheOnDisk(t *testing.T) {
	folder := t.TempDir()
	for range 2 {
		accepts(t, load(t, Bounds{}, WithCache(folder)))
	}
}

func TestAnswers(t *testing.T) {
	for _, text := range []string{"", "accept", `"accept"`, "{}", `{"decision": 1}`, `{"decision": "ok"}`, `{"decision": "accept"} x`} {
		if answer, ok := parse([]byte(text)); ok || answer.Accepted() {
			t.Errorf("%s is an answer", text)
		}
	}
	if (Answer{}).Accepted() {
		t.Error("no answer is accepted")
	}
	want := `{"decision":"undecided","code":"verifier-stopped","at":[],"limit":null,"message":"the verifier was stopped: <é>",` +
		`"reasons":[{"code":"verifier-stopped","at":[],"message":"the verifier was stopped: <é>"}],"warnings":[],"steps":[]}`
	if got := string(Stopped("<é>").JSON); got != want {
		t.Error(got)
	}
}

func BenchmarkInstance(b *testing.B) {
	verifier := load(b, Bounds{})
	for b.Loop() {
		made, err := verifier.instance(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		_ = made.module.Close(context.Background())
	}
}

func BenchmarkVerify(b *testing.B) {
	verifier := load(b, Bounds{})
	question := good(b)
	for b.Loop() {
		verifier.Verify(context.Background(), question)
	}
}
