//! Wycheproof's vectors, through the verifier's own arithmetic, through the native checker, and the native checker alone.
//!
//! With a file named by `WYCHEPROOF_OUTCOMES`, each signature and its outcome is written there, a line of JSON each:
//! `tests/wycheproof` asks the verifier's WebAssembly about them.
//!
//! Every signature has one outcome, whoever does the arithmetic. Where the verifier is stricter than the vectors, or as
//! with PSS salts more lenient, the test names the reason and asserts the outcome.

use std::fs::OpenOptions;
use std::io::Write as _;

use linkgate::checker::Native;
use linkgate_verifier::key::{KeyError, PublicKey, Scheme, hex};
use linkgate_verifier::limits::Budget;
use linkgate_verifier::signature::{Checked, Checker, Outcome, Pure, check, structure};
use wycheproof::{HashFunction, TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

/// How many signatures had which outcome, and about how many the native checker had an answer of its own.
#[derive(Debug, Default)]
struct Tally {
    valid: u32,
    invalid: u32,
    native: u32,
}

impl Tally {
    /// The outcome on which all three ways agree.
    fn judge(&mut self, key: &PublicKey, message: &[u8], signature: &[u8]) -> Checked {
        let through = |checker: &mut dyn Checker| check(key, message, signature, &Budget::default(), checker).unwrap();
        let pure = through(&mut Pure);
        assert_eq!(through(&mut Native), pure);
        let alone = Native.check(key, message, signature).unwrap();
        if structure(key, signature).is_ok() {
            match alone {
                Outcome::NotHandled => {}
                Outcome::Valid => assert_eq!(pure, Checked::Valid),
                Outcome::Invalid => assert_eq!(pure, Checked::Invalid),
            }
            self.native += u32::from(alone != Outcome::NotHandled);
        }
        write_down(key, message, signature, pure);
        match pure {
            Checked::Valid => self.valid += 1,
            Checked::Invalid => self.invalid += 1,
        }
        pure
    }

    fn assert_full(&self, name: &str) {
        assert!(
            self.valid > 0 && self.invalid > 0 && self.native > 0,
            "{name}: {self:?}"
        );
    }
}

fn write_down(key: &PublicKey, message: &[u8], signature: &[u8], outcome: Checked) {
    let Some(path) = std::env::var_os("WYCHEPROOF_OUTCOMES") else {
        return;
    };
    let line = serde_json::json!({
        "scheme": key.scheme().name(),
        "spki": hex(&key.spki_der()),
        "message": hex(message),
        "signature": hex(signature),
        "valid": outcome == Checked::Valid,
    });
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    // One write: tests run side by side.
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[test]
fn ed25519() {
    let mut tally = Tally::default();
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    for group in set.test_groups {
        let key = PublicKey::from_spki(&group.der, Some(Scheme::Ed25519)).unwrap();
        for test in group.tests {
            let outcome = tally.judge(&key, &test.msg, &test.sig);
            assert_eq!(outcome == Checked::Valid, test.result == TestResult::Valid, "{test:?}");
        }
    }
    tally.assert_full("Ed25519");
}

#[test]
fn ecdsa() {
    for (name, scheme) in [
        (ecdsa::TestName::EcdsaSecp256r1Sha256, Scheme::EcdsaSha2Nistp256),
        (ecdsa::TestName::EcdsaSecp384r1Sha384, Scheme::EcdsaSha2Nistp384),
        (ecdsa::TestName::EcdsaSecp521r1Sha512, Scheme::EcdsaSha2Nistp521),
    ] {
        let mut tally = Tally::default();
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki(&group.der, Some(scheme)).unwrap();
            for test in group.tests {
                let outcome = tally.judge(&key, &test.msg, &test.sig);
                assert_eq!(
                    outcome == Checked::Valid,
                    test.result == TestResult::Valid,
                    "{name:?} {test:?}"
                );
            }
        }
        tally.assert_full(scheme.name());
    }
}

/// The scheme of an RSA family with this hash, if there is one.
fn rsa_scheme(family: &str, hash: HashFunction) -> Option<Scheme> {
    let hash = match hash {
        HashFunction::Sha2_256 => "sha256",
        HashFunction::Sha2_384 => "sha384",
        HashFunction::Sha2_512 => "sha512",
        _ => return None,
    };
    Scheme::parse(&format!("{family}-{hash}"))
}

#[test]
fn rsa_pkcs1v15() {
    use rsa_pkcs1_verify::{TestFlag, TestName, TestSet};
    for name in [
        TestName::Rsa2048Sha256,
        TestName::Rsa2048Sha384,
        TestName::Rsa2048Sha512,
        TestName::Rsa3072Sha256,
        TestName::Rsa3072Sha384,
        TestName::Rsa3072Sha512,
        TestName::Rsa4096Sha256,
        TestName::Rsa4096Sha384,
        TestName::Rsa4096Sha512,
        TestName::Rsa8192Sha256,
        TestName::Rsa8192Sha384,
        TestName::Rsa8192Sha512,
    ] {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki(&group.der, rsa_scheme("rsa-pkcs1v15", group.hash));
            for test in group.tests {
                // A small exponent is refused with the key, whatever it signed.
                if test.flags.contains(&TestFlag::SmallPublicKey) {
                    assert!(matches!(key, Err(KeyError::Exponent(_))), "{name:?} {key:?}");
                    continue;
                }
                let outcome = tally.judge(key.as_ref().unwrap(), &test.msg, &test.sig);
                // `Acceptable` are digests without NULL: not the one encoding, and refused.
                assert_eq!(
                    outcome == Checked::Valid,
                    test.result == TestResult::Valid,
                    "{name:?} {test:?}"
                );
            }
        }
        tally.assert_full(&format!("{name:?}"));
    }
}

#[test]
fn rsa_pss() {
    use rsa_pss_verify::{TestName, TestSet};
    for name in [
        TestName::RsaPss2048Sha256Mgf1SaltLen0,
        TestName::RsaPss2048Sha256Mgf1SaltLen0WithParams,
        TestName::RsaPss2048Sha256Mgf1SaltLen32,
        TestName::RsaPss2048Sha256Mgf1SaltLen32WithParams,
        TestName::RsaPss2048Sha384Mgf1SaltLen48,
        TestName::RsaPss3072Sha256Mgf1SaltLen32,
        TestName::RsaPss3072Sha256Mgf1SaltLen32WithParams,
        TestName::RsaPss4096Sha256Mgf1SaltLen32,
        TestName::RsaPss4096Sha384Mgf1SaltLen48,
        TestName::RsaPss4096Sha512Mgf1SaltLen32,
        TestName::RsaPss4096Sha512Mgf1SaltLen32WithParams,
        TestName::RsaPss4096Sha512Mgf1SaltLen64,
        TestName::RsaPss4096Sha512Mgf1SaltLen64WithParams,
    ] {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            assert_eq!(group.mgf_hash, Some(group.hash));
            // The SPKI of some groups names RSASSA-PSS and its parameters, which in-toto does not have: the scheme does.
            let scheme = rsa_scheme("rsassa-pss", group.hash);
            let key = PublicKey::from_pkcs1(&group.asn_key, scheme).unwrap();
            for test in group.tests {
                let outcome = tally.judge(&key, &test.msg, &test.sig);
                // In-toto names no salt length, and both reference implementations accept any.
                let valid = test.result == TestResult::Valid || test.comment.starts_with("s_len changed to");
                assert_eq!(outcome == Checked::Valid, valid, "{name:?} {test:?}");
            }
        }
        assert!(tally.valid > 0 && tally.invalid > 0, "{name:?}: {tally:?}");
    }
}
