package linkgate_test

import data.linkgate

gate := {"url": "https://gate.example:8443", "ca": "/etc/linkgate/ca.pem"}

image := {"image": "registry.example/web/app@sha256:00"}

# What http.send returns where the gate gives that answer.
answer(body) := {"status_code": 200, "body": body}

test_allowed if {
	linkgate.allow with input as image with data.gate as gate
		with http.send as answer({"allowed": true, "reason": "accepted", "message": "m"})
}

test_denied_with_the_gates_message if {
	d := linkgate.decision with input as image with data.gate as gate
		with http.send as answer({"allowed": false, "reason": "no-evidence", "message": "m"})
	d == {"allowed": false, "reason": "no-evidence", "message": "m"}
}

# Only the word true: not a text that reads like it, not a body without it, not one that is no object.
test_denied_unless_true if {
	every body in [{"allowed": "true"}, {"allowed": 1}, {}, null, "true", [true]] {
		not linkgate.allow with input as image with data.gate as gate with http.send as answer(body)
	}
}

test_denied_where_the_gate_is_down if {
	d := linkgate.decision with input as image with data.gate as gate
		with http.send as {"status_code": 0, "error": {"message": "connection refused"}}
	d == {"allowed": false, "reason": "no-answer", "message": "the gate gave no answer: connection refused"}
}

# An overloaded gate says so with a status, whatever else stands in the body.
test_denied_with_any_other_status if {
	d := linkgate.decision with input as image with data.gate as gate
		with http.send as {"status_code": 503, "body": {"allowed": true, "error": "overloaded"}}
	d == {"allowed": false, "reason": "no-answer", "message": "the gate answered with status 503: overloaded"}
}

test_denied_without_a_gate if {
	linkgate.decision.allowed == false with input as image with data.gate as {}
}
