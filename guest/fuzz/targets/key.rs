//! A key that is taken has one form, and is the same key when it is read from that.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linkgate_verifier::key::PublicKey;

fuzz_target!(|bytes: &[u8]| {
    let read = [
        PublicKey::from_spki(bytes, None),
        PublicKey::from_pkcs1(bytes, None),
        str::from_utf8(bytes).map_or_else(
            |_| PublicKey::from_spki(&[], None),
            |text| PublicKey::from_pem(text, None),
        ),
    ];
    for key in read.into_iter().flatten() {
        assert_eq!(
            PublicKey::from_spki(&key.spki_der(), Some(key.scheme())).as_ref(),
            Ok(&key)
        );
        assert_eq!(
            PublicKey::from_pem(&key.spki_pem(), Some(key.scheme())).as_ref(),
            Ok(&key)
        );
        assert!(!key.keyids().is_empty());
    }
});
