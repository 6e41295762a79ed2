package builtin

import (
	"context"
	"encoding/json"
	"sync"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"linkgate.dev/policies/opa/builtin/intoto"
)

// notes keeps what it was asked, and answers as it is told: what OPA makes of requests and answers, whoever answers.
// Policies with the real verifier are tested in tests/engines/test_opa_builtin.py.
type notes struct {
	sync.Mutex
	asked  []string
	answer func(ctx context.Context) intoto.Answer
}

func (n *notes) Verify(ctx context.Context, request []byte) intoto.Answer {
	n.Lock()
	defer n.Unlock()
	n.asked = append(n.asked, string(request))
	return n.answer(ctx)
}

func evaluate(t *testing.T, ctx context.Context, answer func(context.Context) intoto.Answer, query string) (rego.ResultSet, []string, error) {
	t.Helper()
	asked := &notes{answer: answer}
	Register(asked)
	results, err := rego.New(rego.Query(query)).Eval(ctx)
	return results, asked.asked, err
}

func accept(context.Context) intoto.Answer {
	return intoto.Answer{JSON: []byte(`{"decision":"accept","valid_until":9223372036854775807}`), Decision: "accept"}
}

func TestNumbers(t *testing.T) {
	for written, want := range map[string]string{
		"1764000000":                       "1764000000",
		"1.764e9":                          "1764000000",
		"1764000000.0":                     "1764000000",
		"floor(1764000000123456789 / 1e9)": "1764000000",
		"-2.5e1":                           "-25",
		"9223372036854775807":              "9223372036854775807",
		"9.223372036854775807e18":          "9223372036854775807",
		"9.223372036854775809e18":          "9.223372036854775809e18",
		"1.5":                              "1.5",
		"0.0":                              "0",
		"0e999999999":                      "0",
		"1e30":                             "1e30",
		"1e-999999999":                     "1e-999999999",
	} {
		_, asked, err := evaluate(t, context.Background(), accept, `x := intoto.verify({"now": `+written+`})`)
		if err != nil || len(asked) != 1 || asked[0] != `{"now":`+want+`}` {
			t.Errorf("%s: %v %v", written, asked, err)
		}
	}
}

func TestTextsArriveAsTheyAre(t *testing.T) {
	for _, text := range []string{`"<é\u0000\n\"&>"`, `"\u2028"`, `"😀"`} {
		_, asked, err := evaluate(t, context.Background(), accept, `x := intoto.verify({"layout": {"text": `+text+`}})`)
		if err != nil || len(asked) != 1 {
			t.Fatal(asked, err)
		}
		var want string
		var got struct{ Layout struct{ Text string } }
		if json.Unmarshal([]byte(text), &want) != nil || json.Unmarshal([]byte(asked[0]), &got) != nil || got.Layout.Text != want {
			t.Errorf("%s became %s", text, asked[0])
		}
	}
}

func TestSetsAreArrays(t *testing.T) {
	_, asked, err := evaluate(t, context.Background(), accept, `x := intoto.verify({"b", "a"})`)
	if err != nil || len(asked) != 1 || asked[0] != `["a","b"]` {
		t.Error(asked, err)
	}
}

func TestIntegersComeBackExactly(t *testing.T) {
	results, _, err := evaluate(t, context.Background(), accept, `intoto.verify({}).valid_until == 9223372036854775807`)
	if err != nil || !results.Allowed() {
		t.Error(results, err)
	}
}

func TestTheSameQuestionOnce(t *testing.T) {
	results, asked, err := evaluate(t, context.Background(), accept, `intoto.verify({"now": 1}) == intoto.verify({"now": 1}); intoto.verify({"now": 2})`)
	if err != nil || len(results) != 1 || len(asked) != 2 {
		t.Error(results, asked, err)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for _, text := range []string{"", "{", `{"decision":"accept"} x`, "\xff"} {
		broken := func(context.Context) intoto.Answer { return intoto.Answer{JSON: []byte(text)} }
		results, _, err := evaluate(t, context.Background(), broken, `answer := intoto.verify({})`)
		if err != nil || len(results) != 1 {
			t.Fatal(results, err)
		}
		answer, _ := results[0].Bindings["answer"].(map[string]any)
		if answer["decision"] != "undecided" || answer["code"] != "verifier-stopped" {
			t.Errorf("%q: %v", text, answer)
		}
	}
}

func TestTheQuerysContext(t *testing.T) {
	type key struct{}
	var seen any
	ctx := context.WithValue(context.Background(), key{}, "the query's own")
	_, _, err := evaluate(t, ctx, func(ctx context.Context) intoto.Answer {
		seen = ctx.Value(key{})
		return accept(ctx)
	}, `intoto.verify({})`)
	if err != nil || seen != "the query's own" {
		t.Error(seen, err)
	}
}

func TestACancelledQueryIsNoResult(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	results, _, err := evaluate(t, ctx, func(context.Context) intoto.Answer {
		cancel()
		return intoto.Stopped("it was no longer wanted")
	}, `intoto.verify({}).decision == "accept"`)
	if results.Allowed() {
		t.Error(results, err)
	}
}

func TestNotEvaluatedAheadOfTime(t *testing.T) {
	asked := &notes{answer: accept}
	Register(asked)
	_, err := rego.New(rego.Query(`intoto.verify({"now": 1}).decision == "accept"`)).Partial(context.Background())
	if err != nil || len(asked.asked) != 0 {
		t.Error(asked.asked, err)
	}
}

func TestAnswerWithoutAContext(t *testing.T) {
	asked := &notes{answer: accept}
	if got := answer(nil, asked, ast.NewObject()); got.Compare(ast.NewObject()) == 0 { //nolint:staticcheck // OPA's context may be nil
		t.Error(got)
	}
}
