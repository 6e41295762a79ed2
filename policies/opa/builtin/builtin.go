// Package builtin gives OPA's policy language a function that verifies supply chains: intoto.verify(request).
//
// A Go program that embeds OPA calls Register before it prepares a query; cmd/opa-intoto is OPA itself with it.
package builtin

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/types"

	"linkgate.dev/policies/opa/builtin/intoto"
)

// Name is what policies call the function.
const Name = "intoto.verify"

// Asked is whoever answers a request: an intoto.Verifier.
type Asked interface {
	Verify(ctx context.Context, request []byte) intoto.Answer
}

// Register makes intoto.verify known to every policy of this process. It answers with what the verifier answers, and
// where there is no verdict with an answer that says so: it is never undefined, and never an error that a policy could
// take for a no. Call it once, before policies are compiled.
func Register(verifier Asked) {
	rego.RegisterBuiltin1(&rego.Function{
		Name:        Name,
		Description: "Verifies a supply chain by in-toto. Let pass on a decision of `accept` alone.",
		Decl: types.NewFunction(
			types.Args(types.Named("request", types.A).Description("what wit/request.schema.json describes")),
			types.Named("answer", types.NewObject(nil, types.NewDynamicProperty(types.S, types.A))).
				Description("what wit/answer.schema.json describes"),
		),
		// A policy that asks the same twice within a query pays once.
		Memoize: true,
		// The verdict is a pure function of the request, but a deadline or a lack of memory is not: with this, OPA never
		// evaluates a call ahead of time into an optimised bundle, and its decision logs record the answer.
		Nondeterministic: true,
	}, func(query rego.BuiltinContext, request *ast.Term) (*ast.Term, error) {
		return ast.NewTerm(answer(query.Context, verifier, request.Value)), nil
	})
}

func answer(ctx context.Context, verifier Asked, request ast.Value) ast.Value {
	if ctx == nil {
		ctx = context.Background()
	}
	text, err := requestJSON(request)
	if err != nil {
		return value(intoto.Stopped("the request is no JSON: " + err.Error()))
	}
	return value(verifier.Verify(ctx, text))
}

func value(answer intoto.Answer) ast.Value {
	// The reader takes the first value alone, and would not mind what follows it.
	if json.Valid(answer.JSON) {
		if parsed, err := ast.ValueFromReader(bytes.NewReader(answer.JSON)); err == nil {
			return parsed
		}
	}
	parsed, _ := ast.ValueFromReader(bytes.NewReader(intoto.Stopped("its answer is no JSON").JSON))
	return parsed
}

// requestJSON is the request as the verifier reads it. Sets become arrays.
func requestJSON(request ast.Value) ([]byte, error) {
	plain, err := ast.JSON(request)
	if err != nil {
		return nil, err
	}
	return json.Marshal(integers(plain))
}

// integers writes whole numbers without a fraction or an exponent. Rego knows numbers only, so that 1.7e9 and
// 1700000000 are the same to a policy, whereas the verifier takes integers alone.
func integers(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			value[name] = integers(member)
		}
	case []any:
		for i, element := range value {
			value[i] = integers(element)
		}
	case json.Number:
		return integer(value)
	}
	return value
}

func integer(number json.Number) json.Number {
	text := string(number)
	if !strings.ContainsAny(text, ".eE") {
		return number
	}
	mantissa, _, _ := strings.Cut(strings.ToLower(text), "e")
	if !strings.ContainsAny(mantissa, "123456789") {
		return "0"
	}
	// Exact arithmetic costs as much as the number has digits when written out. What is far too long, large or small is
	// no integer of 64 bits, and left as it is for the verifier to refuse.
	near, err := strconv.ParseFloat(text, 64)
	if err != nil || len(text) > 64 || math.Abs(near) < 1 || math.Abs(near) > math.MaxInt64 {
		return number
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok || !exact.IsInt() || !exact.Num().IsInt64() {
		return number
	}
	return json.Number(exact.Num().String())
}
