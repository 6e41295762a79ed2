# Run by `opa-intoto test .`, with the real verifier: these need no keys, since nothing here is ever accepted.
package release_test

import data.release

digest := "0ec8e0d8fbb1b3b0f3c3a0d5d6a1ff1ad4e2a0c5b2f1b7a6e1d0c9b8a7f6e5d4"

key := {
	"keytype": "ed25519",
	"scheme": "ed25519",
	"keyval": {"public": "e0f061e4ecb0cbe45460bd66e9c97cb34f8d01781304fd63aad8de75cb28f293"},
}

test_nothing_is_known if {
	not release.allow
	release.decision.reasons[0] == concat("", [
		"there is nothing to verify: are data.supplychain.layout and owners set, ",
		"and the input's sha256 and links?",
	])
}

test_a_layout_that_is_none if {
	said := release.decision with input as {"sha256": digest, "links": []}
		with data.supplychain as {"layout": {"text": "{}"}, "owners": [key]}
	not said.allowed
	startswith(said.reasons[0], "the layout ")
}

test_an_owner_is_needed if {
	answer := release.answer with input as {"sha256": digest, "links": []}
		with data.supplychain as {"layout": {"text": "{}"}, "owners": []}
	answer.decision == "undecided"
	answer.code == "request-malformed"
}

test_an_answer_whatever_the_request if {
	some request in [null, true, 1, "", [], {}, {"now": 1.5}, {1, 2}]
	answer := intoto.verify(request)
	answer.decision == "undecided"
}
