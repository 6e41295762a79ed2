# Asks linkgate's gate about an artifact and allows it only if the gate says so.
#
# input:      the gate's question: {"image": "registry.example/web/app@sha256:..", "namespace": "prod"}, or
#             {"subjects": [{"digests": {"sha256": ".."}}]}
# data.gate:  where the gate is: {"url": "https://gate.example:8443", "ca": "/etc/linkgate/ca.pem"}
#
# Query data.linkgate.allow for true or false, data.linkgate.decision for the reason too.
package linkgate

# Whatever is not said to be allowed is denied: an outage, an error and an answer that nobody foresaw all end here. The
# inverse, to deny what the gate says is not allowed, would let everything pass while the gate is down.
default allow := false

allow if {
	response.status_code == 200
	response.body.allowed == true
}

decision := {"allowed": allow, "reason": reason, "message": message}

# Nothing is kept from one query to the next (neither `cache` nor `force_cache`): the gate remembers what it verified, and
# knows when that no longer holds.
response := http.send({
	"method": "POST",
	"url": sprintf("%s/v1/verify", [data.gate.url]),
	"headers": {"Content-Type": "application/json"},
	"body": input,
	"tls_ca_cert_file": data.gate.ca,
	"timeout": "10s",
	# A gate that cannot be reached is an answer too, with a status of 0, and its cause can be told.
	"raise_error": false,
})

default reason := "no-answer"

reason := response.body.reason if response.status_code == 200

default message := "the gate gave no answer: is data.gate.url set, and data.gate.ca the file of its CA?"

message := response.body.message if response.status_code == 200

message := sprintf("the gate gave no answer: %s", [response.error.message]) if response.status_code == 0

message := sprintf("the gate answered with status %d: %s", [response.status_code, cause]) if {
	not response.status_code in {0, 200}
}

default cause := "it says no more"

cause := response.body.error
