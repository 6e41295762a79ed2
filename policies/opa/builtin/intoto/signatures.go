package intoto

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha256" // crypto.SHA256
	_ "crypto/sha512" // crypto.SHA384, crypto.SHA512
	"crypto/x509"
)

// Outcome is what a host says about a signature.
type Outcome int64

const (
	// NotHandled leaves the signature to the verifier, which does the arithmetic itself. Right in any doubt.
	NotHandled Outcome = 0
	// Valid says that the key made this signature over this message. It is believed.
	Valid Outcome = 1
	// Invalid says that it did not. Only for a host that accepts exactly what the verifier accepts.
	Invalid Outcome = 2
)

// Signatures checks signatures outside WebAssembly: faster, or with hardware keys. Whoever implements it is trusted with
// the verdict. It is asked from several goroutines at once, and only about what is structurally sound: the verifier has
// checked lengths, ranges, encodings and points.
type Signatures interface {
	// Check judges the signature of a key, a SubjectPublicKeyInfo in DER, by the only scheme that the key may sign with,
	// named as in-toto does: ed25519, ecdsa-sha2-nistp256, rsassa-pss-sha256 and so on. ECDSA signatures are in DER.
	// An error says why it could not be checked, as a panic does; the verification is undecided then. The slices are
	// copies, the callee's to keep. It is not ended at the deadline, at which ctx is done. One that itself asks the same
	// Verifier takes another of its turns.
	Check(ctx context.Context, scheme string, spki, message, signature []byte) (Outcome, error)
}

// Native checks signatures with Go's own packages. It says Valid or NotHandled, never Invalid: what Go turns down is
// judged again by the verifier, so that a signature which only one of the two accepts is still judged as everywhere else.
type Native struct{}

// Check implements Signatures.
func (Native) Check(_ context.Context, scheme string, spki, message, signature []byte) (Outcome, error) {
	if key, err := x509.ParsePKIXPublicKey(spki); err == nil && holds(scheme, key, message, signature) {
		return Valid, nil
	}
	return NotHandled, nil
}

// Pure leaves all signatures to the verifier: slower, and nobody else has to be trusted.
type Pure struct{}

// Check implements Signatures.
func (Pure) Check(context.Context, string, []byte, []byte, []byte) (Outcome, error) {
	return NotHandled, nil
}

func holds(scheme string, key any, message, signature []byte) bool {
	switch scheme {
	case "ed25519":
		key, ok := key.(ed25519.PublicKey)
		return ok && ed25519.Verify(key, message, signature)
	case "ecdsa-sha2-nistp256":
		return holdsECDSA("P-256", crypto.SHA256, key, message, signature)
	case "ecdsa-sha2-nistp384":
		return holdsECDSA("P-384", crypto.SHA384, key, message, signature)
	case "ecdsa-sha2-nistp521":
		return holdsECDSA("P-521", crypto.SHA512, key, message, signature)
	case "rsassa-pss-sha256":
		return holdsPSS(crypto.SHA256, key, message, signature)
	case "rsassa-pss-sha384":
		return holdsPSS(crypto.SHA384, key, message, signature)
	case "rsassa-pss-sha512":
		return holdsPSS(crypto.SHA512, key, message, signature)
	case "rsa-pkcs1v15-sha256":
		return holdsPKCS1v15(crypto.SHA256, key, message, signature)
	case "rsa-pkcs1v15-sha384":
		return holdsPKCS1v15(crypto.SHA384, key, message, signature)
	case "rsa-pkcs1v15-sha512":
		return holdsPKCS1v15(crypto.SHA512, key, message, signature)
	}
	return false
}

func holdsECDSA(curve string, hash crypto.Hash, key any, message, signature []byte) bool {
	public, ok := key.(*ecdsa.PublicKey)
	// The scheme names the curve: a key on another one is not this scheme's.
	return ok && public.Curve.Params().Name == curve && ecdsa.VerifyASN1(public, digest(hash, message), signature)
}

func holdsPSS(hash crypto.Hash, key any, message, signature []byte) bool {
	public, ok := key.(*rsa.PublicKey)
	// The schemes do not say how long the salt is.
	options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}
	return ok && rsa.VerifyPSS(public, hash, digest(hash, message), signature, options) == nil
}

func holdsPKCS1v15(hash crypto.Hash, key any, message, signature []byte) bool {
	public, ok := key.(*rsa.PublicKey)
	return ok && rsa.VerifyPKCS1v15(public, hash, digest(hash, message), signature) == nil
}

func digest(hash crypto.Hash, message []byte) []byte {
	state := hash.New()
	state.Write(message)
	return state.Sum(nil)
}
