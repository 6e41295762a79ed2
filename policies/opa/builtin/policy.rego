# Allows an artifact only if its supply chain holds.
#
# data.supplychain:  what your organisation says: {"layout": {"text": ".."}, "owners": [KEY, ..]}, the signed layout and
#                    the keys that must have signed it, as `linkgate key show --json owner.pub` prints them
# input:             what is to be judged: {"sha256": "..", "links": [{"name": "build.826d2093.link", "text": ".."}, ..]}
#
# Query data.release.allow for true or false, data.release.decision for the reason too.
package release

# Whatever is not an accept is denied: a reject, a verifier that was stopped, data that is not there.
default allow := false

allow if answer.decision == "accept"

decision := {"allowed": allow, "reasons": reasons}

# The layout and who must have signed it never come out of the input: whoever asks would vouch for himself. The artifact
# is named by its digest, and is what the supply chain must have made: good links about another artifact do not help.
answer := intoto.verify({
	"layout": data.supplychain.layout,
	"trust": {"signed_by": data.supplychain.owners},
	"documents": input.links,
	"subjects": [{"digests": {"sha256": input.sha256}}],
	# In whole seconds.
	"now": floor(time.now_ns() / 1000000000),
})

default reasons := ["there is nothing to verify: are data.supplychain.layout and owners set, and the input's sha256 and links?"]

reasons := [] if answer.decision == "accept"

reasons := [finding.message | some finding in answer.findings] if answer.decision == "reject"

reasons := [answer.message] if answer.decision == "undecided"
