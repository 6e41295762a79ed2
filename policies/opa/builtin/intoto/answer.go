package intoto

import (
	"bytes"
	"encoding/json"
)

// Answer is the verifier's answer to a request: an accept, a reject, or undecided, which refuses as well.
type Answer struct {
	// JSON is the whole answer, as wit/answer.schema.json describes it.
	JSON []byte
	// Decision is its member of that name: accept, reject or undecided.
	Decision string
}

// Accepted is whether the artifact may pass. Nothing but a clean accept says so; the zero Answer refuses.
func (a Answer) Accepted() bool { return a.Decision == "accept" }

// parse takes what the module wrote. What is no answer is an error, so that it cannot pass for one.
func parse(text []byte) (Answer, bool) {
	var answer struct {
		Decision string `json:"decision"`
	}
	if json.Unmarshal(text, &answer) != nil {
		return Answer{}, false
	}
	switch answer.Decision {
	case "accept", "reject", "undecided":
		return Answer{JSON: text, Decision: answer.Decision}, true
	}
	return Answer{}, false
}

// Stopped is the answer where the verifier gave none. Hosts of every language answer in this form.
func Stopped(why string) Answer {
	const code = "verifier-stopped"
	type reason struct {
		Code    string   `json:"code"`
		At      []string `json:"at"`
		Message string   `json:"message"`
	}
	message := "the verifier was stopped: " + why
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	// Strings, lists of strings and nulls: there is nothing that could fail.
	_ = encoder.Encode(struct {
		Decision string   `json:"decision"`
		Code     string   `json:"code"`
		At       []string `json:"at"`
		Limit    *string  `json:"limit"`
		Message  string   `json:"message"`
		Reasons  []reason `json:"reasons"`
		Warnings []string `json:"warnings"`
		Steps    []string `json:"steps"`
	}{
		Decision: "undecided",
		Code:     code,
		At:       []string{},
		Message:  message,
		Reasons:  []reason{{code, []string{}, message}},
		Warnings: []string{},
		Steps:    []string{},
	})
	return Answer{JSON: bytes.TrimSuffix(text.Bytes(), []byte("\n")), Decision: "undecided"}
}
