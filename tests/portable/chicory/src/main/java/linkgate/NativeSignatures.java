package linkgate;

import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.Signature;
import java.security.interfaces.ECPublicKey;
import java.security.spec.X509EncodedKeySpec;
import java.util.Map;

/**
 * Checks with Java's own providers. RSA-PSS is left to the module: they want to be told how long the salt is, which the
 * schemes do not say.
 */
final class NativeSignatures implements Verifier.Signatures {
    private record Algorithm(String key, String signature, int bits) {}

    private static final Map<String, Algorithm> ALGORITHMS = Map.of(
            "ed25519", new Algorithm("Ed25519", "Ed25519", 0),
            "ecdsa-sha2-nistp256", new Algorithm("EC", "SHA256withECDSA", 256),
            "ecdsa-sha2-nistp384", new Algorithm("EC", "SHA384withECDSA", 384),
            "ecdsa-sha2-nistp521", new Algorithm("EC", "SHA512withECDSA", 521),
            "rsa-pkcs1v15-sha256", new Algorithm("RSA", "SHA256withRSA", 0),
            "rsa-pkcs1v15-sha384", new Algorithm("RSA", "SHA384withRSA", 0),
            "rsa-pkcs1v15-sha512", new Algorithm("RSA", "SHA512withRSA", 0));

    @Override
    public boolean valid(String scheme, byte[] spki, byte[] message, byte[] signature) {
        Algorithm algorithm = ALGORITHMS.get(scheme);
        if (algorithm == null) {
            return false;
        }
        try {
            PublicKey key = KeyFactory.getInstance(algorithm.key).generatePublic(new X509EncodedKeySpec(spki));
            // The scheme names the curve: a key on another one is not this scheme's.
            if (key instanceof ECPublicKey on && on.getParams().getOrder().bitLength() != algorithm.bits) {
                return false;
            }
            Signature check = Signature.getInstance(algorithm.signature);
            check.initVerify(key);
            check.update(message);
            return check.verify(signature);
        } catch (GeneralSecurityException cause) {
            return false;
        }
    }
}
